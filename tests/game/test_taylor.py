"""The expansion against every substitution, and the gradient against enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from mgan.game import taylor
from mgan.game.estimators import all_action_loss
from mgan.game.taylor import expansion, nearness, neighbours, spread

V, E, LENGTH = 4, 3, 3


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


EMBEDDING, WEIGHT = drawn(V, E, seed=0), drawn(LENGTH, E, seed=1)


def linear(text: Tensor) -> Tensor:
    """What a text [L] is paid: linear in its tokens' embeddings."""
    return (WEIGHT * EMBEDDING[text]).sum()


def worths(text: Tensor) -> Tensor:
    """[L, V]: the expansion around a text."""
    return expansion(linear(text).expand(LENGTH), WEIGHT, text, EMBEDDING)


def test_every_substitution_is_exact_where_the_payoff_is_linear() -> None:
    for text in itertools.product(range(V), repeat=LENGTH):
        found = worths(torch.tensor(text))
        for place, token in itertools.product(range(LENGTH), range(V)):
            other = torch.tensor([*text[:place], token, *text[place + 1 :]])
            assert float(found[place, token]) == pytest.approx(float(linear(other)))


def test_spread_is_the_mean_over_pairs() -> None:
    squared = [float(((a - b) ** 2).sum()) for a in EMBEDDING for b in EMBEDDING]
    assert float(spread(EMBEDDING)) == pytest.approx((sum(squared) / len(squared)) ** 0.5)


def test_nearness_is_gaussian() -> None:
    found = nearness(EMBEDDING[:2], EMBEDDING, 0.7)
    for i, j in itertools.product(range(2), range(V)):
        distance = float(((EMBEDDING[i] - EMBEDDING[j]) ** 2).sum())
        assert float(found[i, j]) == pytest.approx(math.exp(-distance / (2 * 0.7**2)))


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 5.0])
def test_every_token_counts_once_on_average(bandwidth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taylor, "BLOCK", 3)
    probabilities = drawn(V, seed=2).softmax(0)
    shares = neighbours(probabilities.expand(V, V), torch.arange(V), EMBEDDING, bandwidth)
    assert torch.allclose(probabilities @ shares, torch.ones(V, dtype=torch.float64))
    assert (shares * probabilities).max() <= 1 + 1e-9


def test_near_and_far() -> None:
    """A bandwidth of nearly nothing is REINFORCE, one of nearly all is all actions alike."""
    probabilities, chosen = drawn(2, V, seed=3).softmax(1), torch.tensor([2, 0])
    near = neighbours(probabilities, chosen, EMBEDDING, 0.05)
    own = torch.nn.functional.one_hot(chosen, V)
    assert torch.allclose(near, own / probabilities, atol=1e-6)
    assert torch.allclose(neighbours(probabilities, chosen, EMBEDDING, 1e4), torch.ones(2, V, dtype=torch.float64))


def estimate(logits: Tensor, text: Tensor, bandwidth: float) -> Tensor:
    """The loss of one drawn text. logits: [L, V], of tokens that do not depend on those before."""
    values = worths(text) * neighbours(logits.softmax(1).detach(), text, EMBEDDING, bandwidth)
    return all_action_loss(logits, values).sum()


@pytest.mark.parametrize("bandwidth", [0.05, 0.5, 2.0, 1e4])
def test_the_mean_gradient_over_all_texts_is_that_of_the_expected_payoff(bandwidth: float) -> None:
    logits = drawn(LENGTH, V, seed=4).requires_grad_()
    mean, expected = torch.zeros_like(logits), torch.zeros((), dtype=torch.float64)
    for tokens in itertools.product(range(V), repeat=LENGTH):
        text = torch.tensor(tokens)
        chance = logits.softmax(1)[torch.arange(LENGTH), text].prod()
        expected = expected + chance * linear(text)
        (gradient,) = torch.autograd.grad(estimate(logits, text, bandwidth), logits)
        mean = mean + chance.detach() * gradient
    (exact,) = torch.autograd.grad(expected, logits)
    assert torch.allclose(mean, -exact, atol=1e-6) and exact.abs().max() > 0.1


def test_a_wider_bandwidth_has_less_noise() -> None:
    logits = drawn(LENGTH, V, seed=4).requires_grad_()

    def noise(bandwidth: float) -> float:
        spreads = 0.0
        for tokens in itertools.product(range(V), repeat=LENGTH):
            text = torch.tensor(tokens)
            chance = float(logits.detach().softmax(1)[torch.arange(LENGTH), text].prod())
            (gradient,) = torch.autograd.grad(estimate(logits, text, bandwidth), logits)
            spreads += chance * float((gradient**2).sum())
        return spreads

    assert noise(0.05) > 1.5 * noise(1.0) > 1.5 * noise(1e4)
