"""A language model as the discriminator (DP-GAN, Xu et al. 2018): what surprises it is worth more.

    R(x) = mean over i of -log P_D(x_i | x_<i)            the reward of a text, section 3.3 of the paper
    D down  E_G[R] - E_data[R]                            ``losses.wasserstein`` with R as the logit

Nothing bounds E_data[R]: D gains without end by calling one real token impossible. The authors' program weighs real
text by 1e-4 in D's loss and cuts rewards off at 12 nats. Here the loss is the paper's, and each token's cross-entropy
is cut off there for both players: R is in [0, CEILING], so the loss is bounded too, and D gains nothing by pushing
further. What D should do at a prefix, p and P the two distributions of what follows it, is sum to one over the tokens
that G writes too often, and say CEILING of all that it writes too rarely.
"""

from __future__ import annotations

import torch
from torch import Tensor

CEILING = 12.0
"""Nats that one token is worth at most: the authors' program's."""


def running_means(logprobs: Tensor) -> Tensor:
    """[B, L]: R of every prefix, 0 of the start token alone. logprobs: [B, L], log P_D(x_i | x_<i), any at position 0.

    Paid as ``signals.dense_rewards``, word i earns R(x_<=i) - R(x_<i): its own cross-entropy less the mean before it,
    over i. The words of a text sum to R of the text.
    """
    words = torch.arange(logprobs.shape[1], device=logprobs.device)
    surprise = torch.where(words > 0, (-logprobs).clamp(max=CEILING), 0.0)
    return surprise.cumsum(1) / words.clamp(min=1)
