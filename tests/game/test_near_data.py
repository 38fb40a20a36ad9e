"""Texts near the data: the distribution of edits, their weights, and the substitutes, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from mgan.game.near_data import choose, replaced_share, sample_weights
from mgan.sampling.uniforms import row_seeds, uniforms


@pytest.mark.parametrize(("tau", "vocabulary", "tokens"), [(0.85, 4839, 12), (2.0, 5, 4), (1.0, 100, 7)])
def test_the_number_of_edits_is_exponentiated_edit_distance(tau: float, vocabulary: int, tokens: int) -> None:
    other = vocabulary - 1
    weight = [math.comb(tokens, k) * math.exp(-k / tau) * other ** (k - k / tau) for k in range(tokens + 1)]
    expected = torch.tensor(weight, dtype=torch.float64) / sum(weight)
    share = replaced_share(tau, vocabulary)
    exact = [math.comb(tokens, k) * share**k * (1 - share) ** (tokens - k) for k in range(tokens + 1)]
    assert exact == pytest.approx(expected.tolist(), rel=1e-9)
    texts = 20_000
    edits = (uniforms(row_seeds(3, texts), tokens) < share).sum(1)
    found = torch.bincount(edits, minlength=tokens + 1) / texts
    deviation = (expected * (1 - expected) / texts).sqrt()
    assert ((found - expected).abs() <= 4.5 * deviation + 1e-4).all()


def test_without_temperature_nothing_is_edited() -> None:
    assert replaced_share(1e-3, 50) == 0.0 and replaced_share(0.01, 4839) < 1e-100


def test_weights_are_a_softmax_that_does_not_overflow() -> None:
    weights = sample_weights(torch.tensor([1.0, 0.0, 1000.0]), 0.5)
    assert weights.tolist() == [0.0, 0.0, 1.0]
    some = sample_weights(torch.tensor([0.3, 0.1]), 0.2)
    assert some[0] / some[1] == pytest.approx(math.e, rel=1e-5) and some.sum() == pytest.approx(1)


def test_substitutes_follow_the_distribution_without_the_forbidden() -> None:
    logits = torch.tensor([0.5, 2.0, -1.0, 0.0, 3.0])
    forbidden = torch.tensor([True, False, False, False, True])
    rows = 20_000
    uniform = uniforms(row_seeds(1, rows), 1).squeeze(1)
    chosen = choose(logits.expand(rows, -1), forbidden.expand(rows, -1), uniform)
    expected = logits.masked_fill(forbidden, -torch.inf).softmax(0)
    found = torch.bincount(chosen, minlength=5) / rows
    assert found[forbidden].sum() == 0
    assert ((found - expected).abs() < 4.5 * (expected * (1 - expected) / rows).sqrt() + 1e-9).all()


def test_the_ends_of_the_uniforms_hit_no_forbidden_token() -> None:
    logits = torch.zeros(2, 4)
    forbidden = torch.tensor([[True, False, False, True]] * 2)
    assert choose(logits, forbidden, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 2]
