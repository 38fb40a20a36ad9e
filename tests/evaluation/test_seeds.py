"""The question of several seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mgan.evaluation.seeds import across_seeds, t_interval


def results(nll: float, accuracy: float) -> dict[str, Any]:
    comparisons = [
        {"measure": name, "unit": "", "difference": {"value": value}}
        for name, value in (("nll", nll), ("acc", accuracy))
    ]
    pair = {name: {"value": nll - 0.1} for name in ("against_mle", "against_mle_pair")}
    return {"verdict": {"comparisons": comparisons, "pair": pair}}


def test_the_interval_is_students() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.6])
    expected = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("nll", "accuracy", "said"),
    [
        ([-0.10, -0.11, -0.12], [0.0, 0.01, -0.01], "adversarial training helped"),
        ([0.10, 0.11, 0.12], [0.0, 0.01, -0.01], "adversarial training did harm"),
        ([-0.10, -0.11, -0.12], [0.05, 0.051, 0.052], "made no difference that these runs can show"),
        ([-0.1, 0.2, 0.0], [0.0, 0.01, -0.01], "made no difference that these runs can show"),
        ([-0.10, -0.11], [0.0, 0.0], "none yet, 2 of the 3 seeds"),
    ],
)
def test_what_is_said(nll: list[float], accuracy: list[float], said: str) -> None:
    found = across_seeds([results(a, b) for a, b in zip(nll, accuracy, strict=True)], 0.95)
    assert said in found["sentence"]
    assert found["seeds"] == len(nll)
