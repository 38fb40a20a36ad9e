"""ROUGE against the rouge-score package on the same tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics.rouge import Rouge, rouge, rouge_l, rouge_n

rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")

KINDS = ("rouge1", "rouge2", "rouge3", "rougeL")
text = st.lists(st.sampled_from(["a", "b", "c", "d", "猫", "👍🏽"]), max_size=12)


class Spaces:
    def tokenize(self, text: str) -> list[str]:
        return text.split()


PACKAGE = rouge_scorer.RougeScorer(KINDS, tokenizer=Spaces())


def package(hypothesis: list[str], reference: list[str], kind: str) -> tuple[float, float, float]:
    score = PACKAGE.score(" ".join(reference), " ".join(hypothesis))[kind]
    return score.precision, score.recall, score.fmeasure


def figures(score: Rouge) -> tuple[float, float, float]:
    return score.precision, score.recall, score.f1


@given(text, text)
@example([], [])
@example([], ["a"])
@example(["a"], [])
@example(["a"], ["a"])
@example(["a"] * 5, ["a"] * 3)
@example(["a", "b", "c", "d"], ["d", "c", "b", "a"])
@settings(max_examples=300, deadline=None)
def test_it_is_the_rouge_score_package(hypothesis: list[str], reference: list[str]) -> None:
    for n in (1, 2, 3):
        assert figures(rouge_n(hypothesis, reference, n)) == pytest.approx(package(hypothesis, reference, f"rouge{n}"))
    assert figures(rouge_l(hypothesis, reference)) == pytest.approx(package(hypothesis, reference, "rougeL"))


@given(st.lists(st.tuples(text, text), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_of_a_corpus_it_is_the_mean_of_each_figure(pairs: list[tuple[list[str], list[str]]]) -> None:
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    for kind in KINDS:
        expected = np.mean([package(h, r, kind) for h, r in pairs], axis=0)
        assert figures(rouge(hypotheses, references, kind)) == pytest.approx(tuple(expected))


def test_long_texts_have_their_longest_common_subsequence() -> None:
    source = np.random.default_rng(0)
    ours, theirs = (source.integers(0, 20, size).astype(str).tolist() for size in (300, 170))
    assert figures(rouge_l(ours, theirs)) == pytest.approx(package(ours, theirs, "rougeL"))


def test_what_has_no_rouge_is_refused() -> None:
    for kind in ("rouge0", "rougeLsum", "L", "rouge", "2"):
        with pytest.raises(ValueError, match="kind"):
            rouge([["a"]], [["a"]], kind)
    for count in (0, 1):
        with pytest.raises(ValueError, match="reference"):
            rouge([["a"]] * count, [])
    with pytest.raises(ValueError, match="order"):
        rouge_n(["a"], ["a"], 0)
