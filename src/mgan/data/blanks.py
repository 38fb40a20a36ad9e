"""Texts with blanks that are to be filled in (MaskGAN; Fedus et al. 2018): initial text made of the text itself.

    BOS  a quick  _ _  jumped  EOS   brown fox  EOS

Given is the text with one stretch left out, up to the first EOS; written is the stretch. A blank stands for one token.
What is written need not be as long; it stands where the blanks were.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgan.errors import UserError

BLANK = "<left out>"
"""No text holds this token: words are cut at spaces."""
TYPED = re.compile(r"___(?:\s*___)*")
"""How a person types blanks in a row: three underscores each."""


@dataclass(frozen=True)
class Blanks:
    """share: of a text's tokens, above 0 and at most 1. token: the blank's id. boundary: EOS, behind what is given."""

    share: float
    token: int
    boundary: int

    def count(self, tokens: int) -> int:
        """Blanks of a text of so many tokens; one at least, where there is a token."""
        return math.ceil(self.share * tokens)

    def room(self, context: int) -> int:
        """The longest row of BOS and text that is no longer than ``context``, 8 or more, when it has been given blanks.

        All of it may be text: the windows of a long text but for its last have no EOS.
        """
        return max(row for row in range(3, context + 1) if row + 2 + self.count(row - 1) <= context)

    def lengths(self, rows: NDArray[np.integer], texts: NDArray[np.integer]) -> NDArray[np.integer]:
        """[rows]: what ``cut`` makes of rows of so many tokens, of which so many are text."""
        return (texts + 3 + np.ceil(self.share * texts)).astype(rows.dtype)

    def text(self, row: Sequence[int]) -> Sequence[int]:
        """Without BOS, and without EOS, which the first windows of a long text lack."""
        return row[1 : len(row) - (row[-1] == self.boundary)]

    def cut(self, row: Sequence[int], draw: Sequence[int]) -> tuple[list[int], int]:
        """The row with blanks, and how many of its tokens are given. draw: what the place of the stretch hangs on."""
        text = self.text(row)
        left_out = self.count(len(text))
        start = int(np.random.default_rng(draw).integers(len(text) - left_out + 1))
        stop = start + left_out
        given = [row[0], *text[:start], *[self.token] * left_out, *text[stop:], self.boundary]
        return [*given, *text[start:stop], self.boundary], len(given)

    def filled(self, row: Sequence[int], given: int) -> list[int]:
        """The whole text: what was written, in the place of the blanks."""
        source, written = list(row[1 : given - 1]), [token for token in row[given:] if token != self.boundary]
        place = source.index(self.token) if self.token in source else len(source)
        return [token for token in [*source[:place], *written, *source[place:]] if token != self.token]


def typed(prompt: str) -> tuple[str, int, str]:
    """What stands before blanks that a person typed, how many there are, and what stands behind. Raises UserError."""
    found = TYPED.findall(prompt)
    if len(found) != 1:
        raise UserError(
            "this run's generator fills in one stretch of blanks: write ___ for every token that is left out, one "
            'behind the other, as in --prompt "the cat ___ ___ the house"'
        )
    before, after = TYPED.split(prompt)
    return before, found[0].count("___"), after
