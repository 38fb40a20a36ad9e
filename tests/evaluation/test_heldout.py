"""Held-out text in windows: whole texts only, and one figure a text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mgan import config
from mgan.config import Config
from mgan.data import tokenizers
from mgan.data.readers import Example
from mgan.data.rows import Rows, encode
from mgan.evaluation.heldout import HeldOut, _whole_texts
from mgan.evaluation.pair import resampling_gain
from mgan.evaluation.system import Court
from mgan.fit.hardware import Hardware
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator

TOKENIZER = tokenizers.train(["abcd"], config.Tokenizer(kind="char", min_frequency=1))
CONTEXT = 8
WIDE, SMALL = "abcd" * 6, "abc"


def rows(texts: list[str]) -> Rows:
    return encode([Example("", text) for text in texts], TOKENIZER, CONTEXT)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 60))
def test_as_many_texts_as_fit_whole_into_the_rows_and_at_least_one(lengths: list[int], limit: int) -> None:
    held = rows(["a" * length for length in lengths])
    texts = _whole_texts(held, limit)
    assert 1 <= texts <= held.texts
    used = int((held.text_index < texts).sum())
    assert used <= limit or texts == 1
    if texts < held.texts:
        assert int((held.text_index <= texts).sum()) > limit


def court(texts: list[str], samples: int) -> Court:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": CONTEXT},
            "adversarial": {"prompts_per_step": 8},
            "evaluation": {
                "samples": samples, "discriminator_steps": 3, "temperatures": (0.8, 1.0, 1.3), "candidates": 3,
            },
        }
    )  # fmt: skip
    split = rows(texts)

    def new_discriminator() -> LSTMDiscriminator:
        return LSTMDiscriminator(TOKENIZER.vocabulary_size, 8)

    sizes = (TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    return Court(settings, (split, split, split), *sizes, Hardware("cpu"), new_discriminator)


def generator() -> LSTMGenerator:
    torch.manual_seed(0)
    return LSTMGenerator(TOKENIZER.vocabulary_size, 8).eval()


def test_what_is_held_out_covers_whole_texts() -> None:
    held = rows([WIDE, SMALL, WIDE, SMALL])
    measure = HeldOut(held, held, 6, TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad, CONTEXT, Hardware("cpu"))
    per_text = np.bincount(held.text_index)
    assert per_text[0] > 1 and measure.texts == 2
    assert len(measure.real) == per_text[: measure.texts].sum()
    assert int(measure.real.mask.sum()) == sum(len(text) + 1 for text in (WIDE, SMALL))


def test_a_trial_has_one_figure_a_text_whatever_its_windows() -> None:
    bench = court([WIDE, SMALL, WIDE, SMALL, SMALL], samples=100)
    trial = bench.trial("ours", generator())
    index = bench.test.rows.text_index
    assert len(index) > bench.test.texts == 5
    for figures in (trial.nll, trial.tokens, trial.real_right, trial.fake_right, trial.pair_gain):
        assert figures.shape == (5,)
    assert trial.tokens.tolist() == [len(text) + 1 for text in (WIDE, SMALL, WIDE, SMALL, SMALL)]
    assert ((trial.real_right >= 0) & (trial.real_right <= 1)).all()
    # The windows of a text are resampled one by one: their gains add up.
    windows = np.bincount(index)
    assert (trial.pair_gain <= windows * np.log(3) + 1e-9).all()


def test_windows_are_added_or_averaged_by_text() -> None:
    bench = court([WIDE, SMALL, WIDE], samples=100)
    index = bench.test.rows.text_index
    of_rows = np.random.default_rng(0).normal(size=len(index))
    expected = [of_rows[index == text] for text in range(3)]
    assert bench._per_text(of_rows, np.sum) == pytest.approx([part.sum() for part in expected])
    assert bench._per_text(of_rows, np.mean) == pytest.approx([part.mean() for part in expected])
    assert resampling_gain(of_rows, np.zeros((len(index), 2))).shape == of_rows.shape


def test_each_temperature_is_the_best_for_its_measure_on_validation_text() -> None:
    bench, player = court([WIDE, SMALL, "abab", "cdcd"], samples=100), generator()
    chosen = bench.temperatures(player)
    measured = {held.temperature: held for held in bench.validation.measure(player, (0.8, 1.0, 1.3), 3)}
    assert chosen.likelihood == min(measured, key=lambda t: measured[t].nll)
    assert chosen.sampling in measured
