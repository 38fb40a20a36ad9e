"""The classifier two-sample test: its p-value by brute force and simulation, its folds, and what it must find out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics.two_sample import (
    MLP,
    Array,
    Flags,
    Judge,
    balanced_accuracy,
    parts,
    permutation_p,
    two_sample_test,
)


class Means:
    """Nearest mean: the cheapest classifier that learns."""

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        real, samples = features[labels].mean(0), features[~labels].mean(0)
        return lambda rows: (rows - (real + samples) / 2) @ (real - samples)


class ByHeart:
    """Remembers every row it was fitted on, and is undecided on others."""

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        known = {row.tobytes(): 2.0 * label - 1 for row, label in zip(features, labels, strict=True)}
        return lambda rows: np.array([known.get(row.tobytes(), 0.0) for row in rows])


BRIEF = MLP(hidden=32, updates=150, learning_rate=3e-3)
"""The default but for its size: most tests need no more."""


def normal(n: int, shift: float = 0.0, seed: int = 0, size: int = 3) -> Array:
    rows = np.random.default_rng(seed).standard_normal((n, size))
    rows[:, 0] += shift
    return rows


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 2.0]), st.booleans()), min_size=1, max_size=9))
@settings(max_examples=80, deadline=None)
def test_the_p_value_is_the_share_of_all_relabellings_at_least_as_accurate(texts: list[tuple[float, bool]]) -> None:
    logits, labels = np.array([logit for logit, _ in texts]), np.array([label for _, label in texts])
    if labels.all() or not labels.any():
        assert permutation_p(logits, labels) == pytest.approx(1)
        return
    observed = balanced_accuracy(logits[labels], logits[~labels])
    accuracies = []
    for chosen in combinations(range(len(texts)), int(labels.sum())):
        other = np.isin(np.arange(len(texts)), chosen)
        accuracies.append(balanced_accuracy(logits[other], logits[~other]))
    assert permutation_p(logits, labels) == pytest.approx(np.mean(np.array(accuracies) >= observed - 1e-12))


def test_balanced_accuracy_counts_ties_half_and_labels_alike() -> None:
    assert balanced_accuracy(np.array([1.0, 1, 0, -1]), np.array([-1.0])) == (2.5 / 4 + 1) / 2
    assert balanced_accuracy(np.zeros(3), np.zeros(9)) == 0.5


@pytest.mark.parametrize(("n", "m"), [(40, 40), (25, 90)])
def test_under_the_null_it_rejects_no_more_often_than_it_says(n: int, m: int) -> None:
    """Discrete rows too, so that the same text occurs in both."""
    p = []
    for seed in range(300):
        rows = np.round(normal(n + m, seed=seed, size=2) * 2)
        p.append(two_sample_test(rows[:n], rows[n:], seed=seed, classifier=Means()).p_value)
    for alpha in (0.05, 0.2, 0.5):
        allowed = alpha + 3 * math.sqrt(alpha * (1 - alpha) / len(p))
        assert np.mean(np.array(p) <= alpha) <= allowed


def test_each_folds_p_value_is_valid_and_not_useless_under_the_null() -> None:
    """One fold alone is exact but for ties between accuracies: close to uniform, never below it."""
    random = np.random.default_rng(0)
    labels = np.arange(400) < 200
    p = np.array([permutation_p(random.standard_normal(400), labels) for _ in range(2000)])
    for alpha in (0.05, 0.3):
        assert 0.7 * alpha <= np.mean(p <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / len(p))


def test_it_finds_a_shift_and_its_accuracy_is_the_normal_distributions() -> None:
    test = two_sample_test(normal(2000), normal(1500, 1.0, seed=1), classifier=Means())
    assert test.accuracy == pytest.approx(0.5 * (1 + math.erf(0.5 / math.sqrt(2))), abs=0.02)
    assert test.p_value < 1e-6
    assert (test.real_logits.shape, test.sample_logits.shape) == ((2000,), (1500,))
    assert balanced_accuracy(test.real_logits, test.sample_logits) == test.accuracy


def test_the_default_classifier_finds_what_no_line_parts() -> None:
    """Equal means and variances of every feature: only the product of two tells real from generated."""
    real, samples = normal(1000), normal(1000, seed=1)
    real[:, 1] = np.sign(real[:, 0]) * np.abs(real[:, 1])
    assert two_sample_test(real, samples, classifier=Means()).accuracy < 0.55
    test = two_sample_test(real, samples, folds=3)
    assert test.accuracy > 0.62 and test.p_value < 1e-3


def test_the_default_classifier_knows_nothing_where_there_is_nothing() -> None:
    test = two_sample_test(normal(400), normal(800, seed=1))
    assert abs(test.accuracy - 0.5) < 0.06 and test.p_value > 0.05


def test_more_of_one_label_is_not_accuracy() -> None:
    test = two_sample_test(normal(60), normal(600, seed=1), classifier=BRIEF)
    assert abs(test.accuracy - 0.5) < 0.12 and test.p_value > 0.05
    shifted = two_sample_test(normal(60, 3.0), normal(600, seed=1), classifier=BRIEF)
    assert shifted.accuracy > 0.8 and shifted.p_value < 0.01
    assert np.mean(shifted.real_logits > 0) > 0.7


def test_no_text_is_judged_by_a_classifier_that_saw_it() -> None:
    real, samples = normal(200), normal(200, 5.0, seed=1)
    test = two_sample_test(real, samples, classifier=ByHeart())
    assert test.accuracy == 0.5 and test.p_value == 1
    assert not test.real_logits.any() and not test.sample_logits.any()


def test_texts_that_occur_a_few_times_are_not_known_by_heart() -> None:
    real, samples = np.repeat(normal(100), 4, 0), np.repeat(normal(100, seed=1), 3, 0)
    test = two_sample_test(real, samples, classifier=ByHeart())
    assert test.accuracy == 0.5 and test.p_value == 1


def test_one_sentence_for_ever_is_found_out() -> None:
    real = normal(300)
    for classifier in (BRIEF, ByHeart()):
        test = two_sample_test(real, np.repeat(normal(1, seed=1), 300, 0), classifier=classifier)
        assert test.accuracy >= 0.75 and test.p_value < 1e-6
    few = two_sample_test(real, np.repeat(normal(6, seed=1), 50, 0), classifier=ByHeart())
    assert few.p_value < 1e-6


def test_all_the_same_text_on_both_sides() -> None:
    same = np.ones((50, 4))
    test = two_sample_test(same, same)
    assert test.accuracy == pytest.approx(0.5, abs=0.15) and test.p_value > 0.05


def test_folds_are_even_and_keep_equal_rows_together_up_to_a_limit() -> None:
    rows = np.concatenate([np.repeat(normal(50), 3, 0), normal(150, seed=1), np.repeat(normal(1, seed=2), 100, 0)])
    part = parts(rows, 5, seed=3, together=8)
    assert all(len(set(part[i : i + 3])) == 1 for i in range(0, 150, 3))
    assert len(set(part[300:])) > 1
    assert np.bincount(part, minlength=5).min() > 40
    tiny = rows + 1e-7 * np.random.default_rng(0).standard_normal(rows.shape)
    assert np.mean(parts(tiny, 5, seed=3, together=8) == part) > 0.9


def test_folds_do_not_depend_on_which_rows_are_real() -> None:
    """Oversized groups are cut at random, not real texts first."""
    part = parts(np.zeros((400, 2)), 2, seed=0)
    assert abs(np.mean(part[:200]) - 0.5) < 0.2


def test_the_same_seed_gives_the_same_result_and_leaves_the_callers_random_numbers() -> None:
    state = torch.get_rng_state()
    first, again = (two_sample_test(normal(60), normal(60, 1.0, seed=1), seed=7, classifier=BRIEF) for _ in range(2))
    assert np.array_equal(first.real_logits, again.real_logits) and first.p_value == again.p_value
    assert torch.equal(torch.get_rng_state(), state)


def test_scale_and_constant_features_do_not_matter() -> None:
    real, samples = normal(300), normal(300, 2.0, seed=1)
    wide = [np.concatenate([1e6 * rows + 1e7, np.ones((300, 1))], 1) for rows in (real, samples)]
    plain, scaled = two_sample_test(real, samples, 2, 0, BRIEF), two_sample_test(wide[0], wide[1], 2, 0, BRIEF)
    assert plain.accuracy > 0.75 and scaled.accuracy == pytest.approx(plain.accuracy, abs=0.05)


def test_the_mlp_takes_labels_of_one_kind() -> None:
    for features in (normal(20), np.zeros((4, 3)), np.zeros((2, 3))):
        judge = MLP(updates=30).fit(features, np.ones(len(features), dtype=bool), 0)
        assert np.isfinite(judge(normal(5))).all()


@pytest.mark.parametrize(
    ("real", "samples", "says"),
    [
        (np.zeros((0, 3)), normal(20), "at least 10"),
        (normal(20), normal(9), "at least 10"),
        (normal(20), normal(20, size=4), "shapes"),
        (np.zeros(20), np.zeros(20), "shapes"),
        (np.full((20, 2), np.nan), normal(20, size=2), "finite"),
    ],
)
def test_what_does_not_fit_is_said(real: Array, samples: Array, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        two_sample_test(real, samples)


def test_a_classifier_that_gives_no_numbers_is_refused() -> None:
    class Broken:
        def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
            return lambda rows: np.full(len(rows), np.nan)

    with pytest.raises(ValueError, match="finite logit"):
        two_sample_test(normal(20), normal(20), classifier=Broken())
    with pytest.raises(ValueError, match="folds"):
        two_sample_test(normal(20), normal(20), folds=1)
