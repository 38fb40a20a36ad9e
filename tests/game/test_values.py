"""Payoffs against their closed forms; the optimum of the discriminator's loss."""

from __future__ import annotations

import math

import pytest
import torch

from mgan.game.values import PAYOFFS, discriminator_loss, relativistic

CLOSED_FORMS = {
    "minimax": lambda p: -math.log(1 - p),
    "nonsaturating": lambda p: math.log(p),
    "reverse_kl": lambda p: math.log(p / (1 - p)),
}


@pytest.mark.parametrize("name", sorted(PAYOFFS))
def test_a_payoff_is_its_function_of_the_probability(name: str) -> None:
    logits = torch.linspace(-8, 8, 33, dtype=torch.float64)
    expected = [CLOSED_FORMS[name](float(p)) for p in torch.sigmoid(logits)]
    assert PAYOFFS[name](logits).tolist() == pytest.approx(expected, abs=1e-9)


def test_there_is_a_closed_form_for_every_payoff() -> None:
    assert set(PAYOFFS) == set(CLOSED_FORMS)


@pytest.mark.parametrize("name", sorted(PAYOFFS))
def test_a_payoff_grows_with_the_verdict_and_stays_finite(name: str) -> None:
    logits = torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4])
    paid = PAYOFFS[name](logits)
    assert paid.isfinite().all()
    assert (paid.diff() >= 0).all() and paid[-1] > paid[0]


def test_the_discriminator_loss_is_the_cross_entropy_summed_over_the_weighted_positions() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(3, 4, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    real_weight, fake_weight = torch.rand(3, 4).round().double(), torch.rand(2, 5).round().double()
    expected = 0.0
    for logits, weights, sign in ((real, real_weight, 1), (fake, fake_weight, -1)):
        for d, w in zip(logits.flatten().tolist(), weights.flatten().tolist(), strict=True):
            expected -= w * math.log(1 / (1 + math.exp(-sign * d)))
    assert float(discriminator_loss(real, real_weight, fake, fake_weight)) == pytest.approx(expected)


def test_an_unweighted_position_has_no_gradient() -> None:
    logits = torch.tensor([[1.0, 2.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0]])
    discriminator_loss(logits, weight, logits * 2, weight).backward()
    assert logits.grad is not None and logits.grad[0, 1] == 0 and logits.grad[0, 0] != 0


def test_extreme_logits_give_a_finite_loss_and_gradient() -> None:
    logits = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    loss = discriminator_loss(logits, torch.ones(1, 2), logits * 1, torch.ones(1, 2))
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_the_relativistic_loss_is_its_closed_form_for_either_player() -> None:
    real, fake = torch.tensor([[0.3, -2.0, 4.0], [0.3, 1.0, -1.0]], dtype=torch.float64).unbind()
    for mine, other in ((real, fake), (fake, real)):
        expected = [-math.log(1 / (1 + math.exp(o - m))) for m, o in zip(mine.tolist(), other.tolist(), strict=True)]
        assert relativistic(mine, other).tolist() == pytest.approx(expected, abs=1e-12)
    far = torch.tensor([-1e4, 1e4])
    assert relativistic(far, -far).isfinite().all()


def test_the_relativistic_gradient_is_what_the_loser_has_not_won_yet() -> None:
    """d/dmine = -(1 - sigmoid(mine - other)), and the other's is its negative."""
    mine, other = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    pair = [mine.clone().requires_grad_(), other.clone().requires_grad_()]
    to_mine, to_other = torch.autograd.grad(relativistic(*pair).sum(), pair)
    assert torch.allclose(to_mine, torch.sigmoid(mine - other) - 1)
    assert torch.allclose(to_other, -to_mine)
