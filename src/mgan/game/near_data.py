"""Likelihood of texts near the data, weighed by the discriminator (ARAML, Ke et al. 2019).

P_s draws a real text t of n tokens and replaces k of them, k by exponentiated edit distance as in RAML (Norouzi et al.
2016; the authors' program):

    P(k) prop. to  C(n, k) (V - 1)^k e^(-k/tau) (V - 1)^(-k/tau)       V: vocabulary, k places chosen alike

With q = (V - 1)^(1 - 1/tau) e^(-1/tau) this is C(n, k) q^k: the binomial distribution, so each token is replaced
with probability q/(1 + q) whatever becomes of the others. A batch x of P_s weighs W(x) = e^(R(x)/alpha), divided by the
batch's sum, and G ascends sum W(x) log P(x): with R held fixed its optimum is P(x) prop. to P_s(x) e^(R(x)/alpha).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def replaced_share(tau: float, vocabulary: int) -> float:
    """The probability with which P_s replaces a token; tau: above 0, vocabulary: above 1."""
    log_odds = (1 - 1 / tau) * math.log(vocabulary - 1) - 1 / tau
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -700 else 0.0


def sample_weights(rewards: Tensor, alpha: float) -> Tensor:
    """[B]: e^(R/alpha) over its sum. rewards: [B]; alpha: above 0, small for the best text alone."""
    return (rewards / alpha).softmax(0)


def choose(logits: Tensor, forbidden: Tensor, uniform: Tensor) -> Tensor:
    """[N]: tokens drawn from softmax(logits) without the forbidden ones. logits: [N, V], forbidden: [N, V] bool.

    uniform: [N] in [0, 1). Every row must leave something to be drawn.
    """
    share = logits.double().masked_fill(forbidden, -torch.inf).softmax(-1).cumsum(-1)
    # Below the total, which rounding may leave under 1; and past tokens of no share, where uniform is 0.
    place = (uniform.double() * share[:, -1])[:, None]
    return torch.searchsorted(share, place, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)
