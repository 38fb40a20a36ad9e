"""The measures of diversity against their definitions, spelled out with counters."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics.diversity import distinct_n, distinct_texts, ngram_entropy, repetition, unique_n

Text = list[object]
text: st.SearchStrategy[Text] = st.lists(st.sampled_from(["a", "b", 3, "猫", "👨‍👩‍👧"]), max_size=9)
some = st.lists(text, min_size=1, max_size=8)
MEASURES = [distinct_n, unique_n, ngram_entropy, repetition]


def grams(tokens: Text, n: int) -> list[tuple[object, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


@given(some, st.integers(1, 5))
@example([[]], 1)
@example([["a"]], 1)
@example([["a"], ["a", "b"]], 2)
@example([["a", "b"]] * 4, 2)
@settings(max_examples=200, deadline=None)
def test_they_are_what_their_definitions_say(texts: list[Text], n: int) -> None:
    counts = Counter(gram for t in texts for gram in grams(t, n))
    total = counts.total()
    assert distinct_n(texts, n) == pytest.approx(len(counts) / max(total, 1))
    assert unique_n(texts, n) == pytest.approx(sum(count == 1 for count in counts.values()) / max(total, 1))
    entropy = sum(count / total * math.log(total / count) for count in counts.values())
    assert ngram_entropy(texts, n) == pytest.approx(entropy, abs=1e-12)
    within = [1 - len(set(grams(t, n))) / len(grams(t, n)) for t in texts if len(t) >= n]
    assert repetition(texts, n) == pytest.approx(np.mean(within) if within else 0, abs=1e-12)
    new = [t not in texts[:i] for i, t in enumerate(texts)]
    assert distinct_texts(texts) == pytest.approx(np.mean(new))


def test_the_extremes() -> None:
    different = [[8 * i + j for j in range(8)] for i in range(5)]
    assert distinct_n(different, 2) == unique_n(different, 2) == distinct_texts(different) == 1
    assert ngram_entropy(different, 2) == pytest.approx(math.log(35))
    assert repetition(different) == 0
    collapsed = [["a"] * 8] * 5
    assert distinct_n(collapsed, 2) == 1 / 35
    assert unique_n(collapsed, 2) == 0
    assert ngram_entropy(collapsed, 2) == 0
    assert repetition(collapsed) == 4 / 5
    assert distinct_texts(collapsed) == 1 / 5


def test_a_copy_of_the_set_halves_distinct_and_leaves_nothing_unique() -> None:
    texts = [[1, 2, 3, 4], [3, 4, 5], [6]]
    assert distinct_n(texts * 2, 2) == distinct_n(texts, 2) / 2
    assert unique_n(texts, 2) == 3 / 5
    assert unique_n(texts * 2, 2) == 0
    assert ngram_entropy(texts * 2, 2) == pytest.approx(ngram_entropy(texts, 2))


def test_an_n_gram_does_not_reach_into_the_next_text() -> None:
    assert distinct_n([["a"], ["b"], ["a"], ["b"]], 2) == 0
    assert distinct_n([["a", "b"], ["a", "b"]], 2) == 1 / 2


def test_repetition_leaves_out_texts_that_are_too_short_wherever_they_stand() -> None:
    loop = ["a"] * 5
    assert repetition([loop]) == repetition([[], loop, ["a"]]) == 1 / 2


@pytest.mark.parametrize("measure", MEASURES)
def test_what_has_no_diversity_is_refused(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="at least one text"):
        measure([], 2)
    with pytest.raises(ValueError, match="order"):
        measure([["a"]], 0)


def test_no_texts_are_neither_different_nor_the_same() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        distinct_texts([])
