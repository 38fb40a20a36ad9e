"""``mgan generate``."""

from __future__ import annotations

import unicodedata
from typing import Annotated

import typer


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    prompt: Annotated[str, typer.Option(help="Text that every sample begins from.")] = "",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Samples.")] = 10,
    temperature: Annotated[
        float | None, typer.Option(help="Above 0; default: the one chosen on validation text.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Sample from the k likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(max=1, help="Sample from the likeliest tokens of this total probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same samples.")] = None,
    rerank: Annotated[
        int | None,
        typer.Option(min=1, help="Draw each sample from so many, by the discriminator's word."),
    ] = None,
) -> None:
    """Write texts: one a line, with line breaks, tabs and backslashes inside a text escaped."""
    import mgan

    texts = mgan.load(run).generate(
        prompt=prompt, n=n, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, rerank=rerank
    )
    for text in texts:
        print(escaped(text))


def escaped(text: str) -> str:
    """``text`` on one line, control characters and backslashes escaped as in Python; "" if it is empty."""
    return "".join(_visible(character) for character in text) or '""'


def _visible(character: str) -> str:
    hidden = character == "\\" or unicodedata.category(character) in ("Cc", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if hidden else character
