"""Prepare the corpora that ship in ``src/mgan/data/corpora`` from their sources.

    python benchmarks/prepare_corpora.py QUATRAINS PLAYS OUT

QUATRAINS: folder with ``tang_jueju5.txt`` and ``tang_jueju7.txt``, one poem a line.
PLAYS: folder ``shksprdata/texts`` of the ``shakespeare`` 0.6 source distribution.
OUT: folder the ``.txt.gz`` files are written to; the same sources give the same bytes.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator
from pathlib import Path

POEMS = ("lovers_complaint", "passionate_pilgrim", "phoenix_and_the_turtle", "rape_of_lucrece", "sonnets")
OPENING = re.compile(r"^(ACT\b|Act\b|(THE )?PROLOGUE|INDUCTION)", re.MULTILINE)
HEADING = re.compile(
    r"(?i)(act|scene)\b|(the )?(prologue|epilogue|induction|song|spring|winter)\.?$|[ivx]+\.$"
    r"|dumb show|the order of|westminster abbey"
)
# "HAMLET." and "FIRST CITIZEN" in most plays, "Ham." and "1 Ambassador." in three of them.
SPEAKER = re.compile(
    r"(?:[A-Z0-9][A-Z0-9 .,'&-]*|(?:[\dI] )?[A-Z][a-z]+\.?(?: [A-Z][a-z]+){0,2}\.)(?: ?[\[(][^\])]*[\])])?$"
)
UNBRACKETED = re.compile(r"(?:[A-Z][\w' ]+[.,;] )*(?:Re-)?(?:Enter|Exit|Exeunt|Alarums?|Flourish)\b(?! me| not)")
LONGEST_NAME = 40


def main(quatrains: Path, plays: Path, out: Path) -> None:
    for name, source in (("tang", "tang_jueju5.txt"), ("tang7", "tang_jueju7.txt")):
        lines = (quatrains / source).read_text(encoding="utf-8").splitlines()
        write(out / f"{name}.txt.gz", "\n".join(line.strip() for line in lines if line.strip()))
    speeches = [
        speech
        for path in sorted(plays.glob("*_gut.txt"))
        if not path.name.startswith(POEMS)
        for speech in play(path.read_text(encoding="ascii"))
    ]
    write(out / "shakespeare.txt.gz", "\n\n".join(speeches))


def play(text: str) -> Iterator[str]:
    """The speeches after title page and cast: a speaker's line and what follows it up to the next one.

    What follows may be parted by blank lines and by stage directions; the latter are dropped.
    """
    opening = OPENING.search(text)
    speech: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", text[opening.start() :] if opening else text):
        lines = [line.rstrip() for line in paragraph.strip().splitlines()]
        if not lines or is_direction(lines):
            continue
        heading = HEADING.match(lines[0])
        if heading or (len(lines[0]) <= LONGEST_NAME and SPEAKER.match(lines[0])):
            yield from finished(speech)
            speech = [] if heading else lines
        elif speech:
            speech += lines
    yield from finished(speech)


def finished(speech: list[str]) -> Iterator[str]:
    if len(speech) > 1 and not is_direction(speech[1:]):
        yield "\n".join(speech)


def is_direction(lines: list[str]) -> bool:
    said = " ".join(lines).strip()
    bracketed = said.startswith("[") and said.find("]") in (-1, len(said) - 1)
    return bracketed or bool(UNBRACKETED.match(said))


def write(path: Path, text: str) -> None:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write((text + "\n").encode())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
