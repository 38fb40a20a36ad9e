"""The Fréchet distance between two clouds of embeddings, each taken for a Gaussian."""

from __future__ import annotations

import numpy as np

from mgan.evaluation.metrics.distances import two_clouds


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) of [N, E] and [M, E] embeddings.

    Source: Fréchet 1957; FID, Heusel et al. 2017; on sentence embeddings "FED", de Masson d'Autume et al. 2019.
    Unit and range: squared length in the embedding space, 0 to infinity; means nothing without the embedder's name.
    Direction: the target is what held-out real text scores against the same reference at the same N. Lower than that
    is no better: a copy of the reference scores 0.
    Traps: biased upward, by more the smaller N is and the larger E (two real sets of 1,000 are farther apart than
    two of 10,000), so figures at different N, or with N not well above E, are not compared; sees two moments only, so
    that clouds with the same mean and covariance are 0 apart.
    """
    x, y = two_clouds(x, y, at_least=2)
    x_root, x_trace = _covariance_root(x)
    y_root, y_trace = _covariance_root(y)
    gap = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    # tr (C_x C_y)^(1/2) is the sum of the singular values of C_x^(1/2) C_y^(1/2); C_x C_y itself is not symmetric.
    shared = np.linalg.svd(x_root @ y_root, compute_uv=False).sum()
    return max(0.0, float(gap @ gap + x_trace + y_trace - 2 * shared))


def _covariance_root(x: np.ndarray) -> tuple[np.ndarray, float]:
    """[E, E] symmetric square root of the covariance (divided by N - 1), and the covariance's trace."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False, dtype=np.float64)))
    values = values.clip(min=0)
    return (vectors * np.sqrt(values)) @ vectors.T, float(values.sum())
