"""Value functions against brute force: the optimum of D point by point, the divergence that G then descends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from mgan.game.losses import (
    LARGEST,
    LOSSES,
    PAYOFFS,
    binary,
    relativistic_average,
    relativistic_average_payoff,
    wasserstein,
)
from mgan.game.values import discriminator_loss

POINTS = 7


def pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    """[POINTS] twice: the data's distribution, and the generator's logits, with a gradient."""
    source = torch.Generator().manual_seed(seed)
    p, logits = torch.randn(2, POINTS, dtype=torch.float64, generator=source)
    return p.softmax(0), logits.requires_grad_()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def triangle(p: Tensor, q: Tensor) -> Tensor:
    return ((p - q) ** 2 / (p + q)).sum()


def best(loss: Callable[[Tensor], Tensor]) -> Tensor:
    """[POINTS]: the logits with the least loss, by descent."""
    d = torch.zeros(POINTS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [d], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(d)
        value.backward()
        return value

    optimizer.step(closure)
    return d.detach()


OPTIMA: dict[str, Callable[[Tensor], Tensor]] = {
    "binary": lambda r: r.log(),
    "least_squares": lambda r: (r - 1) / (r + 1),
    "hinge": lambda r: (r - 1).sign(),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["binary", "least_squares"])
def test_the_optimum_of_a_smooth_loss(name: str, seed: int) -> None:
    p, logits = pair(seed)
    q = logits.detach().softmax(0)
    found = best(lambda d: LOSSES[name](d, p, d, q))
    assert torch.allclose(found, OPTIMA[name](p / q), atol=1e-6)


def test_the_optimum_of_the_hinge_loss() -> None:
    p, logits = pair()
    q = logits.detach().softmax(0)
    grid = torch.linspace(-3, 3, 601, dtype=torch.float64)
    for i in range(POINTS):
        losses = torch.stack([LOSSES["hinge"](d, p[i], d, q[i]) for d in grid])
        assert float(grid[losses.argmin()]) == pytest.approx(float(OPTIMA["hinge"](p / q)[i]), abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_smoothing_moves_the_optimum_as_stated(smoothing: float) -> None:
    p, logits = pair()
    q = logits.detach().softmax(0)
    found, r = best(lambda d: binary(d, p, d, q, smoothing)), p / q
    assert torch.allclose(found, ((1 - smoothing) * r / (1 + smoothing * r)).log(), atol=1e-6)
    assert not torch.allclose(found, r.log(), atol=0.05)


def test_without_smoothing_the_loss_is_the_cross_entropy() -> None:
    arguments = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)).unbind()
    assert torch.allclose(binary(*arguments), discriminator_loss(*arguments))


def transport(p: Tensor, q: Tensor) -> Tensor:
    """The Wasserstein-1 distance on points one apart on a line: what must cross each gap."""
    return (p.cumsum(0) - q.cumsum(0)).abs()[:-1].sum()


def lipschitz(p: Tensor, q: Tensor) -> Tensor:
    """[POINTS]: the 1-Lipschitz critic with the least loss, of all whose steps are 1 or -1."""
    steps = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=POINTS - 1)), dtype=torch.float64)
    critics = torch.nn.functional.pad(steps.cumsum(1), (1, 0))
    losses = [float(wasserstein(d, p, d, q)) for d in critics]
    return critics[losses.index(min(losses))]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_lipschitz_critic_says_what_it_costs_to_move_the_mass(seed: int) -> None:
    p, logits = pair(seed)
    q = logits.detach().softmax(0)
    d = lipschitz(p, q)
    assert float(wasserstein(d, p, d, q)) == pytest.approx(-float(transport(p, q)), abs=1e-12)


GAMES: dict[tuple[str, str], Callable[[Tensor, Tensor], Tensor]] = {
    ("binary", "minimax"): lambda p, q: 2 * js(p, q),
    ("binary", "nonsaturating"): lambda p, q: kl(q, p) - 2 * js(p, q),
    ("binary", "reverse_kl"): lambda p, q: kl(q, p),
    ("binary", "kl"): kl,
    ("binary", "js"): js,
    ("binary", "probability"): lambda p, q: kl(p, (p + q) / 2),
    ("binary", "penalty"): lambda p, q: kl(p, (p + q) / 2),
    ("binary", "signed_probability"): lambda p, q: 2 * kl(p, (p + q) / 2),
    ("least_squares", "least_squares"): lambda p, q: 4 * kl(p, (p + q) / 2) - triangle(p, q) / 2,
    ("least_squares", "critic"): lambda p, q: 2 * kl(p, (p + q) / 2),
    ("hinge", "critic"): lambda p, q: (p - q).abs().sum(),
    ("wasserstein", "critic"): transport,
}


@pytest.mark.parametrize("game", GAMES, ids="-".join)
def test_with_the_best_discriminator_the_generator_descends_the_stated_divergence(game: tuple[str, str]) -> None:
    loss, payoff = game
    for seed in range(3):
        p, logits = pair(seed)
        q = logits.softmax(0)
        d = lipschitz(p, q.detach()) if loss == "wasserstein" else OPTIMA[loss](p / q.detach())
        expected = (q * PAYOFFS[payoff](d)).sum()
        (ascent,) = torch.autograd.grad(expected, logits, retain_graph=True)
        (descent,) = torch.autograd.grad(GAMES[game](p, q), logits)
        assert torch.allclose(ascent, -descent, atol=1e-12)
        assert descent.abs().max() > 1e-3


def test_there_is_a_divergence_for_every_payoff() -> None:
    assert {payoff for _, payoff in GAMES} == set(PAYOFFS)


@pytest.mark.parametrize("name", sorted({*PAYOFFS} - {"least_squares"}))
def test_a_payoff_grows_with_the_verdict_and_stays_finite(name: str) -> None:
    paid = PAYOFFS[name](torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4]))
    assert paid.isfinite().all() and (paid.diff() >= 0).all() and paid[-1] > paid[0]


def test_the_payoff_of_kl_is_held_where_one_text_would_be_all() -> None:
    assert float(PAYOFFS["kl"](torch.tensor(3.0))) == pytest.approx(math.e**3)
    assert float(PAYOFFS["kl"](torch.tensor(1e4))) == pytest.approx(math.exp(LARGEST))


@pytest.mark.parametrize("name", LOSSES)
def test_a_position_that_weighs_nothing_has_no_gradient(name: str) -> None:
    logits = torch.tensor([[0.5, 0.3], [-0.4, 0.1]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    LOSSES[name](logits, weight, 2 * logits, weight).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1] == 0).all() and (logits.grad[:, 0] != 0).all()


def averages(d: Tensor, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    return (p * d).sum(), (q * d).sum()


def test_the_relativistic_average_is_its_definition() -> None:
    p, logits = pair()
    q, d = logits.detach().softmax(0), torch.randn(POINTS, dtype=torch.float64)
    real, fake = averages(d, p, q)
    expected = -(p * logsigmoid(d - fake)).sum() - (q * logsigmoid(real - d)).sum()
    assert torch.allclose(relativistic_average(d, p, d, q), expected)
    # Sums, not means: what weighs twice counts twice.
    assert torch.allclose(relativistic_average(d, 2 * p, d, 2 * q), 2 * expected)


def test_the_best_relativistic_discriminator_orders_by_the_ratio() -> None:
    """And is stationary where its implicit equation says, in logits that have no level."""
    p, logits = pair(3)
    q = (0.5 * logits.detach()).softmax(0)
    p = (0.5 * p.log()).softmax(0)
    d = best(lambda d: relativistic_average(d, p, d, q))
    real, fake = averages(d, p, q)
    s, t = (p * torch.sigmoid(fake - d)).sum(), (q * torch.sigmoid(d - real)).sum()
    assert torch.allclose(q * (torch.sigmoid(d - real) + s), p * (torch.sigmoid(fake - d) + t), atol=1e-7)
    assert torch.equal(d.argsort(), (p / q).argsort())
    assert torch.allclose(relativistic_average(d + 3, p, d + 3, q), relativistic_average(d, p, d, q))


def test_the_relativistic_payoff_has_the_gradient_of_the_generators_loss() -> None:
    """Any D. The loss depends on the generator through its average too, which is what the second term pays."""
    p, logits = pair(4)
    q = logits.softmax(0)
    d = 2 * torch.randn(POINTS, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (descent,) = torch.autograd.grad(relativistic_average(d, q, d, p), logits, retain_graph=True)
    payoff = relativistic_average_payoff(d, p, d, q.detach())
    (ascent,) = torch.autograd.grad((q * payoff(d)).sum(), logits, retain_graph=True)
    assert torch.allclose(ascent, -descent, atol=1e-12)
    (without,) = torch.autograd.grad((q * -softplus(averages(d, p, q)[0].detach() - d)).sum(), logits)
    assert not torch.allclose(without, -descent, atol=1e-2)
