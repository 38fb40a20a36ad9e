"""The example for students: it learns, and it is mgan's loop, number for number."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.fit.hardware import Hardware
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.sampling.uniforms import row_seeds, stream, uniforms
from mgan.training.adversarial import DRAW, REAL, AdversarialGame
from mgan.training.world import Alphabet, World
from mgan.types import pad_to

PATH = Path(__file__).parents[1] / "examples" / "minimal.py"


@pytest.fixture(scope="module")
def minimal() -> Any:
    spec = importlib.util.spec_from_file_location("minimal", PATH)
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_is_short_and_stands_alone() -> None:
    text = PATH.read_text()
    assert len(text.splitlines()) <= 120
    assert "import mgan" not in text and "from mgan" not in text


def test_the_game_teaches_the_grammar(minimal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured: 61 % grammatical before, 87 % after; of 1000 samples such a difference has a standard error of 2 %."""
    (nll, grammatical), *_, (nll_after, grammatical_after), _ = minimal.main()
    assert grammatical_after > grammatical + 0.1
    assert nll_after < nll
    assert "nats a held-out text" in capsys.readouterr().out


def test_twin_of_the_library(minimal: Any) -> None:
    """Same weights, same texts, same numbers: the same losses, and the same weights after three rounds."""
    torch.manual_seed(0)
    rows = [[minimal.BOS, *map(minimal.WORDS.index, text.split()), minimal.EOS] for text in minimal.LANGUAGE[::5]]
    train = torch.tensor([row + [minimal.EOS] * (minimal.LENGTH - len(row)) for row in rows])
    G, G0, D = minimal.Player(len(minimal.WORDS)), minimal.Player(len(minimal.WORDS)), minimal.Player(1)
    minimal.likelihood_steps(G, train, 30)
    G0.load_state_dict(G.state_dict())
    minimal.likelihood_steps(G, train, 10)  # so that the anchor has something to say from the first round on
    world = _world(minimal, G, G0, D)
    game = AdversarialGame(world, "adversarial", world.settings.adversarial)
    settings = world.settings.adversarial
    g_optimizer = torch.optim.Adam(G.parameters(), lr=settings.generator_rate)
    d_optimizer = torch.optim.AdamW(D.parameters(), lr=settings.discriminator_rate)
    real = world.batches(world.train, REAL)
    moves = draws = 0

    def sample() -> Tensor:
        seeds = row_seeds(stream(world.settings.seed, DRAW, draws), minimal.BATCH)
        return cast(Tensor, minimal.sample(G, uniforms(seeds, minimal.LENGTH).float()))

    for _ in range(3):
        theirs = game.step()
        for _ in range(settings.discriminator_steps):
            fake = sample()
            moves, draws = moves + 1, draws + 1
            texts = pad_to(real.at(moves), minimal.LENGTH, minimal.EOS).tokens
            d_loss = minimal.discriminator_step(D, d_optimizer, texts, fake)
        g_loss = minimal.generator_step(G, g_optimizer, D, G0, sample())
        draws += 1
        assert theirs["d_loss"] == pytest.approx(d_loss, abs=1e-5)
        assert theirs["g_loss"] == pytest.approx(g_loss, abs=1e-5)
    for player, twin in ((world.generator, G), (world.discriminator, D)):
        for weight, expected in zip(player.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, atol=1e-5, rtol=0)


def _world(minimal: Any, G: nn.Module, G0: nn.Module, D: nn.Module) -> World:
    """The library's side of the table, with copies of the same weights."""
    words, hidden = len(minimal.WORDS), 64
    settings = Config.model_validate(
        {
            "seed": 3,
            "device": "cpu",
            "generator": {"context": minimal.LENGTH},
            "game": {"value": "reverse_kl", "baseline": "per_position", "kl": minimal.KL, "mle": 0.0},
            "adversarial": {"prompts_per_step": minimal.BATCH, "discriminator_steps": 3, "generator_rate": 1e-3},
        }
    )
    tokenizer = SimpleNamespace(
        sources=False,
        labels=(),
        blanks=None,
        bos=minimal.BOS,
        eos=minimal.EOS,
        pad=minimal.EOS,
        ending=[minimal.EOS],
        encode_batch=lambda texts: [[minimal.WORDS.index(word) for word in text.split()] for text in texts],
        prompts=lambda examples: [[minimal.BOS] for _ in examples],
    )
    texts = encode([Example("", text) for text in minimal.LANGUAGE[::5]], cast(Any, tokenizer), minimal.LENGTH)
    generator = LSTMGenerator(words, hidden, tied=False)
    discriminator = LSTMDiscriminator(words, hidden)
    generator.load_state_dict(_renamed(G, "output"))
    discriminator.load_state_dict(_renamed(D, "head"))
    alphabet = Alphabet(words, minimal.EOS, minimal.EOS)
    world = World(settings, Hardware("cpu"), alphabet, texts, texts, texts, generator, discriminator)
    world.kept["pretrained"] = _renamed(G0, "output")
    return world


def _renamed(player: nn.Module, head: str) -> dict[str, Tensor]:
    return {
        f"{head}.{name.removeprefix('head.')}" if name.startswith("head.") else f"body.{name}": tensor.clone()
        for name, tensor in player.state_dict().items()
    }
