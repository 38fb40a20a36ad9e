"""The ``mgan`` command: the table of its commands."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

import mgan
from mgan.cli.ask import ask
from mgan.cli.bench import bench
from mgan.cli.chat import chat
from mgan.cli.compare import compare
from mgan.cli.doctor import doctor
from mgan.cli.evaluate import evaluate
from mgan.cli.generate import generate
from mgan.cli.guard import guarded
from mgan.cli.plan import plan
from mgan.cli.push import push
from mgan.cli.recipes import recipes, show
from mgan.cli.report import report
from mgan.cli.resume import resume
from mgan.cli.runs import runs
from mgan.cli.score import score
from mgan.cli.train import train
from mgan.cli.translate import translate

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (
    train,
    plan,
    resume,
    generate,
    ask,
    chat,
    translate,
    score,
    evaluate,
    compare,
    bench,
    report,
    push,
    runs,
    doctor,
):
    app.command()(guarded(command))

recipe_app = typer.Typer(invoke_without_command=True, callback=guarded(recipes))
recipe_app.command()(guarded(show))
app.add_typer(recipe_app, name="recipes")


def _version(wanted: bool) -> None:
    if wanted:
        print(mgan.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train a language model against a text classifier, and say honestly whether that beat plain maximum likelihood.

    Results go to stdout, everything else to stderr. RUN is a run's folder, or its name under ./runs.
    """


def main() -> None:
    """Run the command line; exits with 0, 1 (a bug), 2 (something the user can mend) or 130 (interrupted)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    # Its remarks are for programmers: a mask is not needed where padding stands right of everything that is read.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    app(prog_name="mgan")
