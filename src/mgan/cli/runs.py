"""``mgan runs``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mgan.errors import UserError


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


def runs(
    folder: Annotated[str | None, typer.Argument(metavar="FOLDER", help="Where the runs are; default: ./runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, one object a run.")] = False,
) -> None:
    """List the runs: recipe, state and verdict."""
    from mgan.cli.columns import aligned
    from mgan.cli.display import note
    from mgan.locate import RUNS, run_names

    place = RUNS if folder is None else Path(folder).expanduser()
    if folder is not None and not place.is_dir():
        raise UserError(f"there is no folder {folder}")
    summaries = [read_run(place.absolute() / name) for name in run_names(place)]
    if as_json:
        print(json.dumps([asdict(summary) for summary in summaries], ensure_ascii=False, indent=2))
    elif summaries:
        print(aligned([("run", "recipe", "state", "verdict"), *map(_row, summaries)]))
    else:
        note(f"no runs in {place.absolute()}; 'mgan train' makes one")


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


def _row(run: Summary) -> tuple[str, str, str, str]:
    at = f" ({run.phase} {run.step})" if run.phase is not None else ""
    state = "finished" if run.finished else f"unfinished{at}"
    return run.name, run.recipe or "?", state, run.outcome or ""


def _recipe(folder: Path) -> str | None:
    from mgan import plain_yaml

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
