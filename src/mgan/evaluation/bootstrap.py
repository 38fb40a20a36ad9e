"""The paired bootstrap over texts (Efron 1979; Koehn 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: np.ndarray, confidence: float) -> Estimate:
        """The percentile interval. resampled: [R] values of the statistic on resampled texts."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(resampled, [tail, 1 - tail])
        return cls(float(value), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def resample(texts: int, resamples: int, seed: int) -> np.ndarray:
    """[R, texts]: how often each text stands in each resample; the same texts for both systems are the pairing."""
    return np.random.default_rng(seed).multinomial(texts, np.full(texts, 1 / texts), size=resamples)


def ratio(numerator: np.ndarray, denominator: np.ndarray, weights: np.ndarray, confidence: float) -> Estimate:
    """sum(numerator) / sum(denominator), e.g. nats over tokens. Both [texts]; weights: [R, texts]."""
    value = numerator.sum() / denominator.sum()
    return Estimate.of(value, (weights @ numerator) / (weights @ denominator), confidence)


def mean(values: np.ndarray, weights: np.ndarray, confidence: float) -> Estimate:
    """The mean over texts. values: [texts]; weights: [R, texts]."""
    return ratio(values, np.ones_like(values, dtype=float), weights, confidence)


def balanced(
    real: np.ndarray, fake: np.ndarray, real_weights: np.ndarray, fake_weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """A balanced accuracy (mean(real) + mean(fake)) / 2, and on resampled texts [R], the two resampled apart."""
    resampled = real_weights @ real / len(real) + fake_weights @ fake / len(fake)
    return float(real.mean() + fake.mean()) / 2, resampled / 2


@dataclass(frozen=True)
class Intervals:
    """The same resampled texts for every measure and every system. weights: [R, texts]."""

    weights: np.ndarray
    confidence: float

    @classmethod
    def over(cls, texts: int, resamples: int, confidence: float, seed: int) -> Intervals:
        return cls(resample(texts, resamples, seed), confidence)

    def mean(self, values: np.ndarray) -> Estimate:
        """values: [texts]."""
        return mean(values, self.weights, self.confidence)

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> Estimate:
        """sum(numerator) / sum(denominator). Both [texts]."""
        return ratio(numerator, denominator, self.weights, self.confidence)

    def of(self, value: float, resampled: np.ndarray) -> Estimate:
        """Of a statistic that is neither. resampled: [R], its values under each row of ``weights``."""
        return Estimate.of(value, resampled, self.confidence)
