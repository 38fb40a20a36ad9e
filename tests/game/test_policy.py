"""Objectives on samples: where they agree with the policy gradient, and where PPO stops paying."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.game.policy import clipped_loss, clipped_tokens, importance_loss, likelihood_loss


def gradient(value: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(value, at)[0]


def test_both_have_the_policy_gradient_at_the_weights_that_drew_the_samples(tiny: Any) -> None:
    scores = torch.randn(len(tiny.tokens), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    model = tiny.table(3).requires_grad_()
    old = tiny.logprobs(model).detach()
    weights = scores[:, None] * tiny.mask
    true = gradient((tiny.probability(model) * scores).sum(), model)
    for loss in (
        likelihood_loss(tiny.logprobs(model), weights),
        clipped_loss(tiny.logprobs(model), old, weights, 0.2),
        importance_loss(tiny.logprobs(model), old, weights, 1.2),
    ):
        assert torch.allclose(gradient(tiny.expected(model, loss), model), -true, atol=1e-12)


def test_within_its_range_ppo_corrects_the_next_tokens_distribution(tiny: Any) -> None:
    """On texts of weights a step away: the expectation of rho A is that of A under the new next-token probabilities."""
    old, new = tiny.table(3), (tiny.table(3) + 0.01 * tiny.table(4)).requires_grad_()
    advantage = torch.randn(tiny.before.max() + 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    chosen = torch.where(tiny.mask, advantage[tiny.before, (tiny.tokens - 1).clamp(0, 2)], 0.0)
    loss = clipped_loss(tiny.logprobs(new), tiny.logprobs(old), chosen, 0.9)
    expected = -(tiny.reached(old)[:, None] * new.softmax(-1) * advantage).sum()
    assert float(tiny.expected(old, loss).detach()) == pytest.approx(float(expected.detach()), abs=1e-12)
    assert torch.allclose(gradient(tiny.expected(old, loss), new), gradient(expected, new), atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.1, 2.0, 2.2, 2.2),
        (1.5, 2.0, 2.4, 0.0),
        (0.5, 2.0, 1.0, 1.0),
        (0.9, -2.0, -1.8, -1.8),
        (0.5, -2.0, -1.6, 0.0),
        (1.5, -2.0, -3.0, -3.0),
    ],
)
def test_ppo_stops_paying_beyond_its_range(ratio: float, advantage: float, value: float, slope: float) -> None:
    """Figure 1 of Schulman et al. 2017; the slope is the one of log P."""
    logprobs = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    old, weight = torch.zeros(1, dtype=torch.float64), torch.tensor([advantage], dtype=torch.float64)
    loss = clipped_loss(logprobs, old, weight, 0.2)
    assert float(loss.detach()) == pytest.approx(-value)
    assert float(gradient(loss.sum(), logprobs)) == pytest.approx(-slope)
    assert bool(clipped_tokens(logprobs, old, weight, 0.2)) is (slope == 0)


def test_a_token_without_an_advantage_is_not_called_clipped() -> None:
    assert not clipped_tokens(torch.tensor([2.0]), torch.zeros(1), torch.zeros(1), 0.2).any()


def test_importance_weights_turn_cold_samples_into_the_warm_next_token_gradient(tiny: Any) -> None:
    """Whatever drew the samples: the gradient of the expected advantage under P's next-token probabilities."""
    model = tiny.table(3).requires_grad_()
    cold = (model / 0.5).detach()
    advantage = torch.randn(tiny.before.max() + 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    chosen = torch.where(tiny.mask, advantage[tiny.before, (tiny.tokens - 1).clamp(0, 2)], 0.0)
    true = gradient((tiny.reached(cold)[:, None] * model.softmax(-1) * advantage).sum(), model)
    loss = importance_loss(tiny.logprobs(model), tiny.logprobs(cold), chosen, 1e6)
    assert torch.allclose(gradient(tiny.expected(cold, loss), model), -true, atol=1e-12)
    bounded = importance_loss(tiny.logprobs(model), tiny.logprobs(cold), chosen, 1.1)
    assert not torch.allclose(gradient(tiny.expected(cold, bounded), model), -true, atol=1e-3)


@pytest.mark.parametrize(("ratio", "slope"), [(0.5, 1.0), (1.1, 2.2), (3.0, 2.4)])
def test_an_importance_weight_has_a_largest_value(ratio: float, slope: float) -> None:
    logprobs = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    loss = importance_loss(logprobs, torch.zeros(1, dtype=torch.float64), torch.tensor([2.0]), 1.2)
    assert float(gradient(loss.sum(), logprobs)) == pytest.approx(-slope)
