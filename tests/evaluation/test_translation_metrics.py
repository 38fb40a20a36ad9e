"""BLEU, chrF and TER of translations: known values, uneven references, the missing package."""

from __future__ import annotations

import math
import sys

import pytest

from mgan.errors import UserError
from mgan.evaluation.metrics.translation import chrf, sacrebleu, ter

pytest.importorskip("sacrebleu")

HYPOTHESES = ["the cat sat on the mat today", "it rains"]
REFERENCES = [["the cat sat on the mat"], ["it is raining", "rain falls"]]


def test_bleu_is_its_formula_over_the_corpus() -> None:
    """One text, without smoothing: precisions 6/7, 5/6, 4/5, 3/4 and no brevity penalty."""
    score = sacrebleu(HYPOTHESES[:1], REFERENCES[:1])
    assert score.value == pytest.approx((6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25)
    assert "tok:13a" in score.signature
    shorter = sacrebleu(["a b c d e"], [["a b c d e f g"]])
    assert shorter.value == pytest.approx(math.exp(1 - 7 / 5))


def test_chrf_is_its_formula() -> None:
    """Characters: "ab" has 2 of the 1-grams and 1 of the 2-grams of "abc", which has 3 and 2."""
    precision, recall = (1 + 1) / 2, (2 / 3 + 1 / 2) / 2
    value = chrf(["ab"], [["abc"]]).value
    assert value == pytest.approx(5 * precision * recall / (4 * precision + recall), abs=1e-9)
    assert "nw:2" in chrf(["ab"], [["abc"]], word_order=2).signature


def test_ter_counts_edits_and_shifts_and_may_pass_1() -> None:
    assert ter(HYPOTHESES[:1], REFERENCES[:1]).value == pytest.approx(1 / 6)
    assert ter(["c d a b"], [["a b c d"]]).value == pytest.approx(1 / 4)
    assert ter(["w x y z"], [["a"]]).value == 4


def test_every_text_may_have_its_own_number_of_references() -> None:
    assert "nrefs:var" in sacrebleu(HYPOTHESES, REFERENCES).signature
    one = [[given[0]] for given in REFERENCES]
    assert chrf(HYPOTHESES, REFERENCES).value >= chrf(HYPOTHESES, one).value
    exact = [["x y z w", "it rains a lot"], ["the mat is flat today"]]
    for metric, best in ((sacrebleu, 1), (chrf, 1), (ter, 0)):
        assert metric(["it rains a lot", "the mat is flat today"], exact).value == best


@pytest.mark.parametrize("language", ["zh", "zh_CN", "zh-Hant", "ZH"])
def test_chinese_is_split_into_characters(language: str) -> None:
    hypothesis, reference = ["我爱北京天安门。"], [["我爱北京天安门！"]]
    score = sacrebleu(hypothesis, reference, language)
    assert "tok:zh" in score.signature
    assert score.value == pytest.approx((7 / 8 * 6 / 7 * 5 / 6 * 4 / 5) ** 0.25)
    assert sacrebleu(hypothesis, reference).value < score.value
    assert "asian:yes" in ter(hypothesis, reference, language).signature
    assert ter(hypothesis, reference, language).value < ter(hypothesis, reference).value == 1


def test_japanese_is_split_into_characters_without_a_dictionary() -> None:
    assert "tok:char" in sacrebleu(["猫がいる"], [["猫がいた"]], "ja").signature


@pytest.mark.parametrize("metric", [sacrebleu, chrf, ter])
def test_texts_without_references_are_refused(metric: object) -> None:
    assert callable(metric)
    for hypotheses, references in (([], []), (["a"], []), (["a"], [[]]), (["a"], ["a"])):
        with pytest.raises(ValueError, match="references"):
            metric(hypotheses, references)
    assert metric([""], [["a b c d"]]).value == (1 if metric is ter else 0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(UserError, match=r"mgan\[metrics\]"):
        chrf(["a"], [["a"]])
