"""Ranking against its definition, summed up by loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mgan.game.ranking import log_rank, ranking_loss, rivals

SHARPNESS = 5.0


def cloud(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def d(texts: Tensor, references: Tensor, comparison: Tensor) -> Tensor:
    return log_rank(texts, references, rivals(comparison, references, SHARPNESS), len(comparison), SHARPNESS)


def rank(text: Tensor, references: Tensor, comparison: Tensor) -> float:
    def likeness(a: Tensor, b: Tensor) -> float:
        return math.exp(SHARPNESS * float((a @ b / (a.norm() * b.norm())).detach()))

    shares = []
    for reference in references:
        own = likeness(text, reference)
        shares.append(own / (own + sum(likeness(other, reference) for other in comparison)))
    return sum(shares) / len(shares)


def test_the_logit_is_the_rank_of_the_definition() -> None:
    texts, references, comparison = cloud(3, 0), cloud(2, 1), cloud(4, 2)
    found = d(texts, references, comparison).exp() / 5
    assert found.tolist() == pytest.approx([rank(text, references, comparison) for text in texts])
    assert found.max() > 1.5 * found.min()


def test_a_text_like_all_others_has_an_equal_share_whatever_their_number() -> None:
    same = cloud(1, 0)
    for number in (1, 4, 100):
        assert d(same, cloud(3, 1), same.expand(number, 3)).tolist() == pytest.approx([0.0], abs=1e-12)


def test_the_length_of_features_does_not_count() -> None:
    texts, references, comparison = cloud(3, 0), cloud(2, 1), cloud(4, 2)
    assert torch.allclose(d(9 * texts, 3 * references, 2 * comparison), d(texts, references, comparison))


def test_it_never_leaves_its_bounds() -> None:
    reference = cloud(1, 0)
    best, worst = d(reference, reference, -reference), d(-reference, reference, reference)
    assert -2 * SHARPNESS <= float(worst) < -6 and math.log(2) * 0.99 < float(best) <= 2 * SHARPNESS
    many = -reference.expand(100_000, 3)
    assert 9 < float(d(reference, reference, many)) <= 2 * SHARPNESS


def test_the_loss_is_the_difference_of_mean_log_ranks_and_descending_it_ranks_real_texts_first() -> None:
    real, fake, references = cloud(4, 0).requires_grad_(), cloud(4, 1).requires_grad_(), cloud(3, 2)
    loss = ranking_loss(d(real, references, fake), d(fake, references, real))
    expected = sum(math.log(rank(g, references, real)) - math.log(rank(t, references, fake))
                   for t, g in zip(real.detach(), fake.detach(), strict=True)) / 4  # fmt: skip
    assert loss.item() == pytest.approx(expected)
    slopes = torch.autograd.grad(loss, [real, fake])
    with torch.no_grad():
        before = rank(real[0], references, fake)
        real -= 0.3 * slopes[0]
        fake -= 0.3 * slopes[1]
        assert ranking_loss(d(real, references, fake), d(fake, references, real)) < loss - 0.1
        assert rank(real[0], references, fake) > before
