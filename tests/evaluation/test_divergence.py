"""The Donsker–Varadhan bound against known divergences: it is close, and its lower end holds as often as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mgan.evaluation.metrics.divergence import Bound, bound_from_logits, donsker_varadhan
from mgan.evaluation.metrics.two_sample import MLP, Array, Classifier, Flags, Judge


class Linear:
    """Nearest mean, scaled by the common variance: the log-ratio of two normal distributions."""

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        real, samples = features[labels].mean(0), features[~labels].mean(0)
        variance = (features[labels].var(0) + features[~labels].var(0)) / 2
        return lambda rows: (rows - (real + samples) / 2) @ ((real - samples) / variance)


class ByHeart:
    """Certain of what it was fitted on, undecided on the rest."""

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        known = {row.tobytes(): 20.0 * label - 10 for row, label in zip(features, labels, strict=True)}
        return lambda rows: np.array([known.get(row.tobytes(), 0.0) for row in rows])


def normal(n: int, shift: float, seed: int, size: int = 1) -> Array:
    rows = np.random.default_rng(seed).standard_normal((n, size))
    rows[:, 0] += shift
    return rows


def log_ratio(x: Array, shift: float) -> Array:
    """log N(x; shift, 1) / N(x; 0, 1); its KL is shift² / 2."""
    return shift * x[:, 0] - shift**2 / 2


def fitted(sets: list[Array], classifier: Classifier | None, seed: int = 0) -> Bound:
    fit_real, fit_samples, real, samples = sets
    return donsker_varadhan(fit_real, fit_samples, real, samples, seed=seed, classifier=classifier)


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5])
def test_the_true_log_ratio_gives_the_divergence(shift: float) -> None:
    real, samples = normal(40_000, shift, 0), normal(40_000, 0, 1)
    bound = bound_from_logits(log_ratio(real, shift), log_ratio(samples, shift), cap=6)
    assert bound.gain == pytest.approx(shift**2 / 2, abs=0.06)
    assert bound.lower < bound.gain and bound.lower > bound.gain - 0.3
    # E[w]² / E[w²] of a log-normal weight.
    assert bound.effective_share == pytest.approx(math.exp(-(shift**2)), rel=0.15)


@pytest.mark.parametrize(("n", "cap", "confidence"), [(300, 3.0, 0.95), (300, 3.0, 0.5), (40, 1.5, 0.8)])
def test_the_lower_bound_holds_as_often_as_it_says(n: int, cap: float, confidence: float) -> None:
    shift = 1.2
    held = [
        bound_from_logits(
            log_ratio(normal(n, shift, 2 * i), shift), log_ratio(normal(2 * n, 0, 2 * i + 1), shift), cap, confidence
        ).lower
        <= shift**2 / 2
        for i in range(400)
    ]
    assert np.mean(held) >= confidence


def test_the_lower_bound_holds_for_the_clipped_functions_own_value() -> None:
    """Sharper than KL itself: E_real[d] - log E_G[exp d] of the clipped d, by numerical integration."""
    shift, cap, x = 1.2, 1.0, np.linspace(-9, 11, 200_001)[:, None]
    d = log_ratio(x, shift).clip(-cap, cap)
    density = np.exp(-(x[:, 0] ** 2) / 2) / math.sqrt(2 * math.pi) * 1e-4
    real_density = np.exp(-((x[:, 0] - shift) ** 2) / 2) / math.sqrt(2 * math.pi) * 1e-4
    true = float((d * real_density).sum() - math.log((np.exp(d) * density).sum()))
    bounds = [
        bound_from_logits(
            log_ratio(normal(500, shift, 2 * i), shift), log_ratio(normal(500, 0, 2 * i + 1), shift), cap, 0.8
        )
        for i in range(300)
    ]
    assert np.mean([bound.lower <= true for bound in bounds]) >= 0.8
    assert np.mean([bound.gain for bound in bounds]) == pytest.approx(true, abs=0.02)
    assert max(bound.lower for bound in bounds) > 0


def test_the_arithmetic_by_hand() -> None:
    real, samples = np.array([2.0, 0.5, -3.0]), np.array([0.0, -9.0])
    bound = bound_from_logits(real, samples, cap=1.0, confidence=0.9)
    weights, term = np.array([1.0, math.exp(-1)]), math.log(2 / 0.05)
    low = 0.5 / 3 - math.sqrt(2 * np.var([1, 0.5, -1], ddof=1) * term / 3) - 7 * 2 * term / (3 * 2)
    high = weights.mean() + math.sqrt(2 * weights.var(ddof=1) * term / 2)
    high += 7 * (math.e - 1 / math.e) * term / (3 * 1)
    assert bound.gain == pytest.approx(0.5 / 3 - math.log(weights.mean()))
    assert bound.lower == pytest.approx(low - math.log(high))
    assert bound.effective_share == pytest.approx(weights.sum() ** 2 / (2 * np.square(weights).sum()))
    assert (bound.samples, bound.cap, bound.log_n, bound.limited) == (2, 1.0, math.log(2), False)


def test_a_constant_in_d_changes_nothing_and_equal_weights_are_all_effective() -> None:
    bound = bound_from_logits(np.full(50, 0.7), np.full(60, 0.7), cap=1.0)
    assert bound.gain == pytest.approx(0) and bound.effective_share == pytest.approx(1) and bound.lower < 0


def test_nothing_is_claimed_above_the_logarithm_of_the_number_of_samples() -> None:
    bound = bound_from_logits(np.full(1000, 30.0), np.full(100, -30.0), cap=30.0)
    assert bound.gain == math.log(100) and bound.limited and bound.lower <= math.log(100)
    assert "log n" in str(bound)
    assert "log n" not in str(bound_from_logits(np.zeros(10), np.zeros(10), cap=1.0))


@pytest.mark.parametrize("shift", [0.8, 1.5])
def test_a_fitted_discriminator_comes_close_and_stays_below(shift: float) -> None:
    sets = [normal(4000, shift * (i % 2 == 0), i, size=5) for i in range(4)]
    learners: list[Classifier | None] = [Linear(), None]
    for classifier in learners:
        bound = fitted(sets, classifier=classifier)
        assert 0.55 * shift**2 / 2 < bound.lower <= shift**2 / 2
        assert bound.gain == pytest.approx(shift**2 / 2, rel=0.25)
        assert 0 < bound.effective_share < 1 and bound.samples == 4000


def test_identical_distributions_give_no_gain() -> None:
    for seed in range(5):
        sets = [normal(600, 0, 10 * seed + i, size=8) for i in range(4)]
        learners: list[Classifier | None] = [Linear(), ByHeart(), MLP(updates=150, learning_rate=3e-3)]
        for classifier in learners:
            bound = fitted(sets, seed=seed, classifier=classifier)
            assert bound.lower <= 0 and bound.gain < 0.05


def test_what_was_learned_by_heart_counts_for_nothing() -> None:
    """Far apart, but known by heart only: neither the fit nor the choice of the cap may profit from it."""
    sets = [normal(400, 3.0 * (i % 2 == 0), i, size=4) for i in range(4)]
    bound = fitted(sets, classifier=ByHeart())
    assert bound.gain == pytest.approx(0) and bound.lower <= 0


def test_an_overconfident_discriminator_is_scaled_down() -> None:
    class Loud(Linear):
        def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
            judge = super().fit(features, labels, seed)
            return lambda rows: 4 * judge(rows) + 100

    sets = [normal(3000, 1.0 * (i % 2 == 0), i, size=3) for i in range(4)]
    plain, loud = fitted(sets, Linear()), fitted(sets, Loud())
    assert loud.gain == pytest.approx(plain.gain, abs=0.03) and loud.lower == pytest.approx(plain.lower, abs=0.03)


def test_more_held_out_text_raises_the_lower_bound() -> None:
    fit = [normal(2000, 1, 0), normal(2000, 0, 1)]
    few, many = (fitted([*fit, normal(n, 1, 2), normal(n, 0, 3)], Linear()).lower for n in (200, 20_000))
    assert few < many < 0.5


def test_what_does_not_fit_is_said() -> None:
    x = normal(30, 0, 0)
    for real, samples, cap, says in (
        (np.zeros(1), np.zeros(5), 1.0, "at least two"),
        (np.zeros(0), np.zeros(0), 1.0, "at least two"),
        (np.zeros(5), np.array([0.0, np.nan]), 1.0, "not a number"),
        (np.zeros(5), np.zeros(5), 0.0, "cap"),
        (np.zeros(5), np.zeros(5), 1e4, "cap"),
    ):
        with pytest.raises(ValueError, match=says):
            bound_from_logits(real, samples, cap)
    with pytest.raises(ValueError, match="confidence"):
        bound_from_logits(np.zeros(5), np.zeros(5), 1.0, confidence=1.0)
    with pytest.raises(ValueError, match="more texts"):
        donsker_varadhan(x[:4], x[:4], x, x)
    with pytest.raises(ValueError, match="features"):
        donsker_varadhan(x, x, normal(30, 0, 1, size=2), normal(30, 0, 1, size=2))
