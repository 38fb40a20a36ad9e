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
from mgan.evaluation.label_consistency import LabelConsistency
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
    assert judge.accuracy == 1.0
    texts = rows(3).batch(range(128))
    assert judge.share(texts) == 1.0
    swapped = texts.tokens.clone()
    swapped[:32, 1] = torch.where(swapped[:32, 1] == FIRST_LABEL, FIRST_LABEL + 1, FIRST_LABEL)
    other = type(texts)(swapped, texts.mask, texts.prompt_length)
    assert judge.share(other) == pytest.approx(1 - 32 / 128), "a quarter was asked for what it is not"


def test_without_a_fit_it_knows_nothing() -> None:
    splits = rows(3), rows(3), rows(3)
    blank = LabelConsistency(splits, TOKENIZER.vocabulary_size, 2, Hardware("cpu"), seed=0, steps=1)
    assert blank.accuracy < 1.0
