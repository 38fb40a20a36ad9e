"""Translations measured: the values of the corpus, and intervals of resampled ones."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mgan.errors import UserError
from mgan.evaluation.bootstrap import Intervals
from mgan.evaluation.metrics.translation import Counts, chrf, sacrebleu
from mgan.evaluation.tasks import Asked, translation

pytest.importorskip("sacrebleu")

ASKED = [
    Asked("le chat", ("the cat sat on the mat", "a cat is on the mat")),
    Asked("il pleut", ("it is raining outside today", )),
    Asked("bonjour à tous", ("good morning to all of you", "hello everyone in the room", "hello all")),
    Asked("merci", ("thank you very much", )),
]  # fmt: skip
OUTPUTS = ["the cat sat on a mat", "it rains outside today", "hello to all of you", "thank you very much"]
REFERENCES = [one.references for one in ASKED]


def test_the_values_are_sacrebleus_of_the_corpus_with_all_references() -> None:
    found = translation.measure(ASKED, OUTPUTS, Intervals.over(4, 200, 0.95, 0))
    assert found.keys() == translation.TITLES.keys()
    assert found["bleu"].value == pytest.approx(sacrebleu(OUTPUTS, REFERENCES).value)
    assert found["chrf"].value == pytest.approx(chrf(OUTPUTS, REFERENCES).value)
    # 6 tokens of 6, 4 of 5, 5 of 5 (the nearest of 6, 5 and 2), 4 of 4.
    assert found["length_ratio"].value == pytest.approx(19 / 20)
    for estimate in found.values():
        assert estimate.low < estimate.value <= estimate.high


def test_a_resampled_corpus_is_scored_as_if_it_were_written_out() -> None:
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1]])
    for counts, metric in (
        (Counts.of_bleu(OUTPUTS, REFERENCES), sacrebleu),
        (Counts.of_chrf(OUTPUTS, REFERENCES), chrf),
    ):
        for row, score in zip(weights, counts.score(weights), strict=True):
            index = np.repeat(np.arange(4), row).tolist()
            written = metric([OUTPUTS[i] for i in index], [REFERENCES[i] for i in index])
            assert score == pytest.approx(written.value)


def test_chinese_references_are_split_into_characters() -> None:
    asked, outputs = [Asked("I love Beijing!", ("我爱北京天安门！",))], ["我爱北京天安门。"]
    found = translation.measure(asked, outputs, Intervals.over(1, 100, 0.95, 0))
    assert found["bleu"].value == pytest.approx((7 / 8 * 6 / 7 * 5 / 6 * 4 / 5) ** 0.25)
    assert found["length_ratio"].value == 1


def test_a_run_without_sacrebleu_is_told_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"mgan\[metrics\].*or set evaluation.task=none"):
        translation.must_be_had()
