"""``mgan translate``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mgan.cli.lines import read_lines
from mgan.errors import UserError

LONG = 50
"""Lines from which on it is said how far they are, where the translations go into a file."""


def translate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sentence a line, UTF-8; - for stdin.")],
    beam: Annotated[int, typer.Option(help="Hypotheses that are followed; 1: the likeliest token each time.")] = 4,
    length_penalty: Annotated[
        float, typer.Option(help="0 favours short translations; 1 compares by the mean log-probability of a token.")
    ] = 1.0,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut a line that is too long, as in training; default: refuse it.")
    ] = False,
) -> None:
    """Translate FILE: a translation a line, in order; blank lines stay blank."""
    import mgan
    from mgan.cli.display import display, note
    from mgan.data.escapes import visible

    sources = read_lines(file, "a sentence")
    pair = mgan.load(run)
    if not pair.prompted and not (pair.tokenizer.labels or pair.tokenizer.blanks):
        raise UserError("this run was not trained on sources with translations: use mgan generate")
    if pair.chats:
        note("this run was trained on chats: each line is what a user says, and is answered")
    unknown, tokens = pair.unknown(sources)
    if unknown:
        note(f"{unknown} of {tokens} tokens are unknown to this run's tokenizer")
    with display(quiet=len(sources) < LONG or sys.stdout.isatty()) as progress:
        progress.start("translate", len(sources))
        empty = 0
        for number, found in enumerate(pair.translations(sources, beam, length_penalty, truncate), 1):
            print(visible(line := " ".join(found.split())), flush=True)
            empty += not line and bool(sources[number - 1].strip())
            progress.advance("translate", number, {})
    if empty:
        note(f"{empty} of the translations {'is' if empty == 1 else 'are'} empty: train the run for longer")
