"""Spectral normalisation bounds every layer and survives a folder and a copy; noise is for training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mgan.config import Config
from mgan.models.adapters import copied
from mgan.models.build import Architecture, build_discriminator, build_generator, load_player, save_player
from mgan.models.regularised import BOUNDED
from mgan.sections.values import NORMALISED

VOCABULARY = 30


def discriminator(**section: Any) -> tuple[Any, Architecture]:
    settings = Config.model_validate({"discriminator": {"hidden": 8, "heads": 2, "dropout": 0.0, **section}})
    torch.manual_seed(0)
    generator = build_generator(settings, VOCABULARY)
    shape = Architecture.of("discriminator", settings.discriminator, VOCABULARY, settings.generator)
    return build_discriminator(settings, VOCABULARY, generator), shape


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, VOCABULARY, (4, 9), generator=torch.Generator().manual_seed(1))
    return tokens, torch.ones_like(tokens, dtype=torch.bool)


def taught(player: Any) -> Any:
    optimizer = torch.optim.Adam(player.parameters(), 1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        player.verdict(*texts()).sum().neg().backward()
        optimizer.step()
    return player.eval()


@pytest.mark.parametrize("architecture", NORMALISED)
def test_no_layer_stretches_by_more_than_one(architecture: str) -> None:
    for bounded in (True, False):
        player = taught(discriminator(architecture=architecture, spectral_norm=bounded)[0])
        layers = [layer for layer in player.modules() if isinstance(layer, BOUNDED)]
        largest = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
        assert len(layers) > 3
        assert (max(largest) < 1.2) == bounded


@pytest.mark.parametrize("architecture", NORMALISED)
def test_a_bounded_player_survives_a_folder_a_copy_and_its_state(architecture: str, tmp_path: Path) -> None:
    player, shape = discriminator(architecture=architecture, spectral_norm=True)
    expected = taught(player).verdict(*texts())
    save_player(tmp_path, player, shape)
    fresh = discriminator(architecture=architecture, spectral_norm=True)[0].eval()
    assert not torch.equal(fresh.verdict(*texts()), expected)
    fresh.load_state_dict(player.state_dict())
    twin = copied(player)
    for other in (load_player(tmp_path)[0], twin, fresh):
        assert torch.equal(other.verdict(*texts()), expected)
    taught(twin.train())
    assert torch.equal(player.verdict(*texts()), expected), "a copy has its own weights"


def test_noise_is_on_embeddings_while_training() -> None:
    player, _ = discriminator(architecture="lstm", embedding_noise=0.5)
    tokens = torch.zeros(200, 50, dtype=torch.long)
    plain = player.eval().embedding(tokens).detach()
    assert torch.equal(plain, player.embedding(tokens))
    for noisy in (player.train(), copied(player).train()):
        found = noisy.embedding(tokens).detach() - plain
        assert float(found.std()) == pytest.approx(0.5, rel=0.02) and abs(float(found.mean())) < 0.01
