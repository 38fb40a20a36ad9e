"""The sweep: what may be asked, which texts stand where, and what is drawn with which numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import rows, tokenizers
from mgan.data.readers import Example
from mgan.errors import UserError
from mgan.evaluation.jackknife import Jackknifed
from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.oracle import Measured
from mgan.evaluation.scorecard import Scorecard
from mgan.evaluation.sweep import Decoding, Halves, Sweep, Sweeper, Text, as_json
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import text_nll
from mgan.models.lstm import LSTMGenerator
from mgan.types import Batch

LETTERS = "abcdefgh"


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperatures": ()},
        {"temperatures": (0.0, 1.0)},
        {"temperatures": (-1.0,)},
        {"temperatures": (math.nan,)},
        {"temperatures": (1.0, math.inf)},
        {"top_k": (0,)},
        {"top_p": (1.0,)},
        {"top_p": (0.0,)},
        {"top_p": (2.0,)},
        {"top_p": (math.nan,)},
        {"samples": 19},
        {"samples": -1},
    ],
    ids=str,
)
def test_what_cannot_be_swept_is_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        Sweep(**wrong)
    assert "\n" not in str(error.value)


def test_labels_tell_the_settings_apart() -> None:
    assert [d.label for d in Sweep().decodings] == [
        "T 0.6", "T 0.7", "T 0.8", "T 0.9", "T 1", "T 1.1", "T 1.2",
        "top-k 20", "top-k 100", "top-p 0.8", "top-p 0.9", "top-p 0.95",
    ]  # fmt: skip
    assert [d.plain for d in Sweep(temperatures=(1.0,)).decodings] == [True, *[False] * 5]
    assert [d.temperature for d in Sweep(temperatures=(1.2, 0.5), top_k=(), top_p=()).decodings] == [0.5, 1.2]


def test_the_middle_is_nearest_to_one_in_ratio() -> None:
    assert [d.temperature for d in Sweep().middle] == [0.9, 1.0, 1.1]
    assert [d.temperature for d in Sweep(temperatures=(0.5, 1.5, 1.9, 3.0)).middle] == [0.5, 1.5, 1.9]
    assert [d.temperature for d in Sweep(temperatures=(2.0,)).middle] == [2.0]


# --- the halves


def letters(count: int, length: int = 5, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list(LETTERS), length)) + str(i) for i in range(count)]


def world(known: list[Example], held: list[Example], context: int = 16) -> tuple[rows.Rows, rows.Rows, Any]:
    alphabet = [LETTERS + "0123456789?= "]
    tokenizer = tokenizers.train(alphabet, config.Tokenizer(kind="char", min_frequency=1))
    train, test = (rows.encode(part, tokenizer, context) for part in (known, held))
    return train, test, tokenizer


def decoder(tokenizer: Any) -> Any:
    def decode(batch: Batch) -> list[str]:
        pairs = zip(batch.tokens.tolist(), batch.mask.tolist(), strict=True)
        return [tokenizer.decode(t for t, mine in zip(row, mask, strict=True) if mine) for row, mask in pairs]

    return decode


def halved(known: list[str], held: list[str], samples: int = 1000, context: int = 16) -> Halves:
    train, test, tokenizer = world([Example("", t) for t in known], [Example("", t) for t in held], context)
    return Halves.of(train, test, (known, held), decoder(tokenizer), samples)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(1, 30))
def test_the_halves_are_disjoint_and_cover_the_split(texts: int, samples: int) -> None:
    held = letters(texts)
    found = halved(letters(9, seed=1), held, samples)
    assert not set(found.reference) & set(found.real)
    assert len(found.real) == len(found.rows) == min(samples, texts // 2)
    assert len(found.reference) == (texts + 1) // 2
    if samples >= texts // 2:
        assert set(found.reference) | set(found.real) == set(held)


def test_texts_stand_as_they_were_given_and_beside_their_rows() -> None:
    held = ["a☃b", "cd", "e☃f", "gh"]
    found = halved(["ab☃"], held)
    assert (found.reference, found.real) == (["a☃b", "e☃f"], ["cd", "gh"]), "nothing is lost to unknown characters"
    assert found.training == ["ab☃"]


def test_long_texts_are_taken_as_their_windows() -> None:
    held = [letter * 40 for letter in "abcd"]
    found = halved(["g" * 40], held, context=16)
    assert "".join(found.reference) == "a" * 40 + "c" * 40 and "".join(found.real) == "b" * 40 + "d" * 40
    assert len(found.real) == len(found.rows) > 2 and max(map(len, found.real)) < 16
    assert "".join(found.training) == "g" * 40


def test_a_long_training_text_makes_both_sides_windows() -> None:
    found = halved(["g" * 40], ["ab", "cd"], context=16)
    assert (found.reference, found.real) == (["ab"], ["cd"]) and "".join(found.training) == "g" * 40


# --- drawing


@pytest.fixture(scope="module")
def sweeper() -> Sweeper:
    known = [Example("", text) for text in letters(40)]
    held = [Example(f"{i}=", text) for i, text in enumerate(letters(50, seed=2))]
    train, test, tokenizer = world(known, held)
    decode = decoder(tokenizer)
    halves = Halves.of(train, test, ([e.text for e in known], [e.text for e in held]), decode, 25)
    text = Text(test, 16, tokenizer.eos, tokenizer.pad, tokenizer.never, Hardware())
    return Sweeper(text, halves, Scorecard(halves.reference, halves.training, CharacterNGrams(), list), decode)


@pytest.fixture(scope="module")
def generator() -> LSTMGenerator:
    torch.manual_seed(0)
    return LSTMGenerator(4 + len(LETTERS + "0123456789?= "), 16, 1, 0.0).eval()


def test_prompts_are_kept_and_completed(sweeper: Sweeper, generator: LSTMGenerator) -> None:
    prompts = sweeper.halves.rows
    samples = sweeper.write(generator, Decoding(), 3)
    assert len(samples) == len(prompts) == 25
    for i, given_tokens in enumerate(prompts.prompt_length.tolist()):
        assert samples.tokens[i, :given_tokens].tolist() == prompts.tokens[i, :given_tokens].tolist()
        assert not samples.mask[i, :given_tokens].any() and given_tokens >= 3
    assert samples.tokens.shape[1] <= 16


@pytest.mark.parametrize("decoding", [Decoding(3.0), Decoding(top_k=20), Decoding(top_p=0.99)], ids=lambda d: d.label)
def test_what_is_no_text_is_never_drawn(sweeper: Sweeper, generator: LSTMGenerator, decoding: Decoding) -> None:
    pad, _, unknown = sweeper.world.never
    drawn = [sweeper.write(generator, decoding, seed) for seed in range(6)]
    tokens = torch.cat([batch.tokens[batch.mask] for batch in drawn])
    assert len(tokens) > 200 and not torch.isin(tokens, torch.tensor(sweeper.world.never)).any()
    assert sweeper.world.eos in tokens and pad != unknown
    free = Text(sweeper.world.test, 16, sweeper.world.eos, pad, (), Hardware())
    loose = [free.complete(generator, sweeper.halves.rows, decoding, seed) for seed in range(6)]
    assert unknown in torch.cat([batch.tokens[batch.mask] for batch in loose]), "this test can fail"


def test_one_seed_draws_with_the_same_numbers_at_every_setting(sweeper: Sweeper, generator: LSTMGenerator) -> None:
    def drawn(decoding: Decoding, seed: int) -> list[str]:
        return sweeper.decode(sweeper.write(generator, decoding, seed))

    once = drawn(Decoding(1.0), 4)
    assert once == drawn(Decoding(1.0), 4) == drawn(Decoding(1.0, top_k=10_000), 4)
    near, far, other = drawn(Decoding(1.001), 4), drawn(Decoding(2.0), 4), drawn(Decoding(1.0), 5)
    same = [sum(a == b for a, b in zip(once, texts, strict=True)) for texts in (near, far, other)]
    assert same[0] >= 20 and same[2] <= 2 and same[0] > same[1]


def test_a_point_is_every_measure_and_a_plain_one_has_a_likelihood(sweeper: Sweeper, generator: LSTMGenerator) -> None:
    plain, cut = (sweeper.point(generator, decoding, 1) for decoding in (Decoding(1.3), Decoding(top_k=3)))
    assert plain.keys() - cut.keys() == {"nll"} and "mauve" in cut
    assert cut.keys() == sweeper.real().keys()
    nats, tokens = text_nll(generator, sweeper.world.test, 50, (1.3,))
    found = plain["nll"]
    assert isinstance(found, Jackknifed)
    assert found.value == pytest.approx(nats.sum() / tokens.sum()) and 0 < found.error < 0.5


def test_measures_become_json() -> None:
    replicates = np.array([1.0, 2.0, 3.0])
    written = as_json(Jackknifed(2.0, replicates))
    assert written == {"value": 2.0, "error": pytest.approx(2 / math.sqrt(3)), "replicates": [1.0, 2.0, 3.0]}
    assert as_json(Measured(math.inf, math.inf, 3)) == {"value": None, "error": None}
    assert as_json(0.5) == {"value": 0.5, "error": None}
    with np.errstate(invalid="ignore"):
        assert as_json(Jackknifed(math.inf, np.array([math.inf, 1.0])))["replicates"] == [None, 1.0]
    json.dumps(as_json(Jackknifed(np.float64(1), np.array([np.float32(1), 2]))), allow_nan=False)
