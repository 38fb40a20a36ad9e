"""``mgan evaluate``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mgan.errors import UserError


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    temperatures: Annotated[
        str | None, typer.Option(metavar="LIST", help="Comma-separated; default: 0.6,0.7,0.8,0.9,1,1.1,1.2.")
    ] = None,
    top_k: Annotated[
        str | None, typer.Option(metavar="LIST", help="Comma-separated, each at temperature 1; default: 20,100.")
    ] = None,
    top_p: Annotated[
        str | None, typer.Option(metavar="LIST", help="Comma-separated, each at temperature 1; default: 0.8,0.9,0.95.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Texts a setting, at most half of the test texts; default: 2000.")
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="characters (default), minilm, none, or a sentence-transformers or model2vec folder."
        ),
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained/--no-trained", help="Also train fresh discriminators and language models.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Measure a run's systems on held-out text along their decoding settings: the quality-diversity frontier.

    Prints a table a system, real text beside it, and who dominates whom where. The run's folder gets evaluation.json,
    evaluation.md and the plots under frontier/; the report shows them. Stopped, it goes on where it was.
    """
    from mgan.cli.display import display, note
    from mgan.locate import find_run, shown

    folder = find_run(run)
    lists = (
        ("--temperatures", temperatures, float),
        ("--top-k", top_k, int),
        ("--top-p", top_p, float),
    )
    wanted = [_numbers(*each) for each in lists]
    from mgan.api import evaluate as measure

    with display(quiet) as progress:
        found = measure(
            folder, temperatures=wanted[0], top_k=wanted[1], top_p=wanted[2], samples=samples, embedder=embedder,
            trained=trained, progress=progress,
        )  # fmt: skip
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print((folder / "evaluation.md").read_text(encoding="utf-8"), end="")
    note(f"report: {shown(folder / 'report.html')}")


def _numbers(option: str, text: str | None, kind: type[float] | type[int]) -> tuple[Any, ...] | None:
    """ "0.8,1" -> (0.8, 1.0); "" is no number at all, which switches these settings off."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"{option}: expected numbers parted by commas, got {text!r}") from None
