"""Did adversarial training help? Asked of several runs that differ in nothing but their seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mgan.evaluation.bootstrap import Estimate
from mgan.evaluation.verdict import Comparison, as_json, decide, figures

ENOUGH = 3


def t_interval(values: np.ndarray, confidence: float) -> Estimate:
    """The mean over seeds with Student's interval. values: [seeds], two at least."""
    from scipy import stats  # takes seconds to import

    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def across_seeds(results: list[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """results: each run's figures. Intervals are over seeds and hold jointly; fewer than three seeds claim nothing.

    That it "helped" or "did harm" is said only if every control that all runs have played (the same game, anchors and
    all, without a discriminator that learns and pays) says so too: what is lost to MLE may be nothing but the computing
    spent on the game. Saying so of every one needs no correction for their number.
    """
    comparisons = _comparisons([result["verdict"] for result in results], confidence)
    outcome = decide(comparisons)
    played = [result["verdict"]["controls"] for result in results]
    controls = {
        name: decide(_comparisons([each[name] for each in played], confidence))
        for name in played[0]
        if all(name in each for each in played)
    }
    return {
        "seeds": len(results),
        "outcome": outcome if len(results) >= ENOUGH else "none",
        "against_controls": controls,
        "sentence": _sentence(len(results), outcome, controls, comparisons, confidence),
        "comparisons": [as_json(comparison) for comparison in comparisons],
        "against_mle": asdict(_pair(results, "against_mle", confidence)),
        "against_mle_pair": asdict(_pair(results, "against_mle_pair", confidence)),
    }


def _comparisons(verdicts: list[dict[str, Any]], confidence: float) -> list[Comparison]:
    """Each measure's differences over the seeds, with joint intervals."""
    found = [verdict["comparisons"] for verdict in verdicts]
    each = 1 - (1 - confidence) / len(found[0])
    return [
        Comparison(
            same[0]["measure"],
            same[0]["unit"],
            t_interval(np.array([measured["difference"]["value"] for measured in same]), each),
        )
        for same in zip(*found, strict=True)
    ]


def _pair(results: list[dict[str, Any]], which: str, confidence: float) -> Estimate:
    return t_interval(np.array([r["verdict"]["pair"][which]["value"] for r in results]), confidence)


def _sentence(
    seeds: int, outcome: str, controls: Mapping[str, str], comparisons: list[Comparison], confidence: float
) -> str:
    if seeds < ENOUGH:
        return f"Verdict: none yet, {seeds} of the {ENOUGH} seeds it takes: {figures(comparisons)}."
    agreed = set(controls.values()) == {outcome}
    said = {
        "better": "adversarial training helped"
        if agreed
        else "better than MLE at equal compute, but not shown to be the discriminator's work",
        "worse": "adversarial training did harm"
        if agreed
        else "worse than MLE at equal compute, but not shown to be the discriminator's work",
        "not distinguishable": "adversarial training made no difference that these runs can show",
    }[outcome]
    found = ", ".join(f"{against} ({name})" for name, against in controls.items())
    against = (
        f"against the controls it is {found}" if found else "no control was played: 'evaluation.controls=[constant]'"
    )
    return (
        f"Verdict: {said}, over {seeds} seeds: {figures(comparisons)} "
        f"(ours minus MLE at equal compute, lower is better, {confidence:.0%} joint intervals over seeds; {against})."
    )
