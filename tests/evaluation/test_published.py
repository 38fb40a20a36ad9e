"""The published figures that ship: those that were read come out again."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
from pydantic import ValidationError

from mgan.evaluation.frontier import Axes, Axis, Curve, Frontier, Point
from mgan.evaluation.published.published import SUITES, Published, Sweep, published

LEVELS = np.array([8.0, 8.5, 9.0])
NONE = float("inf")
ORACLE = {
    "MLE": (8.24, 7.15, 6.36),
    "CoT": (7.85, 6.95, 6.44),
    "RL-GAN": (8.46, 7.46, 6.79),
    "SeqGAN": (10.52, 10.03, 9.76),
    "LeakGAN": (NONE, NONE, 10.85),
}
"""Lowest NLL_oracle with NLL_test at most LEVELS, over a system's curves."""


def lowest(sweep: Sweep, level: float) -> float:
    return min((quality for _, quality, diversity in sweep.points if diversity <= level), default=NONE)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_loads_and_names_its_source(suite: str) -> None:
    found = published(suite)
    assert found.suite == suite
    assert found.source
    assert found.caveats
    assert found.curves or found.table
    assert all(np.isfinite(curve.values).all() for curve in found.overlay())


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ValueError, match="coco, emnlp_news"):
        published("../coco")


@pytest.mark.parametrize("system", ORACLE)
def test_the_oracles_sweep_is_what_was_read(system: str) -> None:
    sweeps = [sweep for sweep in published("oracle_20").curves if sweep.system == system]
    found = [min(lowest(sweep, level) for sweep in sweeps) for level in LEVELS]
    assert found == pytest.approx(ORACLE[system], abs=0.006)


@pytest.mark.parametrize("system", ORACLE)
def test_lines_between_the_oracles_points_stay_near_the_sweep(system: str) -> None:
    """A line reaches a little lower than the last measured point below a level, never higher."""
    turned = Axes(Axis("NLL_test", "", "lower"), Axis("NLL_oracle", "", "lower"))
    curves = [
        Curve(system, None, tuple(Point(p.label, p.diversity, p.quality) for p in sweep.curve().points))
        for sweep in published("oracle_20").curves
        if sweep.system == system
    ]
    found = np.min([Frontier(curve, turned).diversity_at(LEVELS) for curve in curves], axis=0)
    assert found == pytest.approx(ORACLE[system], abs=0.12)
    assert (found <= np.array(ORACLE[system]) + 0.006).all()


def test_the_sweep_on_news_is_what_was_read() -> None:
    suite = published("emnlp_news")
    found = {s.system: Frontier(s.curve(), suite.axes).diversity_at(np.array([2.302, 3.5])) for s in suite.curves}
    assert found["MLE"] == pytest.approx([4.83, 4.01], abs=0.05)
    assert found["RL-GAN"] == pytest.approx([5.56, 4.45], abs=0.05)
    assert found["CoT"][1] == pytest.approx(4.87, abs=0.1)


def test_one_strongest_sweep_of_each_system_is_drawn() -> None:
    suite = published("oracle_20")
    drawn = {sweep.system: sweep for sweep in suite.curves if sweep.featured}
    assert set(drawn) == {sweep.system for sweep in suite.curves}
    assert len(suite.overlay()) == len(drawn)
    for sweep in suite.curves:
        assert lowest(drawn[sweep.system], 9.0) <= lowest(sweep, 9.0)


def test_the_tables() -> None:
    rows = {row.system: row for row in published("coco").table}
    assert rows["LeakGAN"].values == {
        "BLEU-2": 0.746,
        "BLEU-3": 0.528,
        "BLEU-4": 0.355,
        "BLEU-5": 0.23,
        "Self-BLEU-5": 0.78,
    }
    assert [curve.system for curve in published("coco").overlay()] == ["MLE", "SeqGAN", "MaliGAN", "RankGAN", "LeakGAN"]
    assert rows["RelGAN"].status == "as quoted by a third party"
    short, long = ({row.system: row for row in published(f"oracle_{n}").table} for n in (20, 40))
    assert (short["MLE"].values["NLL_oracle"], long["MLE"].values["NLL_oracle"]) == ((9.04, 9.07), 10.41)
    assert short["MLE"].status == short["SeqGAN"].status == "not re-read"
    assert short["RelGAN"].values["NLL_oracle"] == 6.68


def test_the_transposed_oracles_truth_is_told() -> None:
    suite = published("oracle_20")
    assert suite.axes.quality.real == 5.77
    assert any("transposed" in caveat and "5.77" in caveat for caveat in suite.caveats)


def test_a_broken_file_is_refused() -> None:
    text = files("mgan.evaluation.published").joinpath("oracle_20.json").read_text(encoding="utf-8")
    broken = json.loads(text)
    broken["curves"][0]["points"].reverse()
    with pytest.raises(ValidationError, match="do not fall"):
        Published.model_validate(broken)
    with pytest.raises(ValidationError):
        Published.model_validate(json.loads(text) | {"surprise": 1})
