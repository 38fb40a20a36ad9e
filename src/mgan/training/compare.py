"""Several finished runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgan.evaluation.seeds import across_seeds
from mgan.training.run import Run
from mgan.types import UserError


def compare(paths: Sequence[Path | str]) -> dict[str, Any]:
    """Whether adversarial training helped, over runs of one configuration and text that differ in their seed."""
    runs = [Run.open(path) for path in paths]
    if len(runs) < 2:
        raise UserError("one run cannot be compared with itself: give two or more, best three")
    results = [run.results for run in runs]
    first = runs[0]
    for run, result in zip(runs, results, strict=True):
        if result["verdict"]["outcome"] == "none" or run.config.adversarial.reward != "discriminator":
            raise UserError(
                f"{run.name} has no verdict to compare: it played no game, played for a control's reward, or had too "
                "few test texts"
            )
        if result["data"]["fingerprint"] != results[0]["data"]["fingerprint"]:
            raise UserError(f"{run.name} and {first.name} were trained on different text")
        if run.config.model_copy(update={"seed": first.config.seed}) != first.config:
            raise UserError(f"{run.name} and {first.name} differ in more than their seed; see their config.yaml")
    if len({run.config.seed for run in runs}) < len(runs):
        raise UserError("two of these runs have the same seed: each must have its own")
    each = [
        {"run": run.name, "seed": run.config.seed, "verdict": r["verdict"]}
        for run, r in zip(runs, results, strict=True)
    ]
    return across_seeds(results, first.config.evaluation.confidence) | {"runs": each}
