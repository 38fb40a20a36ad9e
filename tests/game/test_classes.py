"""Classes of real texts and one of generated ones, the penalty-based objective, and what makes offspring fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.game import offspring
from mgan.game.classes import class_loss, own_logit
from mgan.game.losses import relativistic_average
from mgan.game.policy import likelihood_loss, probability_loss


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_own_logit_is_that_of_the_softmax() -> None:
    z, label = drawn(7, 5, 4), torch.arange(35).view(7, 5) % 3
    share = z.softmax(-1).gather(-1, label[..., None]).squeeze(-1)
    assert torch.allclose(own_logit(z, label).sigmoid(), share)


def test_the_best_classes_are_shares_of_real_and_generated_text() -> None:
    """By descent, on four texts and two labels: D_j(x) = p(j, x) / (p(x) + P(x))."""
    p, q = drawn(8).softmax(0).view(2, 4), drawn(8, seed=1).softmax(0).view(2, 4)
    z = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        """Every text counts as often as it is met."""
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for label in range(2):
            for text in range(4):
                of = z[text : text + 1]
                alone = class_loss(of, torch.tensor([label]), of[:0])
                total = total + p[label, text] * alone
                total = total + q[label, text] * class_loss(of[:0], torch.tensor([label])[:0], of)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)
    expected = torch.stack([*p, q.sum(0)], 1) / (p.sum(0) + q.sum(0))[:, None]
    assert torch.allclose(z.softmax(1), expected, atol=1e-5)
    said = own_logit(z.detach(), torch.ones(4, dtype=torch.long)).sigmoid()
    assert torch.allclose(said, p[1] / (p.sum(0) + q.sum(0)), atol=1e-5), "real and of label 1"


def test_the_penalty_moves_a_token_by_its_probability() -> None:
    logprobs, cost = -drawn(3, 4).abs().requires_grad_(), drawn(3, 4, seed=1)
    (ours,) = torch.autograd.grad(probability_loss(logprobs, cost).sum(), logprobs, retain_graph=True)
    (theirs,) = torch.autograd.grad(likelihood_loss(logprobs, cost).sum(), logprobs)
    assert torch.allclose(ours, logprobs.detach().exp() * theirs) and not torch.allclose(ours, theirs)


def test_the_averages_of_one_representation_are_the_losses_of_texts_apart() -> None:
    mine, other = drawn(5, 1), drawn(5, 1, seed=1)
    one = torch.ones_like(mine)
    expected = relativistic_average(mine, one, other, one)
    assert float(offspring.relativistic_average(mine, other).sum()) == pytest.approx(float(expected))
    wide = offspring.relativistic_average(drawn(5, 3), drawn(5, 3, seed=1))
    alone = offspring.relativistic_average(drawn(5, 3)[:, 1:2], drawn(5, 3, seed=1)[:, 1:2])
    assert torch.allclose(wide[:, 1:2], alone), "no representation is compared with another"


def test_quality_is_nearness_to_the_real_texts_of_the_same_label() -> None:
    fake, real = torch.tensor([1.0, 2.0, 7.0, 5.0]), torch.tensor([0.0, 2.0, 6.0, 4.0])
    label = torch.tensor([0, 0, 2, 2])
    expected = -(((1 - 1) ** 2) + ((2 - 1) ** 2) + ((7 - 5) ** 2) + ((5 - 5) ** 2)) / 4
    assert float(offspring.quality(fake, real, label)) == pytest.approx(expected)
    assert float(offspring.quality(real * 0 + 3, real, label * 0)) == 0.0
