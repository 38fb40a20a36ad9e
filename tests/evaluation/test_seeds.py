"""The question of several seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mgan.evaluation.seeds import across_seeds, t_interval


def differences(nll: float, accuracy: float) -> list[dict[str, Any]]:
    return [
        {"measure": name, "unit": "", "difference": {"value": value}}
        for name, value in (("nll", nll), ("acc", accuracy))
    ]


def results(nll: float, accuracy: float, control: float | None = None) -> dict[str, Any]:
    """control: ours minus the control's NLL; None: none was played."""
    pair = {name: {"value": nll - 0.1} for name in ("against_mle", "against_mle_pair")}
    verdict: dict[str, Any] = {"comparisons": differences(nll, accuracy), "pair": pair}
    if control is not None:
        verdict["control"] = {"comparisons": differences(control, accuracy)}
    return {"verdict": verdict}


def test_the_interval_is_students() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.6])
    expected = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("nll", "accuracy", "said"),
    [
        ([-0.10, -0.11, -0.12], [0.0, 0.01, -0.01], "not shown to be the discriminator's work"),
        ([0.10, 0.11, 0.12], [0.0, 0.01, -0.01], "worse than MLE at equal compute, but not shown to be"),
        ([-0.10, -0.11, -0.12], [0.05, 0.051, 0.052], "made no difference that these runs can show"),
        ([-0.1, 0.2, 0.0], [0.0, 0.01, -0.01], "made no difference that these runs can show"),
        ([-0.10, -0.11], [0.0, 0.0], "none yet, 2 of the 3 seeds"),
    ],
)
def test_what_is_said(nll: list[float], accuracy: list[float], said: str) -> None:
    found = across_seeds([results(a, b) for a, b in zip(nll, accuracy, strict=True)], 0.95)
    assert said in found["sentence"]
    assert found["seeds"] == len(nll)


BETTER, CHANCE = [-0.10, -0.11, -0.12], [0.0, 0.01, -0.01]


@pytest.mark.parametrize(
    ("control", "against", "helped"),
    [
        ([-0.05, -0.06, -0.05], "better", True),
        ([0.05, 0.06, 0.05], "worse", False),
        ([0.3, -0.3, 0.0], "not distinguishable", False),
        ([-0.05, -0.06, None], "none", False),
        ([None, None, None], "none", False),
    ],
)
def test_it_helped_only_if_every_run_has_a_control_and_beats_it(
    control: list[float | None], against: str, helped: bool
) -> None:
    found = across_seeds([results(*each) for each in zip(BETTER, CHANCE, control, strict=True)], 0.95)
    assert (found["outcome"], found["against_control"]) == ("better", against)
    assert ("adversarial training helped" in found["sentence"]) == helped
    assert ("evaluation.control=constant" in found["sentence"]) == (against == "none")
    assert against == "none" or f"against the control it is {against}" in found["sentence"]


def test_a_beaten_control_alone_is_no_help() -> None:
    worse = [results(0.1 + n, 0.0, control=-0.1 + n) for n in (0.0, 0.001, 0.002)]
    found = across_seeds(worse, 0.95)
    assert found["against_control"] == "better" and "did harm" not in found["sentence"]
    beaten = across_seeds([results(0.1 + x, x, 0.1 + x) for x in (0.0, 0.01, -0.01)], 0.95)
    assert beaten["against_control"] == "worse" and "adversarial training did harm" in beaten["sentence"]
