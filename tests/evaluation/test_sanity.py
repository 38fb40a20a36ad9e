"""The whole scorecard on two languages: real text is nearest its own target, and what is wrong is seen to be wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from mgan import config
from mgan.data import corpus, rows, tokenizers
from mgan.data.readers import Example
from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.scorecard import METRICS, Scorecard
from mgan.evaluation.sweep import Decoding, Halves, Sweeper, Text
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import MaximumLikelihood
from mgan.models.lstm import LSTMGenerator
from mgan.types import Batch

TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5)
COUNT = 200
SEES = {
    **dict.fromkeys(("bleu_2", "bleu_3", "bleu_4"), ("shuffled", "T 1.5")),
    **dict.fromkeys(("self_bleu_2", "self_bleu_3", "self_bleu_4"), ("one", "T 0.5", "T 1.5")),
    "bleu_5": ("shuffled", "halved"),
    "self_bleu_5": ("one", "T 0.5"),
    "ngram_score": ("shuffled", "T 0.5", "T 1.5"),
    "ngram_distance": ("shuffled", "one", "T 0.5", "T 1.5"),
    "reverse_ngram_score": ("one", "T 0.5"),
    "distinct_2": ("shuffled", "one", "T 0.5", "T 1.5"),
    "entropy_2": ("one", "T 0.5", "T 1.5"),
    "repetition_4": ("looped",),
    "distinct_texts": ("one",),
    "length": ("halved",),
    "frechet": ("one", "T 0.5", "looped"),
    "mmd": ("noise", "one", "T 0.5", "looped"),
    "precision": ("noise",),
    "recall": ("one", "T 0.5"),
    "density": ("one", "noise"),
    "coverage": ("one",),
    "mauve": ("one", "T 0.5"),
    "copied": ("memorised", "one", "shuffled"),
    "exact_copies": ("memorised", "one"),
    "near_copies": ("memorised", "one"),
}
"""Which corruptions each measure must place further from real text's value than other real text."""
UNTRAINED = [name for name in METRICS if name in SEES]


@dataclass(frozen=True)
class Language:
    """values: every measure of every set of texts. others: a second set of real texts stands as ``real``."""

    name: str
    target: dict[str, float]
    values: dict[str, dict[str, float]]

    def miss(self, measure: str, texts: str) -> float:
        return abs(self.values[texts][measure] - self.target[measure])


def lines() -> list[str]:
    """Verses of Shakespeare, a word of the measures being what spaces part."""
    plays = corpus.build(config.Data(path="shakespeare"))
    verses = (line.lower() for example in plays.train for line in example.text.split("\n")[1:])
    return list(dict.fromkeys(line for line in verses if 6 <= len(line.split()) <= 9))[:2000]


def quatrains() -> list[str]:
    return [example.text for example in corpus.build(config.Data(path="tang", max_texts=2500)).train]


LANGUAGES: dict[str, tuple[Callable[[], list[str]], str, Callable[[str], list[str]], str]] = {
    "tang": (quatrains, "char", list, ""),
    "shakespeare": (lines, "word", str.split, " "),
}


