"""BLEU and Self-BLEU against NLTK, text by text, and against fast-bleu."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics.bleu import bleu, bleu_scores, self_bleu, self_bleu_scores
from mgan.evaluation.metrics.ngrams import orders

nltk_bleu = pytest.importorskip("nltk.translate.bleu_score")

Text = list[object]
ORDERS = (1, 2, 3, 4, 5)

# Few different tokens, of both types: many matches, many repetitions, many ties.
token = st.sampled_from(["a", "b", "c", 1, 2, "猫", "👍🏽"])
text: st.SearchStrategy[Text] = st.lists(token, max_size=9)


def nltk(hypothesis: Text, references: list[Text], n: int) -> float:
    smooth = nltk_bleu.SmoothingFunction().method1
    return float(nltk_bleu.sentence_bleu(references, hypothesis, weights=(1 / n,) * n, smoothing_function=smooth))


def captions(seed: int, count: int) -> list[list[str]]:
    """Texts of skewed words with repeated phrases."""
    source = random.Random(seed)
    phrases = ["a man", "in front of", "a a a", "the dog", "on", "riding a", "bike", "street .", "two", "with the cat"]
    return [" ".join(source.choices(phrases, range(10, 0, -1), k=source.randint(1, 6))).split() for _ in range(count)]


@given(st.lists(text, min_size=1, max_size=6), st.lists(text, min_size=1, max_size=6))
@example([[]], [["a"]])
@example([["a"]], [[]])
@example([[], []], [[], []])
@example([["a"]], [["a"]])
@example([["a", "b"]], [["b", "a"], ["a"]])
@example([["x", "y"]], [["a", "b"]])
@example([["a"] * 7], [["a"] * 6, ["a"] * 8])
@example([["a"] * 7], [["a"] * 8, ["a"] * 6, ["b"] * 9])
@settings(max_examples=300, deadline=None)
def test_every_hypothesis_scores_what_nltk_gives_it(hypotheses: list[Text], references: list[Text]) -> None:
    expected = [[nltk(hypothesis, references, n) for hypothesis in hypotheses] for n in ORDERS]
    assert bleu_scores(hypotheses, references, ORDERS) == pytest.approx(np.array(expected), rel=1e-13, abs=0)
    assert bleu(hypotheses, references, 3) == pytest.approx(np.mean(expected[2]), rel=1e-13)


@given(st.lists(text, min_size=2, max_size=7))
@example([["a"], ["a"]])
@example([[], []])
@example([[], ["a", "b"]])
@example([["a", "a"], ["a"], ["a", "a", "a"]])
@example([["a", "a"], ["a", "a"], ["a", "a", "a"]])
@example([["a"] * 3, ["a"] * 5, ["a"] * 7])
@settings(max_examples=300, deadline=None)
def test_every_text_against_all_others_scores_what_nltk_gives_it(texts: list[Text]) -> None:
    expected = [[nltk(t, texts[:i] + texts[i + 1 :], n) for i, t in enumerate(texts)] for n in ORDERS]
    assert self_bleu_scores(texts, ORDERS) == pytest.approx(np.array(expected), rel=1e-13, abs=0)
    assert self_bleu(texts, 2) == pytest.approx(np.mean(expected[1]), rel=1e-13)


def test_sentences_score_what_nltk_gives_them() -> None:
    real, samples = captions(0, 200), captions(1, 30)
    expected = [[nltk(list(h), [list(r) for r in real], n) for h in samples] for n in (2, 5)]
    assert 0.2 < np.mean(expected[0]) < 1
    assert bleu_scores(samples, real, (2, 5)) == pytest.approx(np.array(expected), rel=1e-13)


def test_a_thousand_sentences_score_what_fast_bleu_gives_them() -> None:
    fast_bleu = pytest.importorskip("fast_bleu")
    real, samples = captions(0, 1000), captions(1, 300)
    weights = {n: (1 / n,) * n for n in (2, 3, 4, 5)}
    others = fast_bleu.BLEU(real, weights).get_score(samples)
    assert bleu_scores(samples, real) == pytest.approx(np.array([others[n] for n in weights]), abs=1e-6)
    selves = fast_bleu.SelfBLEU(real, weights).get_score()
    assert self_bleu_scores(real) == pytest.approx(np.array([selves[n] for n in weights]), abs=1e-6)


def test_a_copy_scores_1_and_no_common_token_0() -> None:
    real = captions(0, 20)
    long = [tokens for tokens in real if len(tokens) >= 5]
    assert 5 < len(long) < len(real)
    assert bleu(long, real, 5) == 1 > bleu(real, real, 5)
    assert bleu([["x"], []], real) == 0
    assert self_bleu([real[0] * 2] * 3) == 1


def test_the_orders_come_in_the_order_asked_for() -> None:
    real, samples = captions(0, 50), captions(1, 10)
    scores = bleu_scores(samples, real, (4, 2))
    assert scores.shape == (2, 10)
    assert (scores == bleu_scores(samples, real, (2, 4))[::-1]).all()
    assert bleu_scores([], real, (4, 2)).shape == (2, 0)


def test_fewer_references_are_drawn_among_the_texts() -> None:
    texts = captions(0, 60)
    assert self_bleu(texts, references=59) == pytest.approx(self_bleu(texts), rel=1e-12)
    assert self_bleu(texts, references=5) == self_bleu(texts, references=5)
    assert self_bleu(texts, references=5) != self_bleu(texts, references=5, seed=1)
    assert np.mean([self_bleu(texts, references=5, seed=seed) for seed in range(20)]) < self_bleu(texts) - 0.05


def test_what_has_no_bleu_is_refused() -> None:
    with pytest.raises(ValueError, match="hypothesis"):
        bleu([], [["a"]])
    with pytest.raises(ValueError, match="reference"):
        bleu([["a"]], [])
    for texts in ([], [["a"]]):
        with pytest.raises(ValueError, match="two texts"):
            self_bleu(texts)
    for count in (0, 2):
        with pytest.raises(ValueError, match="references must be"):
            self_bleu([["a"], ["b"]], references=count)
    for wanted in ((), (0,), (2, -1)):
        with pytest.raises(ValueError, match="orders"):
            bleu_scores([["a"]], [["a"]], wanted)


@given(st.lists(text, max_size=6))
@settings(max_examples=100, deadline=None)
def test_two_n_grams_share_a_number_only_if_they_are_the_same(texts: list[Text]) -> None:
    for n, grams in enumerate(orders(texts, 4), start=1):
        spelled = [tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)]
        assert len(spelled) == len(grams.ids)
        assert len(set(zip(spelled, grams.ids.tolist(), strict=True))) == len(set(spelled)) == grams.distinct
        assert set(grams.ids.tolist()) == set(range(grams.distinct))
        assert grams.texts.tolist() == [k for k, t in enumerate(texts) for _ in range(len(t) - n + 1)]
