"""``mgan compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs on the same text, two or more.")],
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw the frontiers there, as SVG and PNG.")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Draw published curves beside ours: oracle_20, coco or emnlp_news; needs --plots."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether adversarial training helped, and which of the runs dominates where.

    Runs that differ in their seed only are taken together: fewer than three seeds claim nothing about training. Runs
    of different configurations are compared on the frontiers that 'mgan evaluate' measured.
    """
    from mgan.locate import find_run

    folders = [find_run(run) for run in runs]
    from mgan.training import compare as weigh

    found = weigh(folders, plots, published)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for run in found["runs"]:
        print(f"seed {run['seed']} ({run['run']}): {run['verdict']['outcome']}")
    for comparison in found.get("frontiers", []):
        print(f"{' against '.join(comparison['measures'])}: {comparison['sentence']}")
    for path in found.get("plots", []):
        print(path)
    if "sentence" in found:
        print(found["sentence"])