@pytest.fixture(scope="session", params=list(LANGUAGES))
def language(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Language:
    read, kind, tokenise, space = LANGUAGES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGAN_CACHE", str(tmp_path_factory.mktemp("sanity")))
        found = read()
    random.Random(0).shuffle(found)
    known, fresh, held = found[: -4 * COUNT], found[-4 * COUNT : -3 * COUNT], found[-3 * COUNT :]
    tokenizer = tokenizers.train(known, config.Tokenizer(kind=kind, min_frequency=1))  # type: ignore[arg-type]
    train, chosen, test = (rows.encode([Example("", t) for t in part], tokenizer, 32) for part in (known, fresh, held))
    generator = fitted(tokenizer.vocabulary_size, train, chosen)

    def decode(batch: Batch) -> list[str]:
        return [
            tokenizer.decode(t for t, mine in zip(tokens, mask, strict=True) if mine)
            for tokens, mask in zip(batch.tokens.tolist(), batch.mask.tolist(), strict=True)
        ]

    halves = Halves.of(train, test, (known, held), decode, COUNT)
    world = Text(test, 32, tokenizer.eos, tokenizer.pad, tokenizer.never, Hardware())
    sweeper = Sweeper(world, halves, Scorecard(halves.reference, known, CharacterNGrams(), tokenise), decode)
    sets = {"real": fresh} | corruptions(halves.real, known, tokenise, space)
    sets |= {f"T {t:g}": decode(sweeper.write(generator, Decoding(t), 1)) for t in TEMPERATURES}

    def measured(texts: list[str]) -> dict[str, float]:
        points = sweeper._of_texts(texts)
        return {name: value if isinstance(value, float) else float(value.value) for name, value in points.items()}

    return Language(request.param, measured(halves.real), {name: measured(texts) for name, texts in sets.items()})


def fitted(vocabulary: int, train: rows.Rows, validation: rows.Rows) -> LSTMGenerator:
    torch.manual_seed(0)
    generator = LSTMGenerator(vocabulary, 48, 1, 0.1)
    settings = config.Pretrain(batch_size=32, learning_rate=0.02, epochs=4, evaluate_every=1000)
    fit = MaximumLikelihood(
        generator, train, validation, settings, hardware=Hardware(), seed=0, ledger=Ledger(), patience=10
    )
    fit.begin()
    while not fit.done:
        fit.step()
    return generator


def corruptions(
    real: list[str], known: list[str], tokenise: Callable[[str], list[str]], space: str
) -> dict[str, list[str]]:
    pool = [word for text in real for word in tokenise(text)]
    random.Random(1).shuffle(pool)
    shuffled = iter(pool)
    words = [tokenise(text) for text in real]
    return {
        "shuffled": [space.join(next(shuffled) for _ in text) for text in words],
        "noise": noise(real),
        "one": [known[0]] * len(real),
        "memorised": known[: len(real)],
        "looped": [space.join((text[:2] * len(text))[: len(text)]) for text in words],
        "halved": [space.join(text[: len(text) // 2]) for text in words],
    }


def noise(real: list[str]) -> list[str]:
    """Texts as long, of the same characters."""
    pool = list("".join(real))
    random.Random(2).shuffle(pool)
    characters = iter(pool)
    return ["".join(next(characters) for _ in text) for text in real]


def test_every_untrained_measure_is_in_the_table(language: Language) -> None:
    assert set(language.target) == set(SEES)


@pytest.mark.parametrize("measure", UNTRAINED)
def test_real_text_is_nearest_its_own_target(language: Language, measure: str) -> None:
    ours = language.miss(measure, "real")
    theirs = {corruption: language.miss(measure, corruption) for corruption in SEES[measure]}
    assert all(ours < miss for miss in theirs.values()), (ours, theirs)


def test_low_temperature_is_too_likely_with_too_little_diversity(language: Language) -> None:
    cold, real = language.values["T 0.5"], language.target
    assert cold["ngram_score"] < real["ngram_score"]
    assert cold["self_bleu_2"] > real["self_bleu_2"] and cold["distinct_2"] < real["distinct_2"]


def test_high_temperature_is_the_reverse(language: Language) -> None:
    hot, real = language.values["T 1.5"], language.target
    assert hot["ngram_score"] > real["ngram_score"] and hot["bleu_2"] < real["bleu_2"]
    assert hot["self_bleu_2"] < real["self_bleu_2"] and hot["distinct_2"] > real["distinct_2"]


@pytest.mark.parametrize("measure", ["copied", "exact_copies", "near_copies"])
def test_a_memoriser_is_caught_by_novelty(language: Language, measure: str) -> None:
    assert language.values["memorised"][measure] == pytest.approx(1)
    assert language.target[measure] < 0.5


@pytest.mark.parametrize("measure", ["bleu_2", "self_bleu_2", "ngram_score", "distinct_2", "frechet", "mmd", "recall"])
def test_and_by_nothing_else(language: Language, measure: str) -> None:
    """Were it not for the copies it would be the best generator there is."""
    swept = [language.miss(measure, f"T {t:g}") for t in (0.5, 1.5)]
    assert language.miss(measure, "memorised") < min(swept) + 0.1 * max(swept)


@pytest.mark.parametrize(
    ("measure", "rises"),
    [("ngram_score", True), ("distinct_2", True), ("entropy_2", True), ("self_bleu_2", False)],
)
def test_quality_falls_and_diversity_rises_with_the_temperature(language: Language, measure: str, rises: bool) -> None:
    values = [language.values[f"T {t:g}"][measure] for t in TEMPERATURES]
    assert values == sorted(values, reverse=not rises)
    assert len(set(values)) == len(values)
