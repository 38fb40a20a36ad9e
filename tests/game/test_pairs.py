"""Losses that compare texts: closed forms, and the optimum they share with the binary one up to a constant a prompt."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mgan.game.pairs import PAIR_LOSSES, bradley_terry, contrastive, preference

REAL = torch.tensor([0.5, -1.0], dtype=torch.float64)
FAKE = torch.tensor([[0.2, -3.0, 2.0], [-1.0, 0.0, 4.0]], dtype=torch.float64)


def test_bradley_terry_by_hand() -> None:
    expected = [
        sum(-math.log(1 / (1 + math.exp(g - x))) for g in row) / len(row)
        for x, row in zip(REAL.tolist(), FAKE.tolist(), strict=True)
    ]
    assert bradley_terry(REAL, FAKE).tolist() == pytest.approx(expected, abs=1e-12)


def test_contrastive_by_hand() -> None:
    expected = [
        -math.log(math.exp(x) / (math.exp(x) + sum(map(math.exp, row))))
        for x, row in zip(REAL.tolist(), FAKE.tolist(), strict=True)
    ]
    assert contrastive(REAL, FAKE).tolist() == pytest.approx(expected, abs=1e-12)


def test_with_one_sample_a_prompt_they_are_one_loss() -> None:
    assert torch.allclose(contrastive(REAL, FAKE[:, :1]), bradley_terry(REAL, FAKE[:, :1]))


@pytest.mark.parametrize("loss", PAIR_LOSSES.values(), ids=PAIR_LOSSES)
def test_only_differences_within_a_prompt_count(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    level = torch.tensor([7.0, -30.0], dtype=torch.float64)
    assert torch.allclose(loss(REAL + level, FAKE + level[:, None]), loss(REAL, FAKE))
    assert not torch.allclose(loss(REAL + level, FAKE), loss(REAL, FAKE))
    far = torch.tensor([1e4])
    assert loss(-far, far[:, None]).isfinite() and loss(far, -far[:, None]).isfinite()


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(PAIR_LOSSES))
def test_the_optimum_is_the_log_ratio_up_to_a_constant(name: str, samples: int) -> None:
    """Five possible texts, every draw of one real and some generated ones weighted by its probability."""
    torch.manual_seed(0)
    p, q = torch.randn(2, 5, dtype=torch.float64).softmax(1)
    draws = torch.cartesian_prod(*[torch.arange(5)] * (1 + samples))
    chance = p[draws[:, 0]] * q[draws[:, 1:]].prod(1)

    def slope(d: Tensor) -> Tensor:
        d = d.clone().requires_grad_()
        loss = (chance * PAIR_LOSSES[name](d[draws[:, 0]], d[draws[:, 1:]])).sum()
        return torch.autograd.grad(loss, d)[0]

    optimum = p.log() - q.log()
    assert slope(optimum).abs().max() < 1e-12
    assert slope(optimum + 3).abs().max() < 1e-12
    assert slope(1.1 * optimum).abs().max() > 1e-3


def test_preference_counts_pairs_of_one_prompt_and_ties_half() -> None:
    real, fake = torch.tensor([1.0, -5.0]), torch.tensor([[0.0, 1.0], [-6.0, -4.0]])
    assert preference(real, fake) == (1 + 0.5 + 1 + 0) / 4
