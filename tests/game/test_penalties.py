"""Penalties against closed forms: a linear score has one slope everywhere, a quadratic one the slope it is asked at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mgan.game.penalties import gradient_penalty, noisy, r1

SOURCE = torch.Generator().manual_seed(0)
REAL, FAKE = torch.randn(2, 5, 4, 3, dtype=torch.float64, generator=SOURCE)
MIX = torch.rand(5, dtype=torch.float64, generator=SOURCE)


def test_a_linear_score_is_penalised_for_its_slope() -> None:
    weight = torch.randn(4, 3, dtype=torch.float64, generator=SOURCE, requires_grad=True)

    def score(x: Tensor) -> Tensor:
        return (x * weight).sum((1, 2))

    slope = weight.norm()
    penalty = gradient_penalty(score, REAL, FAKE, MIX)
    assert torch.allclose(penalty, (slope - 1) ** 2)
    assert torch.allclose(r1(score, REAL), slope**2 / 2)
    (found,) = torch.autograd.grad(penalty, weight)
    assert torch.allclose(found, 2 * (slope - 1) * weight / slope)


def test_a_quadratic_score_is_asked_between_the_texts() -> None:
    """score = c |x|^2/2 has the slope c |x|."""
    c = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)

    def score(x: Tensor) -> Tensor:
        return c * x.square().sum((1, 2)) / 2

    between = MIX[:, None, None] * REAL + (1 - MIX)[:, None, None] * FAKE
    length = between.flatten(1).norm(dim=1)
    penalty = gradient_penalty(score, REAL, FAKE, MIX)
    assert torch.allclose(penalty, ((c * length - 1) ** 2).mean())
    (found,) = torch.autograd.grad(penalty, c)
    assert torch.allclose(found, (2 * (c * length - 1) * length).mean())
    (found,) = torch.autograd.grad(r1(score, REAL), c)
    assert torch.allclose(found, c * REAL.flatten(1).square().sum(1).mean())


def test_several_scores_of_a_text_are_added() -> None:
    def one(x: Tensor) -> Tensor:
        return x.square().sum((1, 2))

    def two(x: Tensor) -> Tensor:
        return torch.stack([x.square().sum((1, 2)) / 3, 2 * x.square().sum((1, 2)) / 3], 1)

    assert torch.allclose(r1(two, REAL), r1(one, REAL))


def test_a_flat_score_has_the_whole_penalty_and_no_nan() -> None:
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x @ weight).sum(1), REAL, FAKE, MIX)
    assert penalty.item() == 1.0
    (found,) = torch.autograd.grad(penalty, weight)
    assert found.isfinite().all()


def test_the_penalty_makes_a_network_lipschitz() -> None:
    """A critic that would grow without end settles at slope 1, where the two are apart."""
    torch.manual_seed(0)
    critic = nn.Linear(2, 1, bias=False)
    real, fake, mix = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0.5])
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = critic(fake).sum() - critic(real).sum() + 10 * gradient_penalty(critic, real, fake, mix)
        loss.backward()
        optimizer.step()
    # 3 = 20 (slope - 1): the mean distance of the two pulls against ten times the penalty.
    assert critic.weight.norm().item() == pytest.approx(1.15, abs=1e-3)
    assert critic.weight[0].tolist() == pytest.approx([1.15, 0.0], abs=1e-3)


def test_noise_has_its_deviation_and_leaves_padding_alone() -> None:
    embedded = torch.ones(200, 10, 8)
    mask = torch.arange(10).expand(200, 10) < 6
    found = noisy(embedded, mask, 0.3, torch.Generator().manual_seed(1))
    assert torch.equal(found[:, 6:], embedded[:, 6:])
    assert float(found[:, :6].std()) == pytest.approx(0.3, rel=0.03)
    assert float(found[:, :6].mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(found, noisy(embedded, mask, 0.3, torch.Generator().manual_seed(1)))
