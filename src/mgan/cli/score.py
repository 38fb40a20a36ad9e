"""``mgan score``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mgan.errors import UserError


def score(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text a line, UTF-8; - reads stdin.")],
) -> None:
    """Say of each line of FILE how likely it is real: a number from 0 (generated) to 1 (real) a line."""
    import mgan
    from mgan.cli.display import note

    texts = _texts(file)
    pair = mgan.load(run)
    longer = pair.longer_than_context(texts)
    if longer:
        note(f"{longer} texts are longer than generator.context={pair.context} tokens and were scored in windows")
    for probability in pair.score(texts):
        print(f"{probability:.6f}")


def _texts(file: str) -> list[str]:
    """The lines of ``file``, which must all hold some text."""
    source = "stdin" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    lines = content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n")
    if lines == [b""]:
        raise UserError(f"{source} is empty: expected a text a line")
    return [_text(line, f"{source} line {number}") for number, line in enumerate(lines, 1)]


def _text(line: bytes, place: str) -> str:
    try:
        text = line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{place} is not UTF-8 text") from None
    if not text.strip():
        raise UserError(f"{place} is blank: expected a text on every line")
    return text
