"""``mgan resume``."""

from __future__ import annotations

from typing import Annotated

import typer


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Go on with a run that was stopped, from its last checkpoint."""
    from mgan.cli.display import display, note
    from mgan.cli.finish import finish, say_verdict
    from mgan.cli.guard import resumable
    from mgan.listing import read_run
    from mgan.locate import find_run, shown
    from mgan.settings import load_config

    folder = find_run(run)
    summary = read_run(folder)
    if summary.finished:
        note(f"{shown(folder)} is finished; there is nothing to resume")
        if name := load_config(folder / "config.yaml").push_to_hub:
            note(f"if it is not on the hub: mgan push {shown(folder)} {name}")
        say_verdict(summary.verdict or "")
        return
    with resumable(folder):
        from mgan.training import resume as resume_training

        with display(quiet) as progress:
            finished = resume_training(folder, progress=progress)
        finish(finished)
