"""The scorecard: its errors, what odd texts do to it, and that no judge scores a text it has seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation.jackknife import Jackknifed, groups
from mgan.evaluation.metrics.bleu import bleu_scores
from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.metrics.words import words
from mgan.evaluation.scorecard import METRICS, PAIRS, Scorecard, ratio_of_sums
from mgan.evaluation.wordlm import CrossFitted, WordLM, vocabulary_of

SUBJECTS = ("cat", "dog", "hen", "fox", "old man", "queen")
VERBS = ("sees", "takes", "leaves", "finds", "buys")
THINGS = ("house", "river", "loaf of bread", "garden", "salt", "green wool")


def sentences(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [f"the {draw.choice(SUBJECTS)} {draw.choice(VERBS)} the {draw.choice(THINGS)} ." for _ in range(count)]


REFERENCE, TRAINING = sentences(80, 0), sentences(100, 1)


@pytest.fixture(scope="module")
def card() -> Scorecard:
    return Scorecard(REFERENCE, TRAINING, CharacterNGrams(), words)


def values(found: dict[str, Jackknifed]) -> np.ndarray:
    return np.array([[float(m.value), float(m.error), *m.replicates] for m in found.values()])


def test_the_error_of_a_mean_is_the_deviation_over_the_root(card: Scorecard) -> None:
    texts = sentences(2000, 2)
    found = card._per_text(card.words(texts))["bleu_3"]
    scores = bleu_scores([words(text) for text in texts], [words(text) for text in REFERENCE], (3,))[0]
    assert found[0] == pytest.approx(scores)
    ones = np.ones(2000)
    many = ratio_of_sums(scores, ones, groups(2000, 500, 0))
    assert many.value == pytest.approx(scores.mean())
    assert many.error == pytest.approx(scores.std(ddof=1) / math.sqrt(2000), rel=0.15)
    # Ten groups: right on average over the deals, each with 9 degrees of freedom.
    few = [float(ratio_of_sums(scores, ones, groups(2000, 10, seed)).error) ** 2 for seed in range(300)]
    assert math.sqrt(np.mean(few)) == pytest.approx(scores.std(ddof=1) / math.sqrt(2000), rel=0.1)


def test_a_ratio_of_sums_weighs_long_texts_more() -> None:
    nats, tokens = np.array([10.0, 1.0, 1.0, 4.0]), np.array([10.0, 1.0, 2.0, 1.0])
    found = ratio_of_sums(nats, tokens, [np.array([0]), np.array([1, 2]), np.array([3])])
    assert found.value == pytest.approx(16 / 14)
    assert found.replicates == pytest.approx([6 / 4, 14 / 11, 12 / 13])


def test_every_value_is_the_measure_of_all_texts_and_has_ten_replicates(card: Scorecard) -> None:
    texts = sentences(40, 3)
    found = card.measure(texts)
    tokens = card.words(texts)
    assert set(found) == set(METRICS) - {
        "mauve", "nll", "nll_oracle", "nll_gen", "kl_generated", "kl_oracle", "js", "two_sample", "kl_bound",
        "lm_score", "lm_distance", "reverse_lm_score",
    }  # fmt: skip
    assert all(m.replicates.shape == (10,) for m in found.values())
    assert found["length"].value == pytest.approx(np.mean([len(text) for text in tokens]))
    assert found["distinct_texts"].value == len(set(texts)) / 40
    assert found["exact_copies"].value == np.mean([text in TRAINING for text in texts])
    left_out = groups(40, 10, 20)
    kept = [text for i, text in enumerate(texts) if i not in left_out[3]]
    again = card.measure(kept)
    # A replicate is what the scorecard would have said without the group, where texts are not paired with judges.
    for name in ("self_bleu_2", "distinct_2", "entropy_2", "reverse_ngram_score", "bleu_4", "copied", "length"):
        assert found[name].replicates[3] == pytest.approx(again[name].value), name


ODD = {
    "empty": [""] * 12,
    "one token": ["cat"] * 12,
    "all the same": [REFERENCE[0]] * 12,
    "emoji": [f"👩‍👩‍👧 🇫🇷 {'😀' * i}" for i in range(12)],
    "chinese": [f"月夜江南岸，{chr(0x4E00 + i)}花開不見人。" for i in range(12)],
    "unknown words": [f"zq{i} xv{i} wj{i}" for i in range(12)],
    "some empty": ["", "the cat ."] * 6,
    "one long": ["the cat " * 300, *["cat"] * 11],
    "white space": [" \n\t "] * 12,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_have_finite_values_and_errors(card: Scorecard, name: str) -> None:
    found = card.measure(ODD[name])
    assert np.isfinite(values(found)).all(), {
        k: m.value for k, m in found.items() if not np.isfinite(m.replicates).all()
    }
    assert 0 <= card.mauve(ODD[name]) <= 1


@pytest.mark.parametrize("name", ["empty", "all the same", "emoji", "chinese"])
def test_odd_references_too(name: str) -> None:
    odd = Scorecard(ODD[name], ODD[name], CharacterNGrams(), words)
    assert np.isfinite(values(odd.measure(sentences(14, 5)))).all()
    assert np.isfinite(values(odd.measure(ODD[name]))).all()


TEXT = st.text(st.sampled_from(" ab.月😀\n\u200d\u0301"), max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXT, min_size=10, max_size=14))
def test_any_texts_are_measured(texts: list[str]) -> None:
    card = Scorecard(REFERENCE[:20], TRAINING[:20], CharacterNGrams(), words)
    assert np.isfinite(values(card.measure(texts))).all()


def test_it_is_deterministic(card: Scorecard) -> None:
    texts = sentences(30, 6)
    again = Scorecard(REFERENCE, TRAINING, CharacterNGrams(), words)
    assert np.array_equal(values(card.measure(texts)), values(again.measure(texts)))
    assert card.mauve(texts) == again.mauve(texts)


def test_without_an_embedder_there_is_no_measure_that_needs_one() -> None:
    card = Scorecard(REFERENCE, TRAINING, None, words)
    found = card.measure(sentences(12, 7))
    assert not set(found) & {"frechet", "mmd", "precision", "recall", "density", "coverage"} and "bleu_2" in found
    with pytest.raises(ValueError, match="needs an embedder"):
        card.mauve(REFERENCE)


def test_collapse_costs_diversity_and_copying_is_counted(card: Scorecard) -> None:
    real, one = card.measure(sentences(40, 8)), card.measure([TRAINING[0]] * 40)
    assert one["self_bleu_4"].value == pytest.approx(1) and real["self_bleu_4"].value < 0.99
    assert one["exact_copies"].value == 1 and one["recall"].value < 0.1
    assert one["reverse_ngram_score"].value > real["reverse_ngram_score"].value


def test_pairs_are_quality_against_diversity() -> None:
    for quality, diversity in PAIRS:
        assert METRICS[quality].speaks_of == "quality" and METRICS[diversity].speaks_of in ("diversity", "both")
        assert "real" not in (METRICS[quality].better, METRICS[diversity].better)


# --- the judges


def test_no_reference_text_is_scored_by_a_judge_that_saw_it() -> None:
    """Every text has words of its own; a judge that knew them would find them likely."""
    reference = [[f"w{i}", f"x{i}", f"y{i}"] for i in range(10)]
    fitted = CrossFitted(reference)
    own = WordLM(reference, vocabulary_of(reference))
    nll, tokens = own.nll(reference)
    assert (fitted.reference_scores > nll / tokens + 0.5).all()
    for i, text in enumerate(reference):
        others = WordLM(reference[1 - i % 2 :: 2], fitted.vocabulary)
        nll, tokens = others.nll([text])
        assert fitted.reference_scores[i] == pytest.approx(nll[0] / tokens[0])


def test_samples_are_judged_as_the_reference_is() -> None:
    reference = [text.split() for text in REFERENCE]
    fitted = CrossFitted(reference)
    nll, tokens = fitted.nll(reference)
    assert np.array_equal(nll / tokens, fitted.reference_scores)
    assert tokens.tolist() == [len(text) + 1 for text in reference]
    one = fitted.nll(reference[:1])
    assert one[0][0] == nll[0] and len(fitted.nll([])[0]) == 0


def test_an_unknown_word_costs_more_than_a_known_one() -> None:
    fitted = WordLM([text.split() for text in REFERENCE], vocabulary_of([text.split() for text in REFERENCE]))
    assert fitted.score([["the", "zzz"]]) > fitted.score([["the", "cat"]])
    assert fitted.score([["zzz"]]) == fitted.score([["qqq"]])
