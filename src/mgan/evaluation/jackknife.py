"""Standard errors of set measures by the delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17).

Resampling texts with replacement puts copies into the set, and Self-BLEU, distinct-n or recall read copies as
collapse: their bootstrap is centred elsewhere. Leaving texts out makes no copies.

The texts are split at random into g groups and the statistic is computed g times, each time without one group:

    error² = (g − 1) / g · Σ_j (θ_j − mean_j θ_j)²

Every replicate sees n (1 − 1/g) texts, and set measures depend on the size of the set, so deviations are taken from the
replicates' own mean, never from the value of the whole set. Traps:

- Valid for smooth statistics: means, ratios, U-statistics and smooth functions of them. Not for a maximum, or for a
  median with many small groups. For symmetric statistics the variance of a set of n (1 − 1/g) texts is overestimated
  rather than underestimated (Efron & Stein 1981, Annals of Statistics 9).
- The error rests on g − 1 degrees of freedom: with g = 10 it is itself uncertain by 1 / √(2 (g − 1)) = 24 %.
- The texts must be drawn independently: groups of texts that belong together (one prompt's samples) must be kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Jackknifed:
    """A statistic of all texts, and its values without each group. value: scalar or [...]; replicates: [g, ...]."""

    value: float | np.ndarray
    replicates: np.ndarray

    @property
    def error(self) -> float | np.ndarray:
        """The standard error, in the statistic's unit and shape."""
        squares = np.square(self.replicates - self.replicates.mean(axis=0)).sum(axis=0)
        error = np.sqrt((1 - 1 / len(self.replicates)) * squares)
        return error if np.ndim(error) else float(error)


def groups(n: int, g: int = 10, seed: int = 0) -> list[np.ndarray]:
    """``n`` texts dealt at random into ``g`` groups whose sizes differ by one at most: index arrays, each sorted."""
    if not 2 <= g <= n:
        raise ValueError(f"the jackknife needs at least 2 groups and as many texts as groups, not {g} and {n}")
    shuffled = np.random.default_rng(seed).permutation(n)
    return [np.sort(part) for part in np.array_split(shuffled, g)]


def jackknife(
    statistic: Callable[[np.ndarray], float | np.ndarray], n: int, groups: Sequence[np.ndarray]
) -> Jackknifed:
    """``statistic`` of all ``n`` texts and without each of ``groups``. It is given the sorted indices of texts kept."""
    if len(groups) < 2:
        raise ValueError("the jackknife needs at least 2 groups")
    everyone = np.arange(n)
    replicates = [statistic(np.delete(everyone, left_out)) for left_out in groups]
    return Jackknifed(statistic(everyone), np.asarray(replicates, dtype=float))


def covariance(replicates: np.ndarray) -> np.ndarray:
    """The covariance matrix [k, k] of k statistics from their replicates [g, k] on the same groups."""
    deviations = replicates - replicates.mean(axis=0)
    return np.asarray((1 - 1 / len(replicates)) * deviations.T @ deviations)
