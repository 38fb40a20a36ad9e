"""Goals: a manager says where in a feature space a text should go, and a worker writes it there.

Feudal networks (Vezhnevets et al. 2017) as LeakGAN has them (Guo et al. 2018, section "Training of G"): f_t is what a
discriminator makes of the first t tokens, g_t the goal that the manager sets there, for the next c tokens.

    manager   up  Q cos(f_{t+c} - f_t, g_t)                       goals point where texts went that turned out well
    worker    is paid  r_t = 1/c sum_{i=1..c} cos(f_t - f_{t-i}, g_{t-i})      for going where the goals pointed

A text that ends before t + c has gone as far as its end. Where f has not moved the cosine is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, pad

from mgan.game.signals import last_position


def manager_loss(features: Tensor, goals: Tensor, worth: Tensor, mask: Tensor, horizon: int) -> Tensor:
    """-sum Q cos(f_{t+c} - f_t, g_t) over the goals set where a token was to be chosen: a scalar, gradient to goals.

    features, goals: [B, L, F], position i those of the prefix that ends with token i. worth: [B, L], Q of each prefix,
    taken where the goal's tokens have been written; constant. mask: [B, L]. horizon: c.
    With Q = 1 the manager imitates the transitions of the texts, which is its pre-training on real ones.
    """
    arrival = (torch.arange(mask.shape[1], device=mask.device) + horizon).minimum(last_position(mask)[:, None])
    moved = features.gather(1, arrival[..., None].expand_as(features)) - features
    reached = cosine_similarity(moved.detach(), goals, dim=-1)
    return -(worth.gather(1, arrival) * reached * pad(mask[:, 1:], (0, 1))).sum()


def intrinsic_rewards(features: Tensor, goals: Tensor, mask: Tensor, horizon: int) -> Tensor:
    """[B, L]: r_t = 1/c sum_{i=1..c} cos(f_t - f_{t-i}, g_{t-i}), without a gradient, 0 off the mask.

    features, goals: [B, L, F]; mask: [B, L]; horizon: c. Before the first token nothing is added.
    """
    features, goals = features.detach(), goals.detach()
    total = torch.zeros_like(features[..., 0])
    for lag in range(1, min(horizon, features.shape[1] - 1) + 1):
        total[:, lag:] += cosine_similarity(features[:, lag:] - features[:, :-lag], goals[:, :-lag], dim=-1)
    return torch.where(mask, total / horizon, 0.0)
