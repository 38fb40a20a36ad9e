"""Diversity of a set of samples: distinct-n and entropy."""

from __future__ import annotations

from mgan.types import Batch


def distinct(batch: Batch, n: int) -> float:
    """Distinct n-grams of the completions over all their n-grams (Li et al. 2016), in (0, 1]; 0 without any.

    It falls as more text is looked at: compare only sets of the same size.
    """
    grams: set[tuple[int, ...]] = set()
    total = 0
    for tokens, mask in zip(batch.tokens.tolist(), batch.mask.tolist(), strict=True):
        row = [token for token, kept in zip(tokens, mask, strict=True) if kept]
        windows = [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]
        grams.update(windows)
        total += len(windows)
    return len(grams) / total if total else 0.0


def entropy(batch: Batch) -> float:
    """-E[log P] of sampled tokens in nats a token: the generator's entropy, estimated by its own samples."""
    if batch.logprobs is None:
        raise ValueError("the entropy of samples needs their logprobs")
    return float(-batch.logprobs.sum() / batch.mask.sum())
