"""The pair: a generator resampled by its discriminator, as a likelihood.

With w = exp(d), drawing k candidates from P and keeping one with probability proportional to w defines a
distribution whose log-likelihood of a text is at least

    log P(x) + E[log(k w(x) / (w(x) + sum of w over k - 1 further candidates))],

so it gains at most log k on the generator. As k grows it approaches the residual energy-based model
P exp(d) / Z (Deng et al. 2020), whose gain is E_real[d] - log E_P[exp d]: the Donsker-Varadhan bound on
KL(real || P) at this d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def resampling_gain(real: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """[texts] nats: what resampling adds to each text's log-likelihood, at least.

    real: [texts] logits of held-out texts; candidates: [texts, k - 1] logits of completions of the same prompts.
    """
    k = candidates.shape[1] + 1
    everything = np.concatenate([real[:, None], candidates], axis=1)
    return np.log(k) + real - np.logaddexp.reduce(everything, axis=1)


@dataclass(frozen=True)
class EnergyGain:
    """E_real[d] - log E_P[exp d] in nats a text, with what it rests on.

    effective_share: effective sample size of the weights exp(d) over their number; near 0 the estimate is
    a few samples' word. per_prompt: Z was estimated for each prompt from its few candidates, which makes the
    gain look larger than it is.
    """

    gain: float
    effective_share: float
    samples: int
    per_prompt: bool


def energy_gain(real: np.ndarray, candidates: np.ndarray, shared_prompt: bool) -> EnergyGain:
    """real: [texts], candidates: [texts, n] logits; shared_prompt: every text has the same prompt, one Z."""
    if shared_prompt:
        log_z = np.logaddexp.reduce(candidates, axis=None) - np.log(candidates.size)
    else:
        log_z = (np.logaddexp.reduce(candidates, axis=1) - np.log(candidates.shape[1])).mean()
    weights = np.exp(candidates - candidates.max())
    share = weights.sum() ** 2 / (weights**2).sum() / weights.size
    return EnergyGain(float(real.mean() - log_z), float(share), candidates.size, not shared_prompt)
