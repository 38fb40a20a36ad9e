"""An independent language model without training: interpolated n-grams (Witten & Bell 1991).

Its score of samples is judged by the distance to its score of held-out real text, never by being low:
text that is likelier than real text is as wrong as text that is less likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgan.types import Batch

_BASE = np.uint64(0x9E3779B97F4A7C15)
_BEFORE = 0  # stands left of a row; real tokens are shifted by 1


@dataclass(frozen=True)
class _Counts:
    """Sorted 64-bit keys of the n-grams of one order and how often each was seen."""

    keys: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray) -> _Counts:
        return cls(*np.unique(keys, return_counts=True))

    def __getitem__(self, keys: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0)


def _keys(batch: Batch, order: int) -> tuple[np.ndarray, np.ndarray]:
    """[order + 1, B, L] keys: row n hashes the n tokens that end at each position; row 0 is 0. And the mask."""
    tokens = batch.tokens.cpu().numpy().astype(np.uint64) + np.uint64(1)
    padded = np.pad(tokens, ((0, 0), (order, 0)), constant_values=_BEFORE)
    length = tokens.shape[1]
    keys = np.zeros((order + 1, *tokens.shape), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for n in range(1, order + 1):
            # The token n - 1 places back joins on the left: a longer key for the same end.
            back = padded[:, order - n + 1 : order - n + 1 + length]
            keys[n] = keys[n - 1] + (back + np.uint64(1)) * _power(n)
    return keys, batch.mask.cpu().numpy()


def _power(n: int) -> np.uint64:
    value = np.uint64(1)
    with np.errstate(over="ignore"):
        for _ in range(n):
            value = value * _BASE
    return value ^ (value >> np.uint64(29))


class NGramLM:
    """P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h)), t(h) the distinct successors of h, down to 1/V."""

    def __init__(self, texts: list[Batch], vocabulary: int, order: int = 4):
        self.vocabulary, self.order = vocabulary, order
        seen: list[list[np.ndarray]] = [[] for _ in range(order)]
        contexts: list[list[np.ndarray]] = [[] for _ in range(order)]
        for batch in texts:
            keys, mask = _keys(batch, order)
            for n in range(1, order + 1):
                seen[n - 1].append(keys[n][mask])
                contexts[n - 1].append(_context(keys, n)[mask])
        self.grams, self.totals, self.types = [], [], []
        for n in range(order):
            grams, histories = np.concatenate(seen[n]), np.concatenate(contexts[n])
            _, first = np.unique(grams, return_index=True)
            self.grams.append(_Counts.of(grams))
            self.totals.append(_Counts.of(histories))
            self.types.append(_Counts.of(histories[first]))

    def nll(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Of each row: -log P(completion | prompt) in nats [B], and the tokens it has [B]."""
        keys, mask = _keys(batch, self.order)
        probability = np.full(mask.shape, 1.0 / self.vocabulary)
        for n in range(1, self.order + 1):
            context = _context(keys, n)
            total, types = self.totals[n - 1][context], self.types[n - 1][context]
            seen = self.grams[n - 1][keys[n]]
            better = (seen + types * probability) / np.maximum(total + types, 1)
            probability = np.where(total > 0, better, probability)
        return (-np.log(probability) * mask).sum(1), mask.sum(1)

    def score(self, batch: Batch) -> float:
        """Nats a token over all rows."""
        nll, tokens = self.nll(batch)
        return float(nll.sum() / tokens.sum())


def _context(keys: np.ndarray, n: int) -> np.ndarray:
    """[B, L]: the key of the n - 1 tokens before each position."""
    with np.errstate(over="ignore"):
        return keys[n] - keys[1]
