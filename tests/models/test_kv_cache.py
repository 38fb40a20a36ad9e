"""A GPT-2 read token by token is the GPT-2 of transformers, and a state is a value."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.models.transformer import TransformerGenerator, gpt2_config

VOCABULARY = 23


def generator(hidden: int = 16, layers: int = 2, heads: int = 2, context: int = 40) -> TransformerGenerator:
    torch.manual_seed(0)
    built = TransformerGenerator(gpt2_config(VOCABULARY, hidden, layers, heads, 0.1, context))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


def tokens(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("hidden", "layers", "heads", "context"), [(8, 1, 1, 5), (24, 3, 4, 70), (64, 2, 8, 33)])
@pytest.mark.parametrize("steps", [[1], [4, 1], [1, 3], [2, 1, 1]])
@torch.no_grad()
def test_features_are_those_of_the_whole_model(
    hidden: int, layers: int, heads: int, context: int, steps: list[int]
) -> None:
    """Whatever is read at once, up to the last position there is."""
    player, rows = generator(hidden, layers, heads, context), tokens(3, context)
    expected = player.features(rows)
    state, at = player.start(3), 0
    while at < context:
        for count in steps:
            count = min(count, context - at)
            if count:
                feature, state = player.read(rows[:, at : at + count], state)
                at += count
                assert torch.allclose(feature, expected[:, at - 1], atol=1e-5)
    with pytest.raises(ValueError, match=f"{context + 1} tokens .* {context}"):
        player.read(rows[:, :1], state)


@torch.no_grad()
def test_a_state_read_from_twice_goes_on_both_ways() -> None:
    player, rows = generator(), tokens(4, 30)
    other = rows.clone()
    other[:, 6:] = tokens(4, 24, seed=2)
    _, state = player.read(rows[:, :6], player.start(4))
    one, two = state, state
    for i in range(6, 30):
        mine, one = player.read(rows[:, i : i + 1], one)
        its, two = player.read(other[:, i : i + 1], two)
        assert torch.allclose(mine, player.features(rows[:, : i + 1])[:, -1], atol=1e-5)
        assert torch.allclose(its, player.features(other[:, : i + 1])[:, -1], atol=1e-5)


@torch.no_grad()
def test_chosen_rows_are_independent_of_each_other_and_of_where_they_come_from() -> None:
    player, rows = generator(), tokens(3, 20)
    _, state = player.read(rows[:, :5], player.start(3))
    chosen = torch.tensor([2, 0, 2, 2])
    texts = torch.cat([rows[chosen, :5], tokens(4, 15, seed=3)], 1)
    copies = state.select(chosen)
    for i in range(5, 20):
        feature, copies = player.read(texts[:, i : i + 1], copies)
        original, state = player.read(rows[:, i : i + 1], state)
        assert torch.allclose(feature, player.features(texts[:, : i + 1])[:, -1], atol=1e-5)
        assert torch.allclose(original, player.features(rows[:, : i + 1])[:, -1], atol=1e-5)


def test_reading_needs_no_gradient_and_knows_no_dropout() -> None:
    player, rows = generator(), tokens(2, 9)
    expected = player.features(rows)[:, -1]
    feature, _ = player.train().read(rows, player.start(2))
    assert torch.allclose(feature, expected, atol=1e-5) and not feature.requires_grad


@pytest.mark.parametrize("length", [1, 5, 23, 40])
@torch.no_grad()
def test_a_state_is_no_larger_than_it_says(length: int) -> None:
    player, rows = generator(), tokens(3, length)
    state = player.start(3)
    for i in range(length):
        _, state = player.read(rows[:, i : i + 1], state)
    held = sum(layer.numel() for layer in state.buffer.layers)
    assert 3 * 2 * 2 * 16 * length <= held <= 3 * player.state_size(length)


@torch.no_grad()
def test_weights_in_bfloat16() -> None:
    player, rows = generator(), tokens(3, 12)
    expected = player.features(rows)
    half = generator().bfloat16()
    feature, state = half.read(rows[:, :5], half.start(3))
    for i in range(5, 12):
        assert feature.dtype == torch.bfloat16
        assert torch.allclose(feature.float(), expected[:, i - 1], atol=0.15)
        feature, state = half.read(rows[:, i : i + 1], state)
