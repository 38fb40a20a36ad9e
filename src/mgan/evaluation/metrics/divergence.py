"""How far real text is from the generator at least: the Donsker–Varadhan bound on KL(real || G), with confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgan.evaluation.metrics.two_sample import MLP, Array, Classifier, parts, pooled, verdicts

SCALES = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
CAPS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True)
class Bound:
    """gain: E_real[d] - log E_G[exp d], nats a text, a point estimate. lower: its lower confidence bound.

    effective_share: effective sample size of the weights exp d on the samples, over their number; 0 to 1.
    samples: how many generated texts it rests on. cap: d was clipped to [-cap, cap]. log_n: log of ``samples``; no
    number above it is claimed. limited: gain or lower was cut to it.
    """

    gain: float
    lower: float
    effective_share: float
    samples: int
    cap: float
    log_n: float
    limited: bool

    def __str__(self) -> str:
        text = f"{self.gain:.3f} nats a text (at least {self.lower:.3f})"
        return f"{text}, cut to log n: more samples may show more" if self.limited else text


def donsker_varadhan(
    fit_real: Array,
    fit_samples: Array,
    real: Array,
    samples: Array,
    confidence: float = 0.95,
    seed: int = 0,
    classifier: Classifier | None = None,
) -> Bound:
    """Nats a text by which a discriminator, as an energy on top of the generator, would bring it nearer to real text.

    Definition: KL(real || G) >= E_real[d] - log E_G[exp d] for every function d chosen beforehand (Donsker & Varadhan
    1983). Here d is a discriminator's logit: scaled, shifted and clipped, all of it fixed on (fit_real, fit_samples);
    the expectations are taken on (real, samples), which must be other texts, independent of the first.
    fit_real [A, E], fit_samples [B, E], real [N, E], samples [M, E]: embeddings. classifier: None for ``MLP()``.
    Unit and range: nats a text; gain below 0 says that d transfers no knowledge. At most log M is claimed.
    Direction: for real text against real text KL is 0 and ``lower`` is at or below 0 (but for a share 1 - confidence
    of trials): that is the target. 0.1 nats a word more likelihood is within reach where a text of 12 words has 1.2.
    A tuned LSTM on COCO captions has been seen at about 1.2 with frozen sentence-encoder features.
    Traps. It bounds from below only: a weak embedding or discriminator shows little of a large divergence. ``gain``
    alone is optimistic where few samples carry the weight: look at effective_share, cite ``lower``. Likelihood gained
    by reweighting is not a better generator: it has to be resampled or learned. Not comparable across text lengths.
    """
    features, labels = pooled(fit_real, fit_samples)
    held, held_labels = pooled(real, samples)
    if held.shape[1] != features.shape[1]:
        raise ValueError(f"embeddings have {features.shape[1]} features for fitting and {held.shape[1]} held out")
    inner = parts(features, 5, seed) == 0
    for chosen in (labels[inner], labels[~inner], held_labels):
        if min(chosen.sum(), (~chosen).sum()) < 2:
            raise ValueError("the bound needs more texts: at least a few dozen of each kind, to fit and held out")
    judge = (classifier or MLP()).fit(features[~inner], labels[~inner], seed)
    known = verdicts(judge, features[inner])
    size = int(held_labels.sum()), int((~held_labels).sum())
    scale, shift, cap = _choose(known[labels[inner]], known[~labels[inner]], size, confidence)
    d = scale * verdicts(judge, held) + shift
    return bound_from_logits(d[held_labels], d[~held_labels], cap, confidence)


def bound_from_logits(real_logits: Array, sample_logits: Array, cap: float, confidence: float = 0.95) -> Bound:
    """The bound from d of held-out real texts [N] and samples [M], neither of which had a part in choosing d or cap.

    With d in [-cap, cap] both means have known ranges: by Maurer & Pontil 2009, Theorem 4 (empirical Bernstein), each
    with probability 1 - alpha / 2, alpha = 1 - confidence,
        E_real[d] >= L = mean d - sqrt(2 V log(4/alpha) / N) - 7 (2 cap) log(4/alpha) / (3 (N - 1))
        E_G[exp d] <= U, likewise from above with the range exp cap - exp -cap,
    so that L - log U <= KL(real || G) with probability ``confidence``, at every N and M and whatever d.
    Nothing above log M is claimed: no high-confidence bound from M samples can be much larger (McAllester & Stratos
    2020). ``gain`` is the plain difference; its logarithm of a mean makes it a little too large on average.
    """
    real, samples = np.asarray(real_logits, dtype=np.float64), np.asarray(sample_logits, dtype=np.float64)
    if real.ndim != 1 or samples.ndim != 1 or min(len(real), len(samples)) < 2:
        raise ValueError("the bound needs the logits of at least two real texts and two samples")
    if np.isnan(real).any() or np.isnan(samples).any():
        raise ValueError("a logit is not a number")
    if not 0 < cap < 700:
        raise ValueError(f"cap must lie above 0 and below 700, where exp overflows, got {cap}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    d, weights = real.clip(-cap, cap), np.exp(samples.clip(-cap, cap))
    gain = d.mean() - math.log(weights.mean())
    lower = _lower(d, weights, cap, confidence, (len(d), len(weights)))
    share = weights.mean() ** 2 / np.square(weights).mean()
    log_n = math.log(len(weights))
    return Bound(
        gain=float(min(gain, log_n)),
        lower=float(min(lower, log_n)),
        effective_share=float(share),
        samples=len(weights),
        cap=float(cap),
        log_n=log_n,
        limited=bool(max(gain, lower) > log_n),
    )


def _lower(d: NDArray[Any], weights: NDArray[Any], cap: float, confidence: float, size: tuple[int, int]) -> float:
    """The lower bound that ``size`` held-out texts with these means and variances have."""
    log_term = math.log(4 / (1 - confidence))
    low = d.mean() - _margin(d, 2 * cap, size[0], log_term)
    high = weights.mean() + _margin(weights, math.exp(cap) - math.exp(-cap), size[1], log_term)
    return float(low - math.log(high))


def _margin(values: NDArray[Any], width: float, n: int, log_term: float) -> float:
    return math.sqrt(2 * values.var(ddof=1) * log_term / n) + 7 * width * log_term / (3 * (n - 1))


def _choose(real: Array, samples: Array, size: tuple[int, int], confidence: float) -> tuple[float, float, float]:
    """Scale, shift and cap with the highest lower bound to be expected, on logits the classifier was not fitted on.

    The shift makes the mean weight 1, so that the cap cuts real and generated alike; d's own constant cancels.
    """
    best, choice = -math.inf, (1.0, 0.0, 1.0)
    for scale, cap in product(SCALES, CAPS):
        shift = -_log_mean_exp(scale * samples)
        d, weights = (scale * real + shift).clip(-cap, cap), np.exp((scale * samples + shift).clip(-cap, cap))
        value = _lower(d, weights, cap, confidence, size)
        if value > best:
            best, choice = value, (scale, shift, cap)
    return choice


def _log_mean_exp(values: NDArray[Any]) -> float:
    highest = float(values.max())
    return highest + math.log(float(np.exp(values - highest).mean()))
