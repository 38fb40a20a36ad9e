"""Losses of a discriminator that compares texts: the real completion of a prompt with generated ones of the same.

Only differences of logits within a prompt are in them, so the optimum is open by a constant c of each prompt:
d = log p_data - log p_G + c(prompt). Shapes: P prompts, N generated completions of each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from mgan.game.values import relativistic

PairLoss = Callable[[Tensor, Tensor], Tensor]


def bradley_terry(real: Tensor, fake: Tensor) -> Tensor:
    """[P]: -log sigmoid(d_real - d_fake), the mean over a prompt's pairs. real: [P], fake: [P, N], logits.

    The probability that the real one is preferred (Bradley and Terry 1952); the discriminator of generative
    adversarial distillation (Ye et al. 2025).
    """
    return relativistic(real[:, None], fake).mean(1)


def contrastive(real: Tensor, fake: Tensor) -> Tensor:
    """[P]: -log of the real one's share in the softmax over all completions of its prompt. real: [P], fake: [P, N].

    The contrastive discriminator of TextGAIL (Wu et al. 2021) with a whole group, that is InfoNCE (van den Oord et al.
    2018, eq. 4); with N = 1 it is ``bradley_terry``.
    """
    return torch.logsumexp(pad(fake - real[:, None], (1, 0)), 1)


PAIR_LOSSES: dict[str, PairLoss] = {"bradley_terry": bradley_terry, "contrastive": contrastive}


def preference(real: Tensor, fake: Tensor) -> float:
    """The share of pairs of one prompt in which the real text has the higher logit; ties count half.

    real: [P], fake: [P, N]. 0.5 is guessing: the balanced accuracy of a discriminator whose logits have no level.
    """
    difference = real[:, None] - fake
    return float((difference > 0).float().mean() + 0.5 * (difference == 0).float().mean())
