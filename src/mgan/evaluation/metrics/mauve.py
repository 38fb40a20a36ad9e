"""MAUVE: how much of the one text's mass the other must be bent to hold, both ways, on one curve."""

from __future__ import annotations

import numpy as np

from mgan.evaluation.metrics.distances import row_blocks, two_clouds

_EXPLAINED = 0.9
_WEIGHTS = np.linspace(1e-6, 1 - 1e-6, 25)
_ITERATIONS = 100


def mauve(
    real: np.ndarray, samples: np.ndarray, clusters: int | None = None, scaling: float = 5, seed: int = 25
) -> float:
    """The area under the divergence curve of [N, E] real and [M, E] sampled embeddings, quantised together.

    Unit-length embeddings -> the principal components that hold 90 % of the variance -> k-means -> two histograms P, Q;
    curve {(exp(-c KL(Q | R)), exp(-c KL(P | R))) : R = w P + (1 - w) Q, 0 < w < 1} with the ends (1, 0) and (0, 1).

    Source: Pillutla et al. 2021. The constants (c = 5, 25 weights, min(N, M) / 10 clusters, 90 %) are those of the
    authors' package; given the histograms the value is theirs, and k-means is run once where they keep the best of 5.
    Unit and range: none; 0 (nothing shared) to 1 (equal histograms).
    Direction: the target is what held-out real text scores at the same N, which is below 1. Above that is not better.
    Traps: the embedder and the number of clusters are part of the name, as in "MAUVE (characters, 500 clusters)"; the
    papers' figures are GPT-2-large's and no other embedder's are comparable with them. Biased by N and by the number
    of clusters, so both stay the same within a table. The seed moves it by a hundredth or two.
    """
    real, samples = _unit_length(real, samples)
    clusters = max(2, round(min(len(real), len(samples)) / 10)) if clusters is None else clusters
    if clusters < 2 or scaling <= 0:
        raise ValueError("MAUVE needs at least 2 clusters and a positive scaling")
    points = np.concatenate([real, samples])
    labels = _k_means(_principal_components(points), _starts(points, clusters, seed))
    real_counts, sample_counts = (
        np.bincount(part, minlength=clusters).astype(np.float64) for part in np.split(labels, [len(real)])
    )
    return area_under_divergence_curve(real_counts / len(real), sample_counts / len(samples), scaling)


def area_under_divergence_curve(p: np.ndarray, q: np.ndarray, scaling: float = 5) -> float:
    """MAUVE of two histograms over the same clusters; symmetric, 1 for p = q, 0 for disjoint supports."""
    weights = _WEIGHTS[:, None]
    mixtures = weights * p + (1 - weights) * q
    # From R = P to R = Q: the way across the curve from (0, 1) to (1, 0).
    across = np.exp(-scaling * _kl(q, mixtures)[::-1])
    up = np.exp(-scaling * _kl(p, mixtures)[::-1])
    return float(np.trapezoid([1, *up, 0], [0, *across, 1]))


def _kl(p: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """[W] KL(p | r) of every mixture r [W, K] that holds some of p."""
    held = p > 0
    divergences: np.ndarray = (p[held] * np.log(p[held] / mixtures[:, held])).sum(1)
    return divergences


def _unit_length(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x_lengths, y_lengths = (np.linalg.norm(z, axis=-1, keepdims=True) for z in (x, y))
    return two_clouds(x / np.where(x_lengths > 0, x_lengths, 1), y / np.where(y_lengths > 0, y_lengths, 1))


def _principal_components(points: np.ndarray) -> np.ndarray:
    """[N, C] of centred points [N, E]: the fewest components with 90 % of the variance."""
    values, vectors = np.linalg.eigh((points.T @ points).astype(np.float64))
    share = np.cumsum(values[::-1].clip(min=0))
    kept = int(np.searchsorted(share, _EXPLAINED * share[-1])) + 1
    return points @ vectors[:, ::-1][:, :kept].astype(np.float32)


def _starts(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Rows that k-means starts from: different points, so that many copies of a text are one cluster and not many."""
    different = np.unique(points, axis=0, return_index=True)[1]
    return np.random.default_rng(seed).permutation(np.sort(different))[:clusters]


def _k_means(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """[N] the cluster of every point after Lloyd's iteration; a centre that loses all its points stays where it is."""
    from scipy.sparse import csr_array

    centres = points[starts]
    labels = np.full(len(points), -1)
    for _ in range(_ITERATIONS):
        before, labels = labels, _nearest(points, centres)
        if np.array_equal(before, labels):
            break
        where = (labels, np.arange(len(points)))
        member = csr_array((np.ones(len(points), np.float32), where), shape=(len(centres), len(points)))
        counts = np.bincount(labels, minlength=len(centres))[:, None]
        centres = np.where(counts > 0, (member @ points) / counts.clip(min=1), centres).astype(np.float32)
    return labels


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    half_norms = np.einsum("ke,ke->k", centres, centres) / 2
    return np.concatenate([(points[rows] @ centres.T - half_norms).argmax(1) for rows in row_blocks(len(points))])
