"""Answers graded against all that are accepted, with intervals over questions."""

from __future__ import annotations

import pytest

from mgan.evaluation.bootstrap import Intervals
from mgan.evaluation.tasks import Asked, answering


def test_a_question_is_graded_against_all_its_answers() -> None:
    asked = [
        Asked("Who won?", ("Chelsea", "chelsea f.c.")),
        Asked("Which painter?", ("Vincent van Gogh", "Van Gogh")),
        Asked("天是什么颜色？", ("蓝色",)),
        Asked("2+2?", ("4", "four")),
    ]
    intervals = Intervals.over(len(asked), 500, 0.95, seed=0)
    found = answering.measure(asked, ["The Chelsea FC!", "Gogh", "蓝，天", ""], intervals)
    assert found["exact_match"].value == 0.25
    # One word of Van Gogh: 2/3; one character of two each: 1/2.
    assert found["f1"].value == pytest.approx((1 + 2 / 3 + 1 / 2 + 0) / 4)
    for estimate in found.values():
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    assert set(found) == set(answering.TITLES)
