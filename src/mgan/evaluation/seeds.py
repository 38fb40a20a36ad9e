"""Did adversarial training help? Asked of several runs that differ in nothing but their seed."""

from __future__ import annotations

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

    That it "helped" or "did harm" is said only if the control, the same game, anchors and all, without the verdict,
    says so too: what is lost to MLE may be nothing but the computing spent on the game.
    """
    comparisons = _comparisons([result["verdict"] for result in results], confidence)
    outcome, control = decide(comparisons), "none"
    if all("control" in result["verdict"] for result in results):
        control = decide(_comparisons([result["verdict"]["control"] for result in results], confidence))
    return {
        "seeds": len(results),
        "outcome": outcome if len(results) >= ENOUGH else "none",
        "against_control": control,
        "sentence": _sentence(len(results), outcome, control, comparisons, confidence),
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


def _sentence(seeds: int, outcome: str, control: str, comparisons: list[Comparison], confidence: float) -> str:
    if seeds < ENOUGH:
        return f"Verdict: none yet, {seeds} of the {ENOUGH} seeds it takes: {figures(comparisons)}."
    said = {
        "better": "adversarial training helped"
        if control == "better"
        else "better than MLE at equal compute, but not shown to be the discriminator's work",
        "worse": "adversarial training did harm"
        if control == "worse"
        else "worse than MLE at equal compute, but not shown to be the discriminator's work",
        "not distinguishable": "adversarial training made no difference that these runs can show",
    }[outcome]
    against = {"none": "no control was played: evaluation.control=constant"}.get(
        control, f"against the control it is {control}"
    )
    return (
        f"Verdict: {said}, over {seeds} seeds: {figures(comparisons)} "
        f"(ours minus MLE at equal compute, lower is better, {confidence:.0%} joint intervals over seeds; {against})."
    )
