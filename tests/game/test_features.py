"""Feature matching and ranking against their definitions, summed up by loops and by enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mgan.game.features import mmd2, mmd_payoff, rank, ranking_loss

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


def test_the_rank_is_its_definition() -> None:
    texts, references, comparison = cloud(3, 0), cloud(2, 1), cloud(4, 2)

    def cosine(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    expected = []
    for text in texts:
        shares = []
        for reference in references:
            rivals = [math.exp(5 * cosine(other, reference)) for other in [*comparison, text]]
            shares.append(rivals[-1] / sum(rivals))
        expected.append(sum(shares) / len(shares))
    assert rank(texts, references, comparison, 5.0).tolist() == pytest.approx(expected)


def test_a_text_like_all_others_has_an_equal_share() -> None:
    same = cloud(1, 0)
    assert rank(same, cloud(3, 1), same.expand(4, 3), 7.0).tolist() == pytest.approx([1 / 5])


def test_the_length_of_features_does_not_count() -> None:
    texts, references, comparison = cloud(3, 0), cloud(2, 1), cloud(4, 2)
    assert torch.allclose(rank(9 * texts, references, 2 * comparison, 5.0), rank(texts, references, comparison, 5.0))


def test_the_ranker_learns_to_put_real_texts_first() -> None:
    """Descending its loss in the features moves both ranks as it wants; the loss is the paper's sum of logarithms."""
    real, fake, references = cloud(4, 0).requires_grad_(), cloud(4, 1).requires_grad_(), cloud(3, 2)

    def ranks() -> tuple[Tensor, Tensor]:
        return rank(real, references, fake, 2.0), rank(fake, references, real, 2.0)

    before = ranks()
    loss = ranking_loss(*before)
    first, second = (ranks.tolist() for ranks in before)
    assert loss.item() == pytest.approx(-sum(math.log(r) + math.log(1 - f) for r, f in zip(first, second, strict=True)))
    slopes = torch.autograd.grad(loss, [real, fake])
    with torch.no_grad():
        real -= 0.1 * slopes[0]
        fake -= 0.1 * slopes[1]
    after = ranks()
    assert after[0].mean() > before[0].mean() and after[1].mean() < before[1].mean()
