"""Adapters and saved memory on encoder-decoders, on models that write by themselves, and under frozen features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mgan.config import Config
from mgan.data import tokenizers
from mgan.models import adapters
from mgan.models.build import Architecture, build_discriminator, build_generator, load_player, save_player
from mgan.models.logprobs import token_logprobs

pytest.importorskip("peft")
Folder = Callable[[str], Path]


def generator(folder: Path, rank: int = 4, base: str = "fp32") -> tuple[Any, Architecture]:
    section = {"pretrained": str(folder), "context": 24, "lora": {"rank": rank}}
    settings = Config.model_validate({"generator": section, "memory": {"checkpointing": True, "base": base}})
    torch.manual_seed(1)
    shape = Architecture.of("generator", settings.generator, 300, settings.generator)
    return build_generator(settings, 300), shape


def learned(player: Any) -> Any:
    """As after some training."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in player.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return player


@pytest.mark.parametrize("name", ["t5", "bart", "marian", "gemma2"])
def test_any_family_begins_as_it_was_learns_and_is_saved_merged(
    name: str, seq2seq: Folder, pretrained: Folder, tmp_path: Path
) -> None:
    folder = (pretrained if name == "gemma2" else seq2seq)(name)
    ours, shape = generator(folder)
    whole, _ = generator(folder, rank=0)
    tokens = torch.arange(4, 24).view(2, 10) * 3 % 100 + 4
    tokens[:, 4] = getattr(ours, "boundary", 4)
    assert torch.allclose(ours(tokens), whole(tokens), atol=1e-5)
    ours(tokens).square().mean().backward()
    learning = [p for p in ours.parameters() if p.requires_grad]
    assert learning and all(p.grad is not None for p in learning)
    learned(ours)
    said = ours(tokens)
    assert (said - whole(tokens)).abs().max() > 1e-3
    save_player(tmp_path, ours, shape)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    again, _, _ = load_player(tmp_path)
    assert type(again) is type(ours) and torch.allclose(again(tokens), said, atol=1e-4)
    twin = adapters.copied(ours)
    assert sum(p is q for p, q in zip(ours.parameters(), twin.parameters(), strict=True)) == sum(
        not p.requires_grad for p in ours.parameters()
    )


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_a_base_in_bf16_learns(name: str, seq2seq: Folder) -> None:
    whole, _ = generator(seq2seq(name))
    ours, _ = generator(seq2seq(name), base="bf16")
    for player in (whole, ours):
        if hasattr(player.model, "final_logits_bias"):
            player.model.final_logits_bias += torch.linspace(-1, 1, player.model.final_logits_bias.numel())
            player._biased = True
    tokens = torch.arange(4, 24).view(2, 10) * 3 % 100 + 4
    tokens[:, 4] = ours.boundary
    mask = torch.arange(10).expand(2, -1) > 4
    said = token_logprobs(ours, tokens, mask)
    assert torch.allclose(said.float(), token_logprobs(whole, tokens, mask), atol=0.2)
    said.sum().backward()
    assert all(p.grad is not None for p in ours.parameters() if p.requires_grad)
    _, state = ours.read(torch.tensor([[ours.begin[0]]] * 2), ours.encode(tokens[:, :5], torch.tensor([5, 5])))
    assert ours.output(ours.read(tokens[:, :1], state)[0]).dtype == torch.bfloat16


def test_features_in_bf16_are_nearly_those_and_are_saved_so(tiny_bert: Path, tiny_gpt: Path, tmp_path: Path) -> None:
    tokenizer = tokenizers.pretrained(str(tiny_gpt), "plain", False)
    tokens = torch.arange(4, 24).view(2, 10)
    mask = torch.arange(10).expand(2, -1) > 0
    found, judges = [], []
    for base in ("fp32", "bf16"):
        section = {"architecture": "features", "pretrained": str(tiny_bert), "hidden": 8}
        tree = {"discriminator": section, "game": {"signal": "sequence"}, "memory": {"base": base}}
        judge: Any = build_discriminator(Config.model_validate(tree), 300, nn.Identity(), tokenizer)  # type: ignore[arg-type]
        judges.append(judge)
        found.append(judge.features(tokens, mask))
    full, half = (next(judge.backbone.model.parameters()).dtype for judge in judges)
    assert (full, half) == (torch.float32, torch.bfloat16)
    assert found[1].dtype == torch.float32
    assert 0 < (found[0] - found[1]).abs().max() < 0.05 * found[0].abs().max()
    assert judges[0].backbone.digest != judges[1].backbone.digest

    shape = Architecture(role="discriminator", architecture="features", vocabulary=300, hidden=8, layers=1, heads=1,
                         dropout=0.3, tied=True, context=24)  # fmt: skip
    save_player(tmp_path, learned(judges[1]), shape, temperature=1.0)
    again, _, _ = load_player(tmp_path)
    assert torch.equal(again.verdict(tokens, mask), judges[1].eval().verdict(tokens, mask))
