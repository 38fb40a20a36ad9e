"""All n-grams of a set of texts as numbers: what BLEU and the measures of diversity count.

An n-gram's number is that of the pair (its first n - 1 tokens, its last token), found by sorting: no two n-grams
share a number, as they could if they were hashed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Texts = Sequence[Sequence[Hashable]]


@dataclass(frozen=True)
class Counts:
    """How often each of the E different n-grams of each text stands in it, sorted by n-gram, then by text.

    grams, texts, counts [E]. starts [D]: where the entries of each of the D different n-grams begin.
    """

    grams: Integers
    texts: Integers
    counts: Integers
    starts: Integers

    def most(self, counts: Integers) -> Integers:
        """The largest of the given counts [E] of each n-gram [D]."""
        if not len(counts):
            return counts
        return np.asarray(np.maximum.reduceat(counts, self.starts), dtype=np.int64)


@dataclass(frozen=True)
class Grams:
    """Every n-gram that occurs, text after text: its number in 0..distinct - 1 and its text's place. ids, texts [P]."""

    ids: Integers
    texts: Integers
    distinct: int

    def by_text(self) -> Counts:
        width = int(self.texts[-1]) + 1 if len(self.texts) else 1
        entries, counts = np.unique(self.ids * width + self.texts, return_counts=True)
        grams, texts = np.divmod(entries, width)
        return Counts(grams, texts, counts.astype(np.int64), np.searchsorted(grams, np.arange(self.distinct)))


def lengths(texts: Texts) -> Integers:
    """Tokens of each text [N]."""
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def orders(texts: Texts, highest: int) -> Iterator[Grams]:
    """The 1-grams of the texts, their 2-grams, ... up to the n-grams of the highest order."""
    if highest < 1:
        raise ValueError(f"the order of an n-gram is at least 1, got {highest}")
    sizes = lengths(texts)
    number = {token: i for i, token in enumerate(dict.fromkeys(chain.from_iterable(texts)))}
    tokens = np.fromiter(map(number.__getitem__, chain.from_iterable(texts)), dtype=np.int64, count=int(sizes.sum()))
    owner = np.repeat(np.arange(len(texts)), sizes)
    left = np.repeat(sizes.cumsum(), sizes) - np.arange(len(tokens))
    ids, start, distinct = tokens, np.arange(len(tokens)), len(number)
    yield Grams(ids, owner, distinct)
    for n in range(2, highest + 1):
        fits = left[start] >= n
        start = start[fits]
        pairs, ids = np.unique(ids[fits] * len(number) + tokens[start + n - 1], return_inverse=True)
        distinct = len(pairs)
        yield Grams(ids, owner[start], distinct)
