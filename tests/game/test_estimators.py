"""Estimators by enumeration: what they are in expectation, exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.game.estimators import all_action_loss, normalised_importance


def test_the_all_action_loss_has_the_gradient_of_the_expected_value() -> None:
    logits, values = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    logits.requires_grad_()
    loss = all_action_loss(logits, values)
    assert loss.shape == (3,)
    (found,) = torch.autograd.grad(loss.sum(), logits)
    # E[(Q - E Q) 1(a)]: the softmax's own gradient of an expectation.
    chance = logits.detach().softmax(-1)
    expected = -chance * (values - (chance * values).sum(-1, keepdim=True))
    assert torch.allclose(found, expected)
    (shifted,) = torch.autograd.grad(all_action_loss(logits, values + 7).sum(), logits)
    assert torch.allclose(shifted, expected)


def test_values_are_constants() -> None:
    logits = torch.zeros(4, requires_grad=True)
    values = torch.ones(4, requires_grad=True)
    all_action_loss(logits, values).backward()
    assert values.grad is None


def expected_gradient(logits: Tensor, d: Tensor, rows: int) -> Tensor:
    """Of sum_i A_i log P(x_i)/rows over every way to draw ``rows`` points."""
    draws = torch.cartesian_prod(*[torch.arange(len(d))] * rows)
    chance = logits.softmax(0).detach()[draws].prod(1)
    group = torch.arange(len(draws)).repeat_interleave(rows)
    weight = normalised_importance(d[draws.flatten()], group).view(draws.shape)
    assert weight.sum(1).abs().max() < 1e-12
    surrogate = (chance[:, None] * weight * logits.log_softmax(0)[draws]).sum() / rows
    (found,) = torch.autograd.grad(surrogate, logits)
    return found


def test_normalised_importance_comes_near_the_likelihood_of_data_as_the_group_grows() -> None:
    source = torch.Generator().manual_seed(1)
    p = torch.randn(3, dtype=torch.float64, generator=source).softmax(0)
    logits = torch.randn(3, dtype=torch.float64, generator=source, requires_grad=True)
    d = p.log() - logits.detach().log_softmax(0)
    (exact,) = torch.autograd.grad((p * logits.log_softmax(0)).sum(), logits)
    off = [float((expected_gradient(logits, d, rows) - exact).norm() / exact.norm()) for rows in (2, 4, 8)]
    assert off[0] > off[1] > off[2]
    assert off[2] == pytest.approx(off[1] / 2, rel=0.3)  # O(1/N)


def test_groups_and_the_level_of_the_logits_are_apart() -> None:
    d = torch.tensor([0.0, 1.0, 500.0, 501.0, -3.0])
    found = normalised_importance(d, torch.tensor([0, 0, 1, 1, 2]))
    pair = 2 * torch.tensor([0.0, 1.0]).softmax(0) - 1
    assert torch.allclose(found, torch.cat([pair, pair, torch.zeros(1)]))
