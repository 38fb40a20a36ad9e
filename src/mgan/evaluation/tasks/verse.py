"""Verse: whether texts keep the form of real ones, and of Chinese quatrains whether they rhyme.

A line of Chinese verse ends at one of ，。？！； or at a line break, and its length is in characters; a line of any
other ends at a line break, and its length is in words. A text's form is its lines' lengths, in order. None of these
measures says that a poem is good: a generator that writes one real poem again and again keeps every form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import regex

from mgan.evaluation.bootstrap import Estimate, Intervals
from mgan.evaluation.tasks import Asked, Decoding
from mgan.evaluation.tasks.rhyme import rhymes

REAL = True
DECODING: Decoding = "sample"
TITLES: Mapping[str, tuple[str, str]] = {
    "known_form": (
        "Known form",
        "Share of texts with as many lines, each as long, as some held-out real text of another prompt has; real "
        "text's own share is the target.",
    ),
    "quatrains": (
        "Regular quatrains",
        "Share of texts that are four lines of five characters, or four of seven; real text's own share is the target.",
    ),
    "rhyme": (
        "Rhyming quatrains",
        "Share of the regular quatrains in which lines 2 and 4 end in one rhyme category of modern Mandarin, which "
        "Tang verse was not written in; real text's own share is the target.",
    ),
    "lines": ("Lines", "Mean number of lines of a text; real text's own is the target."),
    "line_length": ("Line length", "Mean length of a line, in characters or words; real text's own is the target."),
}
REGULAR = ((5, 5, 5, 5), (7, 7, 7, 7))
FEWEST = 20
"""Quatrains in which a share of rhymes is measured: of fewer, a resample may hold none."""
END = regex.compile(r"[，。？！；\s]*[，。？！；\n]\s*")
HAN = regex.compile(r"\p{Han}")
LETTER = regex.compile(r"\p{L}")

Form = tuple[int, ...]


def measure(asked: Sequence[Asked], outputs: Sequence[str], intervals: Intervals) -> dict[str, Estimate]:
    """Of a text that is itself held out too: its own form does not count as known (leave one out).

    Quatrains are measured where the real texts are Chinese, rhymes where pypinyin is installed.
    """
    chinese = is_chinese([text for one in asked for text in one.references])
    split = [lines(text, chinese) for text in outputs]
    written = [form(parts, chinese) for parts in split]
    real = [Counter(form(lines(text, chinese), chinese) for text in one.references) for one in asked]
    known = sum(real, Counter[Form]())
    elsewhere = [known[mine] > own[mine] for mine, own in zip(written, real, strict=True)]
    counts = np.array([len(mine) for mine in written], dtype=float)
    found = {"known_form": intervals.mean(np.array(elsewhere, dtype=float))}
    if chinese:
        regular = np.array([mine in REGULAR for mine in written], dtype=float)
        found["quatrains"] = intervals.mean(regular)
        if regular.sum() >= FEWEST and (rhymed := _rhymed(split, regular)) is not None:
            found["rhyme"] = intervals.ratio(rhymed, regular)
    found["lines"] = intervals.mean(counts)
    if np.count_nonzero(counts) >= min(FEWEST, len(counts)):
        found["line_length"] = intervals.ratio(np.array([sum(mine) for mine in written], dtype=float), counts)
    return found


def _rhymed(split: Sequence[Sequence[str]], regular: np.ndarray) -> np.ndarray | None:
    """[texts] 1 where lines 2 and 4 of a regular quatrain rhyme."""
    quatrains = np.flatnonzero(regular).tolist()
    found = rhymes([(split[i][1], split[i][3]) for i in quatrains])
    if found is None:
        return None
    rhymed = np.zeros(len(regular))
    rhymed[quatrains] = found
    return rhymed


def is_chinese(texts: Sequence[str]) -> bool:
    """Whether most of the letters are Chinese characters."""
    letters = sum(len(LETTER.findall(text)) for text in texts)
    return 2 * sum(len(HAN.findall(text)) for text in texts) > letters


def lines(text: str, chinese: bool) -> list[str]:
    """The lines of a text without the marks between them; blank ones are none."""
    parts = END.split(text) if chinese else text.split("\n")
    return [part.strip() for part in parts if part.strip()]


def form(lines: Sequence[str], chinese: bool) -> Form:
    """Characters of each line, white space left out, or its words."""
    return tuple(len("".join(line.split())) if chinese else len(line.split()) for line in lines)
