"""Value functions: what the discriminator maximises and what the generator is paid.

d is the discriminator's logit, D = sigmoid(d). Every value here lets D maximise
E_real[log D] + E_G[log(1 - D)] (Goodfellow et al. 2014, eq. 1), whose optimum on any set of texts is
d = log p_data - log p_G. They differ in what the generator is paid for a text with logit d:

minimax        -log(1 - D)  = softplus(d)     descends the Jensen-Shannon divergence (Goodfellow et al. 2014)
nonsaturating   log D       = -softplus(-d)   stronger gradient while D wins (ibid., section 3)
reverse_kl      d           = log D/(1 - D)   descends KL(p_G || p_data) (Sonderby et al. 2017, eq. 5)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import softplus

Payoff = Callable[[Tensor], Tensor]


def minimax(logits: Tensor) -> Tensor:
    return softplus(logits)


def nonsaturating(logits: Tensor) -> Tensor:
    return -softplus(-logits)


def reverse_kl(logits: Tensor) -> Tensor:
    return logits


PAYOFFS: dict[str, Payoff] = {
    "minimax": minimax,
    "nonsaturating": nonsaturating,
    "reverse_kl": reverse_kl,
}


def discriminator_loss(real_logits: Tensor, real_weight: Tensor, fake_logits: Tensor, fake_weight: Tensor) -> Tensor:
    """-(log D(real) + log(1 - D(fake))), summed over the weighted positions of both.

    real_logits, real_weight: [B, L]; fake_logits, fake_weight: [B', L']; weights 0 or 1.

    Every prefix weighs 1. Divide the sum by one number for the whole update, never a row by its own length:
    only then is the optimum at every prefix the log-ratio of the two distributions of that prefix.
    """
    return (softplus(-real_logits) * real_weight).sum() + (softplus(fake_logits) * fake_weight).sum()


def relativistic(mine: Tensor, other: Tensor) -> Tensor:
    """-log sigmoid(mine - other), elementwise: the loss of whoever wants ``mine`` to look more real than ``other``.

    The relativistic standard GAN (Jolicoeur-Martineau 2019, eq. 8 and 9): the discriminator's loss is
    relativistic(real, fake), the generator's relativistic(fake, real), on logits of real and generated texts in pairs.
    """
    return softplus(other - mine)
