"""The discriminator as a formula (JSDGAN, Li et al. 2019).

The data are n training texts, so p is known: p(x) is the share of them that is x. So is P(x), the generator's. The best
discriminator needs no network, D(x) = p(x)/(p(x) + P(x)), and the first GAN's value at it is

    V = sum_x p log D + P log(1 - D) = 2 JS(p, P) - 2 log 2

Texts that are none of the training texts give nothing (D = 0, log 1). Those that are, a gradient in closed form:

    dV/dP(x) = log(1 - D(x))        grad V = -E_{x ~ p}[ w(x) grad log P(x) ],     w = u log(1 + 1/u),  u = P(x)/p(x)

w grows from 0 (texts that G would not write) to 1 (that it writes too often): what is likely is made likelier.
For a text of a hundred tokens u may be e^-200, so all of it is in logarithms.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus


def log_weights(log_ratio: Tensor) -> Tensor:
    """[B] float64: log w. log_ratio: [B], log u = log P(x) - log p(x)."""
    log_u = log_ratio.double()
    return log_u + softplus(-log_u).log()


def jensen_shannon(log_ratio: Tensor, share: Tensor) -> float:
    """JS(p, P), nats, in [0, log 2]. Over all distinct training texts: log_ratio: [T], log u; share: [T], p.

    Over texts drawn from p, share 1/T each, it is an unbiased estimate.
    """
    log_u = log_ratio.double()
    # p log D + P log(1 - D), with D = sigmoid(-log u).
    value = -(share.double() * (softplus(log_u) + log_weights(log_u).exp())).sum()
    return float(value) / 2 + math.log(2)


def batch_weights(log_ratio: Tensor) -> Tensor:
    """[B]: w over its sum, of a batch of training texts: the direction of the batch's own gradient, in a unit that
    does not vanish with P. log_ratio: [B]."""
    return log_weights(log_ratio).softmax(0).to(log_ratio.dtype)
