"""``mgan runs``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mgan.listing import Summary


def runs(
    folder: Annotated[str | None, typer.Argument(metavar="FOLDER", help="Where the runs are; default: ./runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, one object a run.")] = False,
) -> None:
    """List the runs: recipe, state and verdict."""
    from mgan.cli.columns import aligned
    from mgan.cli.display import note
    from mgan.listing import list_runs

    summaries = list_runs(folder)
    if as_json:
        print(json.dumps([asdict(summary) for summary in summaries], ensure_ascii=False, indent=2))
    elif summaries:
        print(aligned([("run", "recipe", "state", "verdict"), *map(_row, summaries)]))
    else:
        note(f"no runs in {folder or './runs'}; 'mgan train' makes one")


def _row(run: Summary) -> tuple[str, str, str, str]:
    at = f" ({run.phase} {run.step})" if run.phase is not None else ""
    state = "finished" if run.finished else f"unfinished{at}"
    return run.name, run.recipe or "?", state, run.outcome or ""
