"""Better than maximum likelihood, worse, or not distinguishable: in numbers and in one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mgan.evaluation.bootstrap import Estimate, balanced, mean, ratio, resample
from mgan.evaluation.system import Trial

Outcome = Literal["better", "worse", "not distinguishable"]

ENOUGH = 50
"""Texts below which a percentile interval promises more than it keeps."""


@dataclass(frozen=True)
class Comparison:
    """Ours minus theirs of one measure; lower is better for every measure compared here."""

    measure: str
    unit: str
    difference: Estimate

    @property
    def outcome(self) -> Outcome:
        if self.difference.high < 0:
            return "better"
        return "worse" if self.difference.low > 0 else "not distinguishable"


@dataclass(frozen=True)
class Resamples:
    """The same resampled texts for every system and every measure."""

    texts: np.ndarray
    samples: np.ndarray

    @classmethod
    def of(cls, trial: Trial, resamples: int, seed: int) -> Resamples:
        texts = len(trial.nll)
        return cls(resample(texts, resamples, seed), resample(texts, resamples, seed + 1))


def compare(ours: Trial, theirs: Trial, drawn: Resamples, confidence: float) -> list[Comparison]:
    """The two measures a verdict rests on. Their intervals hold jointly (Bonferroni)."""
    each = 1 - (1 - confidence) / 2
    nll = ratio(ours.nll - theirs.nll, ours.tokens, drawn.texts, each)
    value, resampled = (a - b for a, b in zip(_from_chance(ours, drawn), _from_chance(theirs, drawn), strict=True))
    return [
        Comparison("held-out NLL", "nats a token", nll),
        Comparison("fresh discriminator's accuracy above chance", "", Estimate.of(value, resampled, each)),
    ]


def compare_pair(ours: Trial, theirs: Trial, drawn: Resamples, confidence: float) -> list[Comparison]:
    """What a verdict rests on where the generator stood still: what its pair reaches against plain likelihood."""
    bound = ratio(ours.nll - ours.pair_gain - theirs.nll, ours.tokens, drawn.texts, confidence)
    return [Comparison("held-out NLL of the pair, at most", "nats a token", bound)]


def _from_chance(trial: Trial, drawn: Resamples) -> tuple[Any, Any]:
    """Below one half is chance too, and no better than it: the distance from one half counts."""
    value, resampled = balanced(trial.real_right, trial.fake_right, drawn.texts, drawn.samples)
    return abs(value - 0.5), np.abs(resampled - 0.5)


def decide(comparisons: list[Comparison]) -> Outcome:
    """Better: better at one measure at least and worse at none; worse: the reverse; else not distinguishable."""
    outcomes = {comparison.outcome for comparison in comparisons}
    if "better" in outcomes and "worse" not in outcomes:
        return "better"
    if "worse" in outcomes and "better" not in outcomes:
        return "worse"
    return "not distinguishable"


def sentence(
    outcome: Outcome,
    comparisons: list[Comparison],
    confidence: float,
    texts: int,
    subject: str = "the adversarially trained generator is",
) -> str:
    """The line a run ends with."""
    if texts < ENOUGH:
        few = "1 test text is" if texts == 1 else f"{texts} test texts are"
        return (
            f"Verdict: none, {few} too few for one ({ENOUGH} at least): {figures(comparisons)} "
            "(ours minus MLE, lower is better)."
        )
    said = {
        "better": f"in this run {subject} better than MLE at equal compute",
        "worse": f"in this run {subject} worse than MLE at equal compute",
        "not distinguishable": f"{subject} not distinguishable from MLE at equal compute",
    }[outcome]
    if {c.outcome for c in comparisons} == {"better", "worse"}:
        said = (
            f"{subject} not distinguishable from MLE at equal compute as a whole: better at one measure, worse at one"
        )
    return (
        f"Verdict: {said}: {figures(comparisons)} "
        f"(ours minus MLE, lower is better, {confidence:.0%} joint intervals, {texts} test texts, one seed)."
    )


def figures(comparisons: list[Comparison]) -> str:
    return "; ".join(f"{c.measure} {c.difference}" + (f" {c.unit}" if c.unit else "") for c in comparisons)


def summary(trial: Trial, drawn: Resamples, confidence: float, candidates: int) -> dict[str, Any]:
    """One system's test figures with intervals, for results.json and the report."""
    accuracy = Estimate.of(*balanced(trial.real_right, trial.fake_right, drawn.texts, drawn.samples), confidence)
    pair = ratio(trial.nll - trial.pair_gain, trial.tokens, drawn.texts, confidence)
    chosen = trial.temperatures
    return {
        "temperatures": {"likelihood": chosen.likelihood, "sampling": chosen.sampling},
        "validation": {"nll": chosen.nll, "score": chosen.score},
        "nll_per_token": asdict(ratio(trial.nll, trial.tokens, drawn.texts, confidence)),
        "nll_per_text": asdict(mean(trial.nll, drawn.texts, confidence)),
        "fresh_discriminator_accuracy": asdict(accuracy),
        "ngram_gap": trial.gap,
        "entropy": trial.entropy,
        "distinct_2": trial.distinct_2,
        "pair": {
            "candidates": candidates,
            "nll_per_token": asdict(pair),
            "gain_per_text": asdict(mean(trial.pair_gain, drawn.texts, confidence)),
            "energy": asdict(trial.energy),
        },
    }


def pair_comparison(ours: Trial, theirs: Trial, drawn: Resamples, confidence: float) -> dict[str, Any]:
    """The pair's likelihood bound against the plain MLE generator and against MLE resampled the same way."""
    ours_nll = ours.nll - ours.pair_gain
    return {
        "against_mle": asdict(ratio(ours_nll - theirs.nll, ours.tokens, drawn.texts, confidence)),
        "against_mle_pair": asdict(
            ratio(ours_nll - (theirs.nll - theirs.pair_gain), ours.tokens, drawn.texts, confidence)
        ),
    }


def as_json(comparison: Comparison) -> dict[str, Any]:
    return asdict(comparison) | {"outcome": comparison.outcome}
