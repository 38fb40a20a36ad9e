"""``mgan report``."""

from __future__ import annotations

from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
) -> None:
    """Render a run's report.html again and print its path."""
    from mgan.locate import find_run

    folder = find_run(run)
    from mgan.training import report as render

    print(render(folder))
