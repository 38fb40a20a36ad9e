"""The pair as a likelihood, on a finite set of texts where everything can be added up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation.pair import energy_gain, resampling_gain


def toy(seed: int, texts: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    return source.dirichlet(np.ones(texts)), source.normal(scale=2, size=texts)


toys = st.tuples(st.integers(0, 10_000), st.integers(2, 4))


@given(toys, st.integers(2, 4))
@settings(max_examples=50, deadline=None)
def test_the_expected_gain_never_promises_more_than_resampling_gives(size: tuple[int, int], k: int) -> None:
    """Q(x): draw k from P and keep one by exp(d). Enumerated, it is a distribution, and the gain is below it."""
    probability, d = toy(*size)
    weight, texts = np.exp(d), range(size[1])
    resampled = np.zeros(size[1])
    for drawn in itertools.product(texts, repeat=k):
        chance = probability[list(drawn)].prod()
        for kept in drawn:
            resampled[kept] += chance * weight[kept] / weight[list(drawn)].sum()
    assert resampled.sum() == pytest.approx(1)

    others = np.array(list(itertools.product(texts, repeat=k - 1)))
    chance = probability[others].prod(1)
    for x in texts:
        gain = resampling_gain(np.full(len(others), d[x]), d[others])
        assert np.log(probability[x]) + chance @ gain <= np.log(resampled[x]) + 1e-9
        # It is Jensen's step alone that is lost.
        assert probability[x] * (chance @ np.exp(gain)) == pytest.approx(resampled[x])


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 9))
@settings(max_examples=50, deadline=None)
def test_the_gain_is_its_formula_and_at_most_log_k(seed: int, texts: int, k: int) -> None:
    source = np.random.default_rng(seed)
    real, candidates = source.normal(scale=30, size=texts), source.normal(scale=30, size=(texts, k - 1))
    found = resampling_gain(real, candidates)
    for i in range(texts):
        everything = np.longdouble([real[i], *candidates[i]])
        share = np.exp(everything[0]) / np.exp(everything).sum()
        assert found[i] == pytest.approx(float(np.log(k * share)), abs=1e-6)
    assert (found <= np.log(k) + 1e-12).all()


def test_an_undecided_discriminator_gains_nothing_and_extreme_ones_stay_finite() -> None:
    assert resampling_gain(np.full(3, 0.7), np.full((3, 5), 0.7)) == pytest.approx(np.zeros(3))
    extreme = resampling_gain(np.array([1e4, -1e4]), np.array([[-1e4], [1e4]]))
    assert extreme == pytest.approx([np.log(2), np.log(2) - 2e4])


def test_at_the_best_discriminator_the_energy_gain_is_the_divergence() -> None:
    """The candidates are every text as often as P says, in sixteenths, so that no sampling error is left."""
    model, real = np.array([8, 4, 2, 2]), np.array([2, 2, 4, 8])
    p, q = model / 16, real / 16
    d = np.log(q / p) + 5.0  # a constant in d changes nothing
    drawn, seen = np.repeat(d, model), np.repeat(d, real)
    found = energy_gain(seen, np.tile(drawn, (16, 1)), shared_prompt=True)
    assert found.gain == pytest.approx(float((q * np.log(q / p)).sum()))
    assert found.samples == 16 * 16 and not found.per_prompt
    weight = q / p
    assert found.effective_share == pytest.approx((p @ weight) ** 2 / (p @ weight**2))


@given(toys)
@settings(max_examples=50, deadline=None)
def test_no_discriminator_gains_more_than_the_divergence(size: tuple[int, int]) -> None:
    _, d = toy(*size)
    source = np.random.default_rng(size[0] + 1)
    model, real = source.integers(1, 9, (2, size[1]))
    p, q = model / model.sum(), real / real.sum()
    found = energy_gain(np.repeat(d, real), np.repeat(d, model)[None], shared_prompt=True)
    assert found.gain <= (q * np.log(q / p)).sum() + 1e-9
    assert 0 < found.effective_share <= 1 + 1e-12


def test_with_prompts_of_their_own_every_text_has_its_own_constant() -> None:
    real = np.array([1.0, 4.0])
    candidates = np.log(np.array([[1.0, 3.0], [5.0, 7.0]]))
    found = energy_gain(real, candidates, shared_prompt=False)
    assert found.per_prompt and found.gain == pytest.approx(2.5 - (np.log(2) + np.log(6)) / 2)
