"""LM score, reverse LM score and the distance over quantiles by which they are judged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from mgan import config
from mgan.data.tokenizers import train
from mgan.evaluation.metrics.language_model import (
    Budget,
    LanguageModel,
    LMScore,
    lm_score,
    reverse_lm_score,
    word_tokenizer,
)
from mgan.evaluation.metrics.quantiles import quantile_differences, quantile_distance

scores = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)


@given(scores, scores)
@settings(max_examples=200, deadline=None)
def test_the_distance_is_the_wasserstein_distance(samples: list[float], real: list[float]) -> None:
    assert quantile_distance(samples, real) == pytest.approx(wasserstein_distance(samples, real), abs=1e-9)


@given(scores, scores)
@settings(max_examples=100, deadline=None)
def test_differences_are_the_integrand_of_the_distance(samples: list[float], real: list[float]) -> None:
    at = (np.arange(len(samples) * len(real)) + 0.5) / (len(samples) * len(real))
    differences = quantile_differences(samples, real, tuple(at))
    assert np.abs(differences).mean() == pytest.approx(quantile_distance(samples, real), abs=1e-9)
    assert differences.mean() == pytest.approx(np.mean(samples) - np.mean(real), abs=1e-6)


def test_equal_means_may_be_far_apart() -> None:
    assert quantile_distance([1.0, 1.0], [0.0, 2.0]) == 1
    assert quantile_differences([1.0, 1.0], [0.0, 2.0], (0.25, 0.75)).tolist() == [1, -1]


@pytest.mark.parametrize("bad", [[], [math.nan], [math.inf, 1.0], [[1.0]]])
def test_scores_are_finite_and_some(bad: list[float]) -> None:
    for measure in (quantile_distance, quantile_differences):
        with pytest.raises(ValueError, match="finite scores"):
            measure(bad, [1.0])
        with pytest.raises(ValueError, match="finite scores"):
            measure([1.0], bad)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile_differences([1.0], [1.0], (1.5,))


SMALL = Budget(hidden=32, dropout=0.1, updates=200, epochs=30, batch_size=16, context=24, measures=4)
NOUNS = ("cat", "dog", "fox", "hen", "cow", "pig")
SIZES = ("old", "big", "shy", "wet", "red")


def write(count: int, seed: int, nouns: tuple[str, ...] = NOUNS) -> list[str]:
    """Sentences of a small grammar, each word of a class as likely as the others."""
    random = np.random.default_rng(seed)
    return [
        f"the {random.choice(SIZES)} {random.choice(nouns)} sees a {random.choice(SIZES)} {random.choice(nouns)} ."
        for _ in range(count)
    ]


ENTROPY = (2 * math.log(len(NOUNS)) + 2 * math.log(len(SIZES))) / 9
"""Nats a token of the grammar: eight words and the end."""
REFERENCE, REAL = write(600, 0), write(200, 1)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.fit(REFERENCE, word_tokenizer(REFERENCE), budget=SMALL)


def test_it_learns_the_grammar_and_scores_its_own_text_like_real_text(model: LanguageModel) -> None:
    score = model.score(write(300, 2), REAL)
    assert ENTROPY * 0.98 < score.real_value < ENTROPY * 1.06
    assert score.value == pytest.approx(score.real_value, abs=0.02) and score.distance < 0.03
    assert score.samples.shape == (300,) and score.real.shape == (200,)
    assert set(score.sample_tokens) == {9}


def test_the_value_weighs_tokens_and_each_text_has_its_own(model: LanguageModel) -> None:
    texts = ["the old cat sees a wet dog .", "", "the", "cat cat cat"]
    score = model.score(texts, REAL)
    assert score.sample_tokens.tolist() == [9, 1, 2, 4]
    assert score.value == pytest.approx(score.samples @ score.sample_tokens / 16)
    for text, value in zip(texts, score.samples, strict=True):
        assert model.score([text], REAL).samples == pytest.approx([value], rel=1e-4)


def test_the_score_is_the_networks_own_probability(model: LanguageModel) -> None:
    text = "the old cat sees a wet dog ."
    ids = [model.tokenizer.bos, *model.tokenizer.encode(text), model.tokenizer.eos]
    with torch.no_grad():
        logprobs = model.network(torch.tensor([ids]))[0].log_softmax(-1)
    expected = -sum(float(logprobs[i, ids[i + 1]]) for i in range(len(ids) - 1))
    assert model.nll([text])[0] == pytest.approx([expected], rel=1e-4)


def test_a_collapsed_and_a_shuffled_generator_are_both_off(model: LanguageModel) -> None:
    """The collapsed one scores *lower* than real text; the distance says that this is wrong too."""
    random = np.random.default_rng(0)
    shuffled = [" ".join(random.permutation(text.split())) for text in write(200, 3)]
    nll = model.nll(REFERENCE)[0]
    safest = [REFERENCE[int(nll.argmin())]] * 200
    collapsed, noise, fine = (model.score(texts, REAL) for texts in (safest, shuffled, write(200, 4)))
    assert collapsed.value < collapsed.real_value < noise.value
    assert fine.distance < collapsed.distance and 10 * fine.distance < noise.distance


def test_unknown_words_count_as_one_token() -> None:
    """The trap the documentation warns of: two different words of nonsense cost the same."""
    reference = [*REFERENCE, *(f"the rare{i} cat ." for i in range(60))]
    tokenizer = word_tokenizer(reference)
    fitted = LanguageModel.fit(reference, tokenizer, budget=SMALL)
    first, second = fitted.nll(["the xyzzy cat .", "the 🐙 cat ."])[0]
    assert first == pytest.approx(second, rel=1e-5)
    assert tokenizer.encode("the rare3 cat .")[1] == tokenizer.unk


def test_reverse_scores_see_what_is_missing(model: LanguageModel) -> None:
    half = write(600, 5, NOUNS[:3])
    poor = reverse_lm_score(half, REFERENCE, REAL, budget=SMALL)
    fair = reverse_lm_score(write(600, 6), REFERENCE, REAL, budget=SMALL, target=model)
    assert poor.target == fair.target == pytest.approx(ENTROPY, rel=0.06)
    assert fair.value == pytest.approx(fair.target, abs=0.03)
    assert poor.value > poor.target + 0.3
    assert poor.texts == 600 and poor.by_samples.shape == poor.tokens.shape == (200,)
    assert poor.by_samples.sum() / poor.tokens.sum() == pytest.approx(poor.value)
    with pytest.raises(ValueError, match="600 texts"):
        reverse_lm_score(half[:100], REFERENCE, REAL, budget=SMALL, target=model)
    with pytest.raises(ValueError, match="another tokenizer"):
        reverse_lm_score(half, REFERENCE, REAL, budget=SMALL, target=model, tokenizer=word_tokenizer(half))


TINY = Budget(hidden=8, updates=3, batch_size=4, context=16)


def test_both_reverse_models_learn_from_as_many_texts() -> None:
    assert reverse_lm_score(write(30, 0), REFERENCE, REAL[:5], budget=TINY).texts == 30
    assert reverse_lm_score(REFERENCE, write(30, 0), REAL[:5], budget=TINY).texts == 30


def test_the_same_seed_gives_the_same_score_and_leaves_the_callers_random_numbers() -> None:
    state = torch.get_rng_state()

    def run(seed: int) -> LMScore:
        return lm_score(REAL[:20], REFERENCE[:60], REAL[20:40], budget=TINY, seed=seed)

    assert run(1).value == run(1).value != run(2).value
    assert torch.equal(torch.get_rng_state(), state)


def test_texts_longer_than_the_context_are_scored_whole() -> None:
    long = " ".join(REFERENCE[:10])
    fitted = LanguageModel.fit(REFERENCE[:40], word_tokenizer(REFERENCE), budget=TINY)
    assert fitted.nll([long])[1].tolist() == [81]
    assert np.isfinite(lm_score([long], [long, long, long], [long], budget=TINY).value)


def test_chinese_emoji_and_empty_texts() -> None:
    poems = ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"] * 3
    assert word_tokenizer(poems).kind == "char" and word_tokenizer(REFERENCE).kind == "word"
    score = lm_score(["明月", "", "🙂🙃"], poems, ["举头望明月"], budget=TINY)
    assert score.sample_tokens.tolist() == [3, 1, 3] and np.isfinite(score.samples).all()
    blank = lm_score([""], ["", ""], [""], budget=TINY)
    assert blank.sample_tokens.tolist() == [1]


def test_a_tokenizer_of_ones_own() -> None:
    tokenizer = train(REFERENCE, config.Tokenizer(kind="char"))
    assert lm_score(["the"], REFERENCE[:40], ["cat"], tokenizer=tokenizer, budget=TINY).sample_tokens.tolist() == [4]


def test_too_few_texts_are_said() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        lm_score([], REFERENCE[:20], REAL[:5], budget=TINY)
    with pytest.raises(ValueError, match="at least 2 texts"):
        lm_score(["a"], ["a"], REAL[:5], budget=TINY)
    with pytest.raises(ValueError, match="at least 2 texts"):
        reverse_lm_score([], REFERENCE[:20], REAL[:5], budget=TINY)
