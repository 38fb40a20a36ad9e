"""Copying: how much of a text stands verbatim, or nearly so, in the training texts.

Texts are lists of tokens (any hashable values; cut both sides by the same tokenizer). None of these has 0 as its
target: real text repeats itself. The target is the value of held-out real text against the same training texts
(captions that no one copied share long spans, and some are equal). Above it a generator recites; well below it, it
does not write what people write. All grow with the number of training texts: compare at the same ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mgan.errors import UserError

Texts = Sequence[Sequence[Hashable]]
CHUNK = 256
CHARACTERS = 0x110000


def longest_copies(texts: Texts, training: Texts) -> NDArray[np.int64]:
    """[N] tokens of each text's longest span that stands verbatim in some training text; 0 if no token does.

    Definition: max{ j - i : x[i:j] is a contiguous part of one training text }. Source: McCoy et al. 2023 (RAVEN) for
    n-gram novelty of generated text; by suffix array, Manber & Myers 1993: exact, no hashing.
    Unit: tokens, 0 to the text's length. Direction: held-out real text's values are the target.
    Trap: long texts have longer copies; see ``copied_share``.
    """
    everything = [*training, *texts]
    lengths = np.fromiter(map(len, everything), np.int64, len(everything))
    levels = _levels(everything, lengths)
    order = np.argsort(levels[-1])
    first_query = int(lengths[: len(training)].sum()) + len(training)
    known = order < first_query
    # Of all training suffixes, the two next to a suffix in sorted order share the longest prefixes with it.
    place = np.arange(len(order))
    before = np.maximum.accumulate(np.where(known, place, -1))
    after = np.minimum.accumulate(np.where(known, place, len(order))[::-1])[::-1]
    best = np.zeros(len(order), dtype=np.int64)
    for neighbour in (before, after):
        here = np.flatnonzero(~known & (neighbour >= 0) & (neighbour < len(order)))
        a, b = order[here], order[neighbour[here]]
        best[a] = np.maximum(best[a], _common_prefix(levels, a, b))
    ends = np.cumsum(lengths + 1)[len(training) :]
    starts = ends - lengths[len(training) :] - 1
    # The separator that ends every text keeps empty ones from being empty slices.
    return np.maximum.reduceat(best, starts) if len(texts) else np.zeros(0, dtype=np.int64)


def copied_share(texts: Texts, training: Texts) -> float:
    """Mean over texts of the longest copied span over the text's length.

    Definition: mean of longest_copies / length; an empty text counts 0. Source: as ``longest_copies``.
    Unit: share of a text, 0 to 1; 1: every text is part of a training text. Direction: held-out real text's value is
    the target. Trap: short texts are easily whole parts of others; compare at equal lengths.
    """
    _some(texts)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return float((longest_copies(texts, training) / np.maximum(lengths, 1)).mean())


def exact_copies(texts: Texts, training: Texts) -> float:
    """Share of texts that are, token for token, a training text.

    Unit: share, 0 to 1. Direction: held-out real text's value (equal captions exist) is the target.
    Trap: one changed token hides a copy; see ``near_copies``. Repeated texts count each time.
    """
    _some(texts)
    return float(near_copy_flags(texts, training, 0).mean())


def near_copies(texts: Texts, training: Texts, edits: int = 2) -> float:
    """Share of texts within ``edits`` token edits of some training text; 0 edits: ``exact_copies``.

    Definition: share of x with min over training t of Levenshtein(x, t) <= edits, where an edit inserts, deletes or
    replaces one token. Source: Levenshtein 1966; near copies as memorisation: Lee et al. 2022 (arXiv:2107.06499).
    Unit: share, 0 to 1; never falls as ``edits`` grows. Direction: held-out real text's value is the target.
    Traps: a text of at most ``edits`` tokens is near everything as short; time grows with N times the training texts.
    """
    _some(texts)
    return float(near_copy_flags(texts, training, edits).mean())


def near_copy_flags(texts: Texts, training: Texts, edits: int) -> NDArray[np.bool_]:
    """[N]: whether each text is one that ``near_copies`` counts."""
    if edits < 0:
        raise ValueError(f"edits must be at least 0, got {edits}")
    number = {token: i for i, token in enumerate(dict.fromkeys(chain.from_iterable(training)), 1)}
    if len(number) >= CHARACTERS:
        raise ValueError(f"near copies are found among at most {CHARACTERS - 1} different tokens, got {len(number)}")
    # A token is one character. Those that no training text has are all alike: they equal nothing there.
    known = {"".join([chr(number[token]) for token in text]) for text in training}
    written = ["".join([chr(number.get(token, 0)) for token in text]) for text in texts]
    near = {word for word in written if word in known}
    if edits:
        near |= _within(sorted(set(written) - near, key=len), sorted(known, key=len), edits)
    return np.array([word in near for word in written], dtype=bool)


def _within(written: list[str], known: list[str], edits: int) -> set[str]:
    """Those of ``written`` within so many edits of one of ``known``; both sorted by length."""
    try:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist
    except ImportError as error:
        raise UserError("near copies need rapidfuzz: pip install rapidfuzz") from error

    sizes, near = [len(word) for word in known], set[str]()
    for start in range(0, len(written), CHUNK):
        queries = written[start : start + CHUNK]
        low = np.searchsorted(sizes, len(queries[0]) - edits, "left")
        high = np.searchsorted(sizes, len(queries[-1]) + edits, "right")
        distances = cdist(queries, known[low:high], scorer=Levenshtein.distance, score_cutoff=edits, dtype=np.uint16)
        near |= {queries[i] for i in np.flatnonzero((distances <= edits).any(1))}
    return near


def _some(texts: Texts) -> None:
    if not len(texts):
        raise ValueError("copying is measured on at least one text")


def _levels(texts: Texts, lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """[k][i]: the rank of the 2^k tokens that start at place i, equal only where they are equal; the last differ all.

    The texts stand one after the other, each ended by a separator of its own, so that no span crosses two.
    """
    number: dict[Hashable, int] = {}
    tokens = np.fromiter(
        (number.setdefault(token, len(number)) for token in chain.from_iterable(texts)), np.int64, int(lengths.sum())
    )
    ends = np.cumsum(lengths)
    separated = np.insert(tokens, ends, len(number) + np.arange(len(texts)))
    levels = [separated]
    width = 1
    while width <= lengths.max(initial=0):
        last = levels[-1]
        # What would lie behind the end is never compared: the separators before it differ.
        following = np.concatenate([last[width:], np.zeros(min(width, len(last)), dtype=np.int64)])
        pairs = last * (int(last.max()) + 1) + following
        levels.append(np.unique(pairs, return_inverse=True)[1].astype(np.int64))
        width *= 2
    return levels


def _common_prefix(levels: list[NDArray[np.int64]], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many tokens from place a[i] on equal those from b[i] on."""
    length = np.zeros(len(a), dtype=np.int64)
    for k in range(len(levels) - 1, -1, -1):
        # What is equal ends before a separator, so these places exist.
        length += (levels[k][a + length] == levels[k][b + length]) * (1 << k)
    return length
