"""The maximum mean discrepancy: two clouds of embeddings compared in all their moments at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgan.evaluation.metrics.distances import row_blocks, squared_distances, two_clouds

_MULTIPLES = (0.5, 1.0, 2.0)
_MEDIAN_OF = 2_000


def mmd2(x: np.ndarray, y: np.ndarray, bandwidths: Sequence[float] | None = None) -> float:
    """Unbiased squared MMD of [N, E] samples x from the [M, E] reference y.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    k(a, b) = sum_s exp(-|a - b|^2 / (2 s^2)) over the bandwidths s; by default 1/2, 1 and 2 times the median distance
    between differing points of y, so that one reference is one yardstick for every system judged by it.

    Source: Gretton et al. 2012 (eq. 3, the U-statistic); sums of kernels as in Li et al. 2015 (GMMN).
    Unit and range: none; below 2 per bandwidth; for two samples of one distribution its mean is 0, so often negative.
    Direction: the target is what held-out real text scores against the same reference, which is about 0 if the two
    really are of one distribution. Below that is not better.
    Traps: depends on the embedder and on the bandwidths, so name both, and is not comparable between references, whose
    medians differ; a copy of the reference scores a little below 0, so it hardly sees memorising.
    """
    x, y = two_clouds(x, y, at_least=2)
    widths = np.asarray(_default_bandwidths(y) if bandwidths is None else bandwidths, dtype=np.float64)
    if widths.size == 0 or not (np.isfinite(widths) & (widths > 0)).all():
        raise ValueError("MMD's bandwidths are positive numbers, at least one")
    return _mean_within(x, widths) + _mean_within(y, widths) - 2 * _mean_between(x, y, widths)


def _default_bandwidths(y: np.ndarray) -> np.ndarray:
    """Multiples of the median distance within at most 2,000 points spread evenly over y; 1 if all are the same."""
    some = y[np.linspace(0, len(y) - 1, min(len(y), _MEDIAN_OF)).round().astype(int)]
    squared = squared_distances(some, some)
    squared = squared[np.triu_indices(len(some), 1)]
    squared = squared[squared > 0]
    median = float(np.sqrt(np.median(squared))) if squared.size else 1.0
    return median * np.array(_MULTIPLES)


def _kernel(squared: np.ndarray, widths: np.ndarray) -> np.ndarray:
    total = np.zeros_like(squared)
    for width in widths:
        scaled = squared * np.float32(-0.5 / width**2)
        total += np.exp(scaled, out=scaled)
    return total


def _mean_within(x: np.ndarray, widths: np.ndarray) -> float:
    """The mean of k over all ordered pairs of different points, each unordered pair computed once."""
    total = 0.0
    for rows in row_blocks(len(x)):
        kernel = _kernel(squared_distances(x[rows], x[rows.start :]), widths)
        np.fill_diagonal(kernel, 0)
        square = kernel[:, : len(kernel)]
        total += 2 * kernel.sum(dtype=np.float64) - square.sum(dtype=np.float64)
    return float(total) / (len(x) * (len(x) - 1))


def _mean_between(x: np.ndarray, y: np.ndarray, widths: np.ndarray) -> float:
    total = sum(_kernel(squared_distances(x[rows], y), widths).sum(dtype=np.float64) for rows in row_blocks(len(x)))
    return float(total) / (len(x) * len(y))
