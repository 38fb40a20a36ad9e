"""The question of several seeds."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mgan.evaluation.seeds import across_seeds, t_interval
from mgan.settings import load_config


def differences(nll: float, accuracy: float) -> list[dict[str, Any]]:
    return [
        {"measure": name, "unit": "", "difference": {"value": value}}
        for name, value in (("nll", nll), ("acc", accuracy))
    ]


def results(nll: float, accuracy: float, **controls: float | None) -> dict[str, Any]:
    """controls: ours minus each control's NLL; None: it was not played."""
    pair = {name: {"value": nll - 0.1} for name in ("against_mle", "against_mle_pair")}
    against = {name: {"comparisons": differences(d, accuracy)} for name, d in controls.items() if d is not None}
    return {"verdict": {"comparisons": differences(nll, accuracy), "pair": pair, "controls": against}}


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


BEATEN, UNBEATEN, UNCLEAR = [-0.05, -0.06, -0.05], [0.05, 0.06, 0.05], [0.3, -0.3, 0.0]
NO_CONTROL = "no control was played: 'evaluation.controls=[constant]'"

Played = dict[str, list[Any]]


@pytest.mark.parametrize(
    ("played", "against", "helped"),
    [
        ({"constant": BEATEN}, {"constant": "better"}, True),
        ({"frozen": UNBEATEN}, {"frozen": "worse"}, False),
        ({"random": UNCLEAR}, {"random": "not distinguishable"}, False),
        ({"constant": [-0.05, -0.06, None]}, {}, False),
        ({}, {}, False),
        ({"constant": BEATEN, "frozen": BEATEN}, {"constant": "better", "frozen": "better"}, True),
        ({"constant": BEATEN, "frozen": UNCLEAR}, {"constant": "better", "frozen": "not distinguishable"}, False),
        ({"random": UNBEATEN, "frozen": BEATEN}, {"random": "worse", "frozen": "better"}, False),
        ({"random": [None, -0.06, -0.05], "frozen": BEATEN}, {"frozen": "better"}, True),
    ],
)
def test_it_helped_only_if_it_beats_every_control_that_every_run_has(
    played: Played, against: dict[str, str], helped: bool
) -> None:
    runs = [results(BETTER[i], CHANCE[i], **{name: nll[i] for name, nll in played.items()}) for i in range(3)]
    found = across_seeds(runs, 0.95)
    assert (found["outcome"], found["against_controls"]) == ("better", against)
    assert ("adversarial training helped" in found["sentence"]) == helped
    assert (NO_CONTROL in found["sentence"]) == (not against)
    assert all(f"{outcome} ({name})" in found["sentence"] for name, outcome in against.items())


@pytest.mark.parametrize(
    ("constant", "frozen", "harm"), [(0.1, 0.2, True), (-0.1, 0.1, False), (0.1, -0.1, False), (-0.1, -0.1, False)]
)
def test_it_did_harm_only_if_every_control_beats_it_too(constant: float, frozen: float, harm: bool) -> None:
    shifts = (0.0, 0.001, 0.002)
    found = across_seeds([results(0.1 + x, 0.0, constant=constant + x, frozen=frozen + x) for x in shifts], 0.95)
    assert found["outcome"] == "worse"
    assert list(found["against_controls"].values()).count("worse") == (constant > 0) + (frozen > 0)
    assert ("adversarial training did harm" in found["sentence"]) == harm
    assert "helped" not in found["sentence"]


def test_the_hint_is_what_a_shell_passes_on_and_the_configuration_takes() -> None:
    sentence = across_seeds([results(b, c) for b, c in zip(BETTER, CHANCE, strict=True)], 0.95)["sentence"]
    (override,) = shlex.split(sentence.partition("no control was played: ")[2].partition(")")[0])
    assert load_config(overrides=[override]).evaluation.controls == ("constant",)
