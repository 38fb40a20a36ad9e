"""``mgan compare``."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs that differ in their seed only.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say over several seeds whether adversarial training helped; fewer than three claim nothing."""
    from mgan.locate import find_run

    folders = [find_run(run) for run in runs]
    from mgan.training import compare as weigh

    found = weigh(folders)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for run in found["runs"]:
        print(f"seed {run['seed']} ({run['run']}): {run['verdict']['outcome']}")
    print(found["sentence"])
