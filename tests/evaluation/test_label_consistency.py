"""Label consistency: what a classifier of real texts says of texts whose label is known."""

from __future__ import annotations

import itertools

import pytest
import torch

from mgan import config
from mgan.data import tokenizers
from mgan.data.readers import Example
from mgan.data.rows import Rows, encode
from mgan.data.tokenizers import FIRST_LABEL
from mgan.evaluation.label_consistency import Found, LabelConsistency
from mgan.fit.hardware import Hardware

LABELS = ("low", "high")
TOKENIZER = tokenizers.train(["abcdwxyz"], config.Tokenizer(kind="char", min_frequency=1), labels=LABELS)


def rows(length: int) -> Rows:
    """Letters of the alphabet's beginning are low, of its end high."""
    texts = [
        Example(label, "".join(word))
        for label, letters in zip(LABELS, ("abcd", "wxyz"), strict=True)
        for word in itertools.product(letters, repeat=length)
    ]
    return encode(texts, TOKENIZER, 16)


@pytest.fixture(scope="module")
def judge() -> LabelConsistency:
    splits = rows(4), rows(3), rows(2)
    return LabelConsistency(splits, TOKENIZER.vocabulary_size, 2, Hardware("cpu"), seed=0, steps=60)


def test_it_knows_real_texts_and_asks_for_the_label_that_was_asked_for(judge: LabelConsistency) -> None:
    assert judge.held_out.share == 1.0 and judge.held_out.asked == (16, 16) and judge.caution is None
    texts = rows(3).batch(range(128))
    assert judge.found(texts).share == 1.0
    swapped = texts.tokens.clone()
    swapped[:32, 1] = torch.where(swapped[:32, 1] == FIRST_LABEL, FIRST_LABEL + 1, FIRST_LABEL)
    other = type(texts)(swapped, texts.mask, texts.prompt_length)
    found = judge.found(other)
    assert found.share == pytest.approx(1 - 32 / 128), "a quarter was asked for what it is not"
    assert found == Found((32, 96), (32, 64)) and (found.of(0), found.of(1)) == (1.0, pytest.approx(2 / 3))
    assert Found((0, 2), (0, 1)).of(0) is None


def test_without_a_fit_it_knows_nothing() -> None:
    splits = rows(3), rows(3), rows(3)
    blank = LabelConsistency(splits, TOKENIZER.vocabulary_size, 2, Hardware("cpu"), seed=0, steps=1)
    assert blank.held_out.share < 1.0


@pytest.mark.parametrize(
    ("asked", "right", "luck"),
    [((2, 2), (2, 2), 1 / 16), ((4, 4), (4, 4), 1 / 256), ((2, 2), (1, 1), 11 / 16), ((3, 1), (3, 0), 189 / 256),
     ((5, 0), (5, 0), 1.0)],
)  # fmt: skip
def test_luck_is_the_binomial_tail_at_the_commonest_labels_share(
    asked: tuple[int, ...], right: tuple[int, ...], luck: float
) -> None:
    assert Found(asked, right).luck == pytest.approx(luck)


def test_a_classifier_no_better_than_luck_is_told(judge: LabelConsistency) -> None:
    held, judge.held_out = judge.held_out, Found((5, 4), (5, 0))
    said, judge.held_out = judge.caution, held
    assert said is not None and "right about 5 of 9 held-out real texts, of which 5 have the same label" in said
