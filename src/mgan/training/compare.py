"""Several finished runs side by side: did adversarial training help, and who dominates whom on the frontier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgan.evaluation import overlay
from mgan.evaluation.overlay import Entrant
from mgan.evaluation.published.published import published as published_figures
from mgan.evaluation.seeds import across_seeds
from mgan.training.run import Run
from mgan.types import UserError

Group = list[Run]
"""Runs of one configuration, each with a seed of its own."""


def compare(paths: Sequence[Path | str], plots: Path | None = None, published: str | None = None) -> dict[str, Any]:
    """The verdict over seeds if the runs differ in nothing else; the frontiers of every run that was evaluated.

    plots: a folder for the pictures. published: a suite whose published curves are drawn beside.
    """
    runs = [Run.open(path) for path in paths]
    if len(runs) < 2:
        raise UserError("one run cannot be compared with itself: give two or more, best three of each configuration")
    if published is not None and (published not in overlay.COMPARABLE or not plots):
        known = ", ".join(overlay.COMPARABLE)
        raise UserError(f"published={published}: it is drawn into plots, a folder, and must be one of {known}")
    _same_text(runs)
    groups = _groups(runs)
    found: dict[str, Any] = {"runs": [_about(run) for run in runs]}
    evaluated = all(run.evaluation for run in runs)
    if len(groups) == 1 and (all(map(_judged, runs)) or not evaluated):
        found |= _verdict(runs)
    if not evaluated and (len(groups) > 1 or plots):
        missing = next(run for run in runs if not run.evaluation)
        raise UserError(f"{missing.name} has no frontier to compare: type mgan evaluate {missing.name} first")
    if evaluated:
        found |= _frontiers(groups, plots, published)
    return found


def _verdict(runs: Group) -> dict[str, Any]:
    for run in runs:
        if not _judged(run):
            raise UserError(
                f"{run.name} has no verdict to compare: it played no game, or a control's (adversarial.reward, "
                "adversarial.discriminator_steps=0), no baseline (evaluation.baseline=false) or one cut short "
                "(evaluation.baseline_updates), or had too few test texts"
            )
    return across_seeds([run.results for run in runs], runs[0].config.evaluation.confidence)


def _frontiers(groups: list[Group], plots: Path | None, published: str | None) -> dict[str, Any]:
    """The first group's system against every other, at the confidence of the first run."""
    for run in (run for group in groups for run in group):
        if _measured_as(run) != _measured_as(groups[0][0]):
            raise UserError(
                f"{run.name} and {groups[0][0].name} were evaluated with other settings, texts or embeddings: type "
                "mgan evaluate with the same options for both"
            )
    field = [entrant for group, name in zip(groups, _names(groups), strict=True) for entrant in _entrants(group, name)]
    compared = overlay.comparisons(field, groups[0][0].config.evaluation.confidence)
    found: dict[str, Any] = {"frontiers": [comparison.as_json() for comparison in compared]}
    if plots:
        beside = published_figures(published) if published else None
        found["plots"] = [str(path) for path in overlay.save(field, plots, beside)]
    return found


def _entrants(group: Group, name: str) -> list[Entrant]:
    trees = {run.config.seed: run.evaluation or {} for run in group}
    return overlay.entrants(name, trees)


def _groups(runs: list[Run]) -> list[Group]:
    groups: list[Group] = []
    for run in runs:
        alike = next((group for group in groups if _but_seed(group[0]) == _but_seed(run)), None)
        if alike is None:
            groups.append([run])
        elif run.config.seed in {other.config.seed for other in alike}:
            raise UserError("two of these runs have the same seed: each must have its own")
        else:
            alike.append(run)
    return groups


def _names(groups: list[Group]) -> list[str]:
    """The recipe, or where several share it, the run."""
    recipes = [group[0].config.recipe for group in groups]
    if len(groups) == 1:
        return [""]
    return [
        recipe if recipes.count(recipe) == 1 else group[0].name for recipe, group in zip(recipes, groups, strict=True)
    ]


def _same_text(runs: list[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.results["data"]["fingerprint"] != first.results["data"]["fingerprint"]:
            raise UserError(f"{run.name} and {first.name} were trained on different text")


def _measured_as(run: Run) -> Any:
    tree = run.evaluation or {}
    return tree.get("format"), tree["sweep"], tree["texts"], tree["data"]


def _but_seed(run: Run) -> Any:
    return run.config.model_copy(update={"seed": 0, "threads": None})


def _judged(run: Run) -> bool:
    """A game against a discriminator that learns was played, and its verdict could be reached."""
    return run.results["verdict"]["outcome"] != "none" and not run.config.adversarial.control


def _about(run: Run) -> dict[str, Any]:
    return {"run": run.name, "seed": run.config.seed, "verdict": run.results["verdict"]}
