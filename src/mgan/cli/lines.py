"""Files of a text a line, as commands read them."""

from __future__ import annotations

import sys
from pathlib import Path

from mgan.errors import UserError


def read_lines(file: str, expected: str) -> list[str]:
    """The lines of a UTF-8 file, or of stdin (``-``), blank ones too; UserError if it has none."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise UserError(f"{source(file)} is empty: expected {expected} a line")
    lines = content.removesuffix(b"\n").split(b"\n")
    return [_decoded(line, f"{source(file)} line {number}") for number, line in enumerate(lines, 1)]


def source(file: str) -> str:
    """What a person calls it."""
    return "stdin" if file == "-" else file


def _decoded(line: bytes, place: str) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{place} is not UTF-8 text") from None
