"""Rewards, returns and baselines against loops a person can check."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mgan.game.signals import (
    SIGNALS,
    final,
    others_mean,
    returns_to_go,
    rewards_of_values,
)
from mgan.game.values import PAYOFFS


def ragged(seed: int, rows: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random logits (wild off the mask), mask and prompt lengths; every row has a completion."""
    source = torch.Generator().manual_seed(seed)
    prompt = torch.randint(1, width, (rows,), generator=source)
    length = prompt + 1 + (torch.rand(rows, generator=source) * (width - prompt)).long()
    position = torch.arange(width)
    mask = (position >= prompt[:, None]) & (position < length[:, None])
    logits = torch.randn(rows, width, generator=source, dtype=torch.float64)
    return torch.where(mask, logits, 1e6), mask, prompt


sizes = st.tuples(st.integers(0, 10_000), st.integers(1, 7), st.integers(2, 9))


@given(sizes, st.sampled_from(["dense", "sequence"]), st.sampled_from(sorted(PAYOFFS)))
@settings(max_examples=80, deadline=None)
def test_the_rewards_of_a_text_add_up_to_its_verdict(size: tuple[int, int, int], signal: str, value: str) -> None:
    logits, mask, _ = ragged(*size)
    payoff = PAYOFFS[value]
    rewards = SIGNALS[signal](logits, mask, payoff)
    assert (rewards[~mask] == 0).all()
    undecided = payoff(torch.zeros(1, dtype=torch.float64)) if signal == "dense" else 0.0
    assert torch.allclose(rewards.sum(1), payoff(final(logits, mask)) - undecided, atol=1e-9)


@given(sizes)
@settings(max_examples=30, deadline=None)
def test_the_final_verdict_is_the_last_one_on_the_mask(size: tuple[int, int, int]) -> None:
    logits, mask, _ = ragged(*size)
    expected = [row[m][-1].item() for row, m in zip(logits, mask, strict=True)]
    assert final(logits, mask).tolist() == expected


@given(sizes)
@settings(max_examples=30, deadline=None)
def test_the_returns_of_the_rewards_of_values_are_the_values(size: tuple[int, int, int]) -> None:
    values, mask, _ = ragged(*size)
    rewards = rewards_of_values(values, mask)
    assert (rewards[~mask] == 0).all()
    assert torch.allclose(returns_to_go(rewards, mask, 1.0), torch.where(mask, values, 0.0), atol=1e-9)


def test_dense_rewards_by_hand() -> None:
    logits = torch.tensor([[9.0, 9.0, 2.0, 5.0, 9.0]])
    mask = torch.tensor([[False, False, True, True, False]])
    assert SIGNALS["dense"](logits, mask, PAYOFFS["reverse_kl"]).tolist() == [[0, 0, 2, 3, 0]]
    assert SIGNALS["sequence"](logits, mask, PAYOFFS["reverse_kl"]).tolist() == [[0, 0, 0, 5, 0]]
    assert SIGNALS["prefix"](logits, mask, PAYOFFS["reverse_kl"]).tolist() == [[0, 0, 2, 5, 0]]


@given(sizes, st.sampled_from([0.0, 0.5, 0.9, 1.0]))
@settings(max_examples=60, deadline=None)
def test_returns_are_discounted_sums_of_what_comes(size: tuple[int, int, int], discount: float) -> None:
    rewards, mask, _ = ragged(*size)
    returns = returns_to_go(rewards, mask, discount)
    rows, width = mask.shape
    for b in range(rows):
        for i in range(width):
            expected = sum(discount ** (j - i) * float(rewards[b, j]) for j in range(i, width) if mask[b, j])
            assert float(returns[b, i]) == pytest.approx(expected if mask[b, i] else 0.0, abs=1e-9)


@given(sizes, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_the_baseline_is_the_mean_of_the_other_rows_of_the_group_at_the_same_place(
    size: tuple[int, int, int], groups: int
) -> None:
    returns, mask, prompt = ragged(*size)
    rows, width = mask.shape
    group = torch.randint(0, groups, (rows,), generator=torch.Generator().manual_seed(size[0]))
    found = others_mean(returns, mask, prompt, group)
    for b in range(rows):
        for i in range(width):
            others = []
            for c in range(rows):
                j = i - int(prompt[b]) + int(prompt[c])
                if c != b and group[c] == group[b] and 0 <= j < width and mask[c, j]:
                    others.append(float(returns[c, j]))
            expected = sum(others) / len(others) if others and mask[b, i] else 0.0
            assert float(found[b, i]) == pytest.approx(expected, abs=1e-9)


def test_a_rows_own_return_never_enters_its_baseline() -> None:
    returns, mask, prompt = ragged(11, 6, 8)
    group = torch.zeros(6, dtype=torch.long)
    before = others_mean(returns, mask, prompt, group)
    returns[2] += 100
    assert torch.allclose(others_mean(returns, mask, prompt, group)[2], before[2])
