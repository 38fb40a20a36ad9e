"""Precision, recall, density and coverage: quality and diversity apart, by balls around nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgan.evaluation.metrics.distances import row_blocks, squared_distances, two_clouds


@dataclass(frozen=True)
class PRDC:
    """What :func:`prdc` found: two measures of quality (precision, density), two of diversity (recall, coverage)."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, samples: np.ndarray, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of [M, E] samples against [N, E] real embeddings.

    B(z) is the closed ball around z that reaches to its k-th nearest neighbour in its own set, itself not counted.

        precision = share of samples y in some B(x), x real         recall   = share of real x in some B(y), y a sample
        density   = sum over x and y of [y in B(x)] / (k M)         coverage = share of real x with some y in B(x)

    Source: precision and recall, Kynkäänniemi et al. 2019 (eq. 1, distance <= radius); density and coverage, Naeem et
    al. 2020, whose published code has < where this, as Kynkäänniemi et al., has <=: they differ on exact ties only.
    Unit and range: shares in [0, 1], but density, which is at least 0 and may pass 1.
    Direction: the target is real text's value, M fresh real texts as samples. In expectation density is then 1 and
    coverage :func:`expected_coverage` (0.969 at k = 5), whatever the distribution; precision and recall have no such
    constant: measure them. Passing real text's value is not better: samples in the densest places only have a
    density above 1, and one typical sentence, repeated, has precision 1.
    Traps: all depend on the embedder, k, N and M (compare at equal ones); one real outlier has a large ball and lends
    precision, one sampled outlier lends recall; a copy of the real set has precision, recall and coverage 1 and density
    (k + 1) / k, so copying passes for quality.
    Duplicates: more than k copies of a text have balls of radius 0, which still hold further copies (hence <=).
    """
    if k < 1:
        raise ValueError("the number of neighbours k is at least 1")
    real, samples = two_clouds(real, samples, at_least=k + 1)
    real_radii, sample_radii = _squared_radii(real, k), _squared_radii(samples, k)
    near_real = np.zeros(len(samples), dtype=np.int64)
    recalled, covered = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for rows in row_blocks(len(real)):
        squared = squared_distances(real[rows], samples)
        in_real_balls = squared <= real_radii[rows, None]
        near_real += in_real_balls.sum(0)
        covered[rows] = in_real_balls.any(1)
        recalled[rows] = (squared <= sample_radii).any(1)
    return PRDC(
        precision=float((near_real > 0).mean()),
        recall=float(recalled.mean()),
        density=float(near_real.sum() / (k * len(samples))),
        coverage=float(covered.mean()),
    )


def expected_coverage(real: int, samples: int, k: int = 5) -> float:
    """E[coverage] when the samples are real text too: 1 - prod_{i=1..k} (N - i) / (N + M - i), about 1 - 2^-k if N = M.

    Naeem et al. 2020, for continuous embeddings of any distribution: around a real point all N + M - 1 others are
    exchangeable, and it is left uncovered when the k nearest are all real.
    """
    missed = 1.0
    for i in range(1, k + 1):
        missed *= max(real - i, 0) / (real + samples - i)
    return 1 - missed


def _squared_radii(x: np.ndarray, k: int) -> np.ndarray:
    """[N] squared distance of every point to its k-th nearest neighbour."""
    radii = np.empty(len(x), dtype=np.float32)
    for rows in row_blocks(len(x)):
        squared = squared_distances(x[rows], x)
        squared[np.arange(len(squared)), np.arange(len(x))[rows]] = np.inf
        radii[rows] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii
