"""Likelihood-type scores are judged by their distance to real text's, over all quantiles: lower is not better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def quantile_distance(samples: ArrayLike, real: ArrayLike) -> float:
    """How far the samples' scores are from real text's, as distributions.

    Definition: the 1-Wasserstein distance, the integral over q from 0 to 1 of |Q_samples(q) - Q_real(q)|, which is the
    area between the two distribution functions. Source: Vallender 1974; for text scores compare Holtzman et al. 2020,
    whose samples miss real text's distribution of likelihoods, not its mean.
    samples [N], real [M]: one score a text; N and M may differ. Unit: the scores' (nats a token); 0 or more.
    Direction: 0 is the same distribution. Finite samples of one distribution are not at 0: the value of one half of
    the real text against the other is what can be reached.
    Traps: equal means may be far apart (all texts average, none surprising); a few extreme texts weigh as much as
    they are far away.
    """
    samples, real = _scores(samples, "samples"), _scores(real, "real")
    values = np.sort(np.concatenate([samples, real]))
    below = np.searchsorted(np.sort(samples), values[:-1], "right") / len(samples)
    below_real = np.searchsorted(np.sort(real), values[:-1], "right") / len(real)
    return float(np.abs(below - below_real) @ np.diff(values))


def quantile_differences(samples: ArrayLike, real: ArrayLike, at: Sequence[float] = DECILES) -> NDArray[np.float64]:
    """[Q]: Q_samples(q) - Q_real(q) at each q of ``at``: where, and to which side, the scores lie off.

    Definition: Q(q) is the smallest score that at least a share q of the texts does not exceed; this is the signed
    integrand of ``quantile_distance``, and its mean is close to the difference of the mean scores.
    Unit: the scores'. Direction: 0 everywhere is real text's value. For negative log-likelihoods, below 0 at low q
    and above 0 at high q reads: the safe texts are too safe and the odd ones too odd.
    Trap: quantiles near 0 and 1 rest on few texts.
    """
    samples, real = _scores(samples, "samples"), _scores(real, "real")
    q = np.asarray(at, dtype=np.float64)
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError(f"quantiles lie between 0 and 1, got {tuple(at)}")
    differences = np.quantile(samples, q, method="inverted_cdf") - np.quantile(real, q, method="inverted_cdf")
    return np.asarray(differences, dtype=np.float64)


def _scores(values: ArrayLike, name: str) -> NDArray[Any]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"{name}: expected a non-empty list of finite scores, one a text")
    return scores
