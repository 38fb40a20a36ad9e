"""What the discriminator minimises and what the generator is paid for it, beyond the cross-entropy of ``values``.

At a point (a text or a prefix) p is the probability under the data, P under the generator, r = p/P, and D's logit d is
free: it minimises p a(d) + P b(d). Where D has reached that optimum, G is paid f(d), a function of r; its policy
gradient is then the descent of sum P phi(r) with r phi'(r) - phi(r) = f. m = (p + P)/2.

loss             a(d), b(d)                             optimum d              source
binary           softplus(-d), softplus(d)              log r                  Goodfellow et al. 2014, eq. 1
  smoothed by s  a: (1-s) softplus(-d) + s softplus(d)  log((1-s) r/(1 + sr))  Salimans et al. 2016, section 3.4
least_squares    (d - 1)^2/2, (d + 1)^2/2               (r - 1)/(r + 1)        Mao et al. 2017, eq. 2, codes 1 and -1
hinge            max(0, 1 - d), max(0, 1 + d)           sign(r - 1)            Lim and Ye 2017, section 2
wasserstein      -d, d                                  none                   Arjovsky et al. 2017, eq. 2 and 3

A critic of ``wasserstein`` needs a bound on its slope (``penalties``); among 1-Lipschitz ones its best loss is minus
the Wasserstein-1 distance of p and P.

payoff           f(d)                     after            G descends                     source
kl               e^d                      binary           KL(p || P)                     Nowozin et al. 2016, table 1
probability      D = sigmoid(d)           binary           KL(p || m)                     Yu et al. 2017, eq. 2
signed_probability  2 D - 1               binary           2 KL(p || m)                   d'Autume et al. 2019
penalty          D - 1                    binary           KL(p || m)                     Wang and Wan 2018
js               (softplus(d) - log 2)/2  binary           JS(p, P)                       ibid.; half of ``minimax``
least_squares    -(d - 1)^2/2             least_squares    4 KL(p || m) - sum (p-P)^2/(p+P)/2   Mao et al., c = 1
critic           d                        least_squares    2 KL(p || m)
                                          hinge            sum |p - P|                    Lim and Ye 2017
                                          wasserstein      Wasserstein-1                  Arjovsky et al. 2017, th. 3

Divergences up to a constant. Each statement is about the gradient with D held fixed at its optimum. That of Mao et al.,
theorem 1, is about the value of their objective there and not about this gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from mgan.game import values
from mgan.game.values import Payoff

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(real logits, real weight, fake logits, fake weight), [B, L] and [B', L'], to the sum over both: see ``values``."""

LARGEST = 20.0
"""Where ``kl`` stops to grow, in nats: e^d beyond it would be one text's whole update."""


def binary(real: Tensor, real_weight: Tensor, fake: Tensor, fake_weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross-entropy, as ``values.discriminator_loss``; with real texts called real with certainty 1 - smoothing.

    smoothing: in [0, 0.5), of one side only: smoothing the generated side would call bad texts real.
    """
    right, wrong = softplus(-real) * real_weight, softplus(real) * real_weight
    return ((1 - smoothing) * right + smoothing * wrong).sum() + (softplus(fake) * fake_weight).sum()


def least_squares(real: Tensor, real_weight: Tensor, fake: Tensor, fake_weight: Tensor) -> Tensor:
    return (((real - 1) ** 2 * real_weight).sum() + ((fake + 1) ** 2 * fake_weight).sum()) / 2


def hinge(real: Tensor, real_weight: Tensor, fake: Tensor, fake_weight: Tensor) -> Tensor:
    return (relu(1 - real) * real_weight).sum() + (relu(1 + fake) * fake_weight).sum()


def wasserstein(real: Tensor, real_weight: Tensor, fake: Tensor, fake_weight: Tensor) -> Tensor:
    return (fake * fake_weight).sum() - (real * real_weight).sum()


def relativistic_average(mine: Tensor, mine_weight: Tensor, other: Tensor, other_weight: Tensor) -> Tensor:
    """sum -log sigmoid(mine - mean of other) - log sigmoid(mean of mine - other), each over the weighted positions.

    The loss of whoever wants ``mine`` to look more real than the others do on average: D's with ``mine`` real, G's with
    ``mine`` generated (Jolicoeur-Martineau 2019, section 4). mine, mine_weight: [B, L]; other, other_weight:
    [B', L']. Only differences of logits are in it, so D's optimum is open by a constant; it grows with r.
    """
    above = softplus(_mean(other, other_weight) - mine) * mine_weight
    below = softplus(other - _mean(mine, mine_weight)) * other_weight
    return above.sum() + below.sum()


LOSSES: dict[str, Loss] = {
    "binary": binary,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic_average": relativistic_average,
}


def kl(logits: Tensor) -> Tensor:
    return logits.clamp(max=LARGEST).exp()


def js(logits: Tensor) -> Tensor:
    return (softplus(logits) - math.log(2)) / 2


def probability(logits: Tensor) -> Tensor:
    return logits.sigmoid()


def signed_probability(logits: Tensor) -> Tensor:
    return 2 * logits.sigmoid() - 1


def penalty(logits: Tensor) -> Tensor:
    """What a text costs: 1 - D of it, so that a text that passes for real is paid nothing."""
    return logits.sigmoid() - 1


def least_squares_payoff(logits: Tensor) -> Tensor:
    return -((logits - 1) ** 2) / 2


def critic(logits: Tensor) -> Tensor:
    return logits


PAYOFFS: dict[str, Payoff] = {
    **values.PAYOFFS,
    "kl": kl,
    "js": js,
    "probability": probability,
    "signed_probability": signed_probability,
    "penalty": penalty,
    "least_squares": least_squares_payoff,
    "critic": critic,
}


def relativistic_average_payoff(real: Tensor, real_weight: Tensor, fake: Tensor, fake_weight: Tensor) -> Payoff:
    """What a generated text is paid: -softplus(mean of real - d) + s d, s = mean of sigmoid(real - mean of fake).

    Its policy gradient is that of G's expected ``relativistic_average`` with D fixed: the first term is what the text
    itself costs, the second what it does to the mean that real texts are compared with. real, real_weight: [B, L];
    fake, fake_weight: [B', L']. From a batch, where a text is in that mean, the gradient is off by O(1/B').
    """
    level = _mean(real, real_weight)
    pull = _mean(torch.sigmoid(real - _mean(fake, fake_weight)), real_weight)
    return lambda logits: pull * logits - softplus(level - logits)


def _mean(logits: Tensor, weight: Tensor) -> Tensor:
    return (logits * weight).sum() / weight.sum()
