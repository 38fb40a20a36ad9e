"""``mgan evaluate``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Measure a run's generator on held-out text again."""
    from mgan.cli.columns import aligned
    from mgan.cli.display import display
    from mgan.locate import find_run

    folder = find_run(run)
    from mgan.training import evaluate as measure

    with display(quiet) as progress:
        measures = measure(folder, progress=progress)
    if as_json:
        print(json.dumps(measures, ensure_ascii=False))
    else:
        print(aligned([("measure", "value"), *_rows(measures)]))


def _rows(measures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in measures.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{above}{name}.")
        else:
            yield above + name, f"{value:.4g}" if isinstance(value, float) else str(value)
