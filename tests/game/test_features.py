"""Feature matching against its definition, summed up by loops and by enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mgan.game.features import mmd2, mmd_payoff

WIDTHS = (0.5, 2.0)


def kernel(x: Tensor, y: Tensor) -> float:
    return sum(math.exp(-float(((x - y) ** 2).sum()) / (2 * s * s)) for s in WIDTHS)


def cloud(rows: int, seed: int, shift: float = 0.0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, dtype=torch.float64, generator=source) + shift


def test_the_discrepancy_is_its_sum_over_pairs() -> None:
    x, y = cloud(4, 0), cloud(5, 1)
    within = [
        sum(kernel(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j) / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    between = sum(kernel(a, b) for a in x for b in y) / 20
    assert float(mmd2(x, y, WIDTHS)) == pytest.approx(sum(within) - 2 * between)


def test_the_discrepancy_tells_clouds_apart() -> None:
    alike, apart = mmd2(cloud(200, 0), cloud(200, 1), WIDTHS), mmd2(cloud(200, 0), cloud(200, 1, shift=1.0), WIDTHS)
    assert abs(float(alike)) < 0.05 < float(apart)


def test_matched_features_come_nearer() -> None:
    real, fake = cloud(60, 0), cloud(60, 1, shift=1.0).requires_grad_()
    before = mmd2(real, fake, WIDTHS)
    (slope,) = torch.autograd.grad(before, fake)
    assert mmd2(real, fake - slope, WIDTHS) < before


def test_the_witness_has_the_gradient_of_the_discrepancy() -> None:
    """Every pair of generated texts, weighted by its probability, from four points with fixed features."""
    points, real = cloud(4, 2), cloud(6, 3)
    logits = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    q = logits.softmax(0)
    within = torch.tensor([[kernel(a, b) for b in points] for a in points], dtype=torch.float64)
    between = torch.tensor([sum(kernel(a, b) for b in real) / len(real) for a in points], dtype=torch.float64)
    (descent,) = torch.autograd.grad(q @ within @ q - 2 * q @ between, logits, retain_graph=True)
    surrogate = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        for j in range(4):
            paid = mmd_payoff(real, points[[i, j]], WIDTHS)
            surrogate = surrogate + (q[i] * q[j]).detach() * (paid @ q[[i, j]].log()) / 2
    (ascent,) = torch.autograd.grad(surrogate, logits)
    assert torch.allclose(ascent, -descent, atol=1e-12)
    assert descent.abs().max() > 1e-2
