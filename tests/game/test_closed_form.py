"""The discriminator as a formula, against the definitions and automatic differentiation over all texts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mgan.game.closed_form import batch_weights, jensen_shannon, log_weights

P = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
"""The data: the last text is none of them."""
Q = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def js(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    real = p > 0
    return ((p[real] * (p / middle)[real].log()).sum() + (q * (q / middle).log()).sum()) / 2


def test_the_divergence_needs_the_training_texts_alone() -> None:
    inside = P > 0
    assert jensen_shannon((Q / P)[inside].log(), P[inside]) == pytest.approx(js(P, Q).item(), abs=1e-12)
    assert jensen_shannon(torch.zeros(3), P[:3]) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(torch.full((3,), -200.0), P[:3]) == pytest.approx(math.log(2))


def test_the_weights_are_the_gradient_of_the_divergence() -> None:
    """-E_p[w grad log P] is the gradient of 2 JS, here in the logits of P."""
    logits = Q.log().requires_grad_()
    value = 2 * js(P, logits.softmax(0))
    (exact,) = torch.autograd.grad(value, logits)
    inside = P > 0
    weights = log_weights((Q / P)[inside].log()).exp()
    surrogate = -(P[inside] * weights * logits.log_softmax(0)[inside]).sum()
    (ours,) = torch.autograd.grad(surrogate, logits)
    torch.testing.assert_close(ours, exact)


def test_a_weight_is_p_over_n_times_its_surprise_until_it_cannot_be_told_in_numbers() -> None:
    ratios = torch.tensor([-20.0, -1.0, 0.0, 5.0, 30.0])
    u = ratios.double().exp()
    torch.testing.assert_close(log_weights(ratios).exp(), u * torch.log1p(1 / u))
    far = torch.tensor([-1000.0, -1001.0])
    assert log_weights(far).tolist() == pytest.approx([-1000 + math.log(1000), -1001 + math.log(1001)])
    share = batch_weights(far)
    assert share.sum().item() == pytest.approx(1) and share[0] / share[1] == pytest.approx(
        math.e * 1000 / 1001, rel=1e-5
    )
