"""Two clouds of points and the distances between them, a block of rows at a time so that 10,000 on each side fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_ROWS = 512
# What float32 cannot tell from zero in |a|^2 + |b|^2 - 2ab, as a share of the largest |a|^2 + |b|^2.
_RESOLUTION = 32 * float(np.finfo(np.float32).eps)


def two_clouds(x: np.ndarray, y: np.ndarray, at_least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """[N, E] and [M, E] as float32, both moved by the mean of all: distances stay, and float32 keeps more of them."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"two sets of embeddings are [N, E] and [M, E] with one E, not {x.shape} and {y.shape}")
    if min(len(x), len(y)) < at_least:
        raise ValueError(f"this needs at least {at_least} embeddings in each set, not {len(x)} and {len(y)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("an embedding has a number that is not finite")
    middle = (x.sum(0, dtype=np.float64) + y.sum(0, dtype=np.float64)) / (len(x) + len(y))
    return (x - middle).astype(np.float32), (y - middle).astype(np.float32)


def row_blocks(count: int) -> Iterator[slice]:
    """The rows of a set, a block at a time."""
    return (slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[N, M] float32 squared Euclidean distances; what float32 cannot tell from zero is zero, as duplicates are."""
    x_norms, y_norms = np.einsum("ne,ne->n", x, x), np.einsum("me,me->m", y, y)
    squared: np.ndarray = x @ y.T
    squared *= -2
    squared += x_norms[:, None]
    squared += y_norms
    squared[squared < _RESOLUTION * (x_norms.max() + y_norms.max())] = 0
    return squared
