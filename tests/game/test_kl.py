"""Estimators of KL(P || P_0): their values and their gradients, by enumeration of every text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.game.kl import KL_LOSSES, k1, k2, k3


@pytest.fixture(scope="module")
def tables(tiny: Any) -> tuple[Tensor, Tensor]:
    return tiny.table(1).requires_grad_(), tiny.table(2)


def gradient(value: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(value, at)[0]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """[rows]: KL of each row's distribution over the next token."""
    return (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1)


def whole(tiny: Any, p: Tensor, q: Tensor) -> Tensor:
    """KL of whole texts."""
    return (tiny.probability(p) * (tiny.logprobs(p) - tiny.logprobs(q)).sum(1)).sum()


def test_k1_and_k3_estimate_the_divergence_and_k2_something_else(tiny: Any, tables: tuple[Tensor, Tensor]) -> None:
    p, q = (table.detach() for table in tables)
    true = float(whole(tiny, p, q))
    found = {f: float(tiny.expected(p, f(tiny.logprobs(p), tiny.logprobs(q)))) for f in (k1, k2, k3)}
    assert found[k1] == pytest.approx(true, abs=1e-12)
    assert found[k3] == pytest.approx(true, abs=1e-12)
    assert abs(found[k2] - true) > 0.05
    # ... and k2 nearly the same where the two are near each other (Schulman 2020).
    near = p + 0.01 * (q - p)
    assert float(tiny.expected(p, k2(tiny.logprobs(p), tiny.logprobs(near)))) == pytest.approx(
        float(whole(tiny, p, near)), rel=0.02
    )


def test_k2_and_k3_are_never_negative_and_k3_varies_less_than_k1(tiny: Any) -> None:
    p = tiny.table(1)
    q = p + 0.2 * tiny.table(2)
    a, b = tiny.logprobs(p), tiny.logprobs(q)
    assert (k2(a, b) >= 0).all() and (k3(a, b) >= 0).all() and (k1(a, b) < 0).any()

    def variance(per_token: Tensor) -> float:
        mean = tiny.expected(p, per_token) / tiny.expected(p, torch.ones_like(per_token))
        return float(tiny.expected(p, (per_token - mean) ** 2))

    assert variance(k3(a, b)) < 0.1 * variance(k1(a, b))


def test_k1_as_a_loss_would_have_no_gradient(tiny: Any, tables: tuple[Tensor, Tensor]) -> None:
    p, q = tables
    assert gradient(tiny.expected(p, k1(tiny.logprobs(p), tiny.logprobs(q))), p).abs().max() < 1e-12
    assert "k1" not in KL_LOSSES


def test_k1_as_a_reward_descends_the_divergence_of_whole_texts(tiny: Any, tables: tuple[Tensor, Tensor]) -> None:
    p, q = tables
    cost = k1(tiny.logprobs(p), tiny.logprobs(q)).detach()
    to_go = cost.flip(1).cumsum(1).flip(1)
    found = gradient(tiny.expected(p, to_go * tiny.logprobs(p)), p)
    assert torch.allclose(found, gradient(whole(tiny, p, q), p), atol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "next_token"), [(k2, lambda p, q: divergence(p, q)), (k3, lambda p, q: divergence(q, p))]
)
def test_as_losses_they_descend_a_divergence_of_the_next_token(
    tiny: Any, tables: tuple[Tensor, Tensor], estimator: Any, next_token: Any
) -> None:
    """k2: KL(P || P_0), k3: KL(P_0 || P), at every prefix as P draws them now; not that of whole texts."""
    p, q = tables
    found = gradient(tiny.expected(p, estimator(tiny.logprobs(p), tiny.logprobs(q))), p)
    expected = gradient((tiny.reached(p).detach() * next_token(p, q)).sum(), p)
    assert torch.allclose(found, expected, atol=1e-12)
    assert not torch.allclose(found, gradient(whole(tiny, p, q), p), atol=0.01)
