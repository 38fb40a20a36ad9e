"""What the runs of a folder say of themselves, without loading anything heavy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgan import plain_yaml
from mgan.errors import UserError
from mgan.locate import RUNS, run_names


@dataclass(frozen=True)
class Summary:
    """What a run's folder says of it; ``phase`` and ``step`` are the last ones logged."""

    name: str
    path: str
    recipe: str | None
    finished: bool
    phase: str | None
    step: int | None
    outcome: str | None
    verdict: str | None


def list_runs(folder: str | Path | None = None) -> list[Summary]:
    """The runs in ``folder`` (default: ./runs), by name. Raises UserError if a given folder is not there."""
    place = RUNS if folder is None else Path(folder).expanduser()
    if folder is not None and not place.is_dir():
        raise UserError(f"there is no folder {folder}")
    return [read_run(place.absolute() / name) for name in run_names(place)]


def read_run(folder: Path) -> Summary:
    """The summary of a run; what cannot be read (yet) is None."""
    results = _json(_read(folder / "results.json"))
    verdict = results.get("verdict")
    verdict = verdict if isinstance(verdict, dict) else {}
    last = _json(_read(folder / "metrics.jsonl").strip().rpartition("\n")[2])
    return Summary(
        name=folder.name,
        path=str(folder),
        recipe=_recipe(folder),
        finished="sentence" in verdict,
        phase=last.get("phase"),
        step=last.get("step"),
        outcome=verdict.get("outcome"),
        verdict=verdict.get("sentence"),
    )


def _recipe(folder: Path) -> str | None:
    try:
        tree = plain_yaml.read(_read(folder / "config.yaml"), "config.yaml")
    except UserError:
        return None
    return tree.get("recipe") if isinstance(tree, dict) else None


def _read(path: Path) -> str:
    """The text of a file; empty if there is none."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
