"""The delete-a-group jackknife against variances that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgan.evaluation.jackknife import covariance, groups, jackknife


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 3))
def test_the_groups_are_a_partition_of_like_sizes(n: int, g: int, seed: int) -> None:
    if g > n:
        with pytest.raises(ValueError, match="as many texts as groups"):
            groups(n, g, seed)
        return
    found = groups(n, g, seed)
    assert sorted(np.concatenate(found)) == list(range(n))
    sizes = [len(group) for group in found]
    assert len(found) == g
    assert max(sizes) - min(sizes) <= 1


def test_groups_of_one_text_give_the_means_standard_error_exactly() -> None:
    x = np.random.default_rng(0).exponential(size=41)
    found = jackknife(lambda kept: x[kept].mean(), 41, groups(41, 41))
    assert found.value == pytest.approx(x.mean())
    assert found.error == pytest.approx(x.std(ddof=1) / np.sqrt(41))


def test_the_statistic_sees_every_text_but_one_group() -> None:
    seen: list[list[int]] = []
    deal = groups(7, 3)
    jackknife(lambda kept: float(seen.append(list(kept)) or 0.0), 7, deal)
    assert seen[:3] == [sorted(set(range(7)) - set(group)) for group in deal]
    assert seen[3] == list(range(7))


def simulated(draw, statistic, truth: float, runs: int = 400, n: int = 200, g: int = 20) -> float:  # type: ignore[no-untyped-def]
    """The mean estimated variance over the true one."""
    rng = np.random.default_rng(1)
    squares = []
    for run in range(runs):
        x = draw(rng, n)
        squares.append(jackknife(lambda kept, x=x: statistic(x[kept]), n, groups(n, g, run)).error ** 2)
    return float(np.mean(squares) / truth)


def test_the_variance_of_a_mean_is_right_on_average() -> None:
    assert simulated(lambda rng, n: rng.normal(0, 3, n), np.mean, 9 / 200) == pytest.approx(1, abs=0.06)


def test_the_variance_of_a_ratio_is_right_on_average() -> None:
    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        below = rng.uniform(1, 3, n)
        return np.stack([below * 2 + rng.normal(0, 1, n), below], axis=1)

    # Delta method: the ratio is 2, its residual has variance 1, the denominator's mean is 2.
    assert simulated(draw, lambda x: x[:, 0].sum() / x[:, 1].sum(), 1 / 4 / 200) == pytest.approx(1, abs=0.08)


def test_the_variance_of_a_u_statistic_is_right_on_average() -> None:
    # Gini's mean difference of an exponential is 1. Hoeffding: 4 ζ1 / n + O(n⁻²), ζ1 = Var E|x − y| = 1/3.
    def mean_difference(x: np.ndarray) -> float:
        ordered, n = np.sort(x), len(x)
        return float(2 * ((2 * np.arange(1, n + 1) - n - 1) @ ordered) / (n * (n - 1)))

    found = simulated(lambda rng, n: rng.exponential(size=n), mean_difference, 4 / 3 / 200)
    assert found == pytest.approx(1, abs=0.12)


def test_a_measure_that_counts_copies_keeps_its_centre_where_the_bootstrap_loses_it() -> None:
    """The share of distinct texts in a set without a copy is 1; resampling with replacement says 0.63."""
    x = np.arange(500)
    found = jackknife(lambda kept: len(set(x[kept])) / len(kept), 500, groups(500))
    assert (found.value, found.error) == (1.0, 0.0)


def test_a_bias_of_the_sets_size_does_not_enter_the_error() -> None:
    found = jackknife(lambda kept: 1 / len(kept), 100, groups(100, 10))
    assert found.error == pytest.approx(0, abs=1e-12)
    assert abs(found.replicates.mean() - found.value) > 1e-3


def test_a_vectors_errors_are_the_roots_of_its_covariances_diagonal() -> None:
    x = np.random.default_rng(2).normal(size=(90, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    found = jackknife(lambda kept: x[kept].mean(axis=0), 90, groups(90, 90))
    assert found.error == pytest.approx(np.sqrt(np.diag(covariance(found.replicates))))
    assert covariance(found.replicates) == pytest.approx(np.cov(x.T) / 90)


def test_something_not_finite_stays_visible() -> None:
    assert np.isnan(jackknife(lambda kept: float("nan"), 20, groups(20)).error)
    with pytest.raises(ValueError, match="at least 2 groups"):
        jackknife(lambda kept: 0.0, 5, [np.arange(5)])
