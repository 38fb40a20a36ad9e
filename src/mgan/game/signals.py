"""Signals: how the discriminator's verdict becomes the generator's gradient.

The policy gradient (Williams 1992; for text Yu et al. 2017, eq. 8): the expected reward of texts drawn from
P_theta has the gradient E[sum_i A_i grad log P_theta(x_i | x_<i)], for any A_i that equals the rewards from
i on up to a term that does not depend on x_i.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.game.values import Payoff


def last_position(mask: Tensor) -> Tensor:
    """[B] int64: each row's last masked position, 0 where it has none. mask: [B, L]."""
    position = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, position, 0).amax(1)


def final(per_position: Tensor, mask: Tensor) -> Tensor:
    """[B, ...]: the value at each row's last masked position. per_position: [B, L, ...], mask: [B, L]."""
    return per_position[torch.arange(len(mask), device=mask.device), last_position(mask)]


def sequence_rewards(logits: Tensor, mask: Tensor, payoff: Payoff) -> Tensor:
    """[B, L]: the payoff of the whole text, given at its last position. logits, mask: [B, L]."""
    position = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, position, -1).amax(1, keepdim=True)
    return torch.where(mask & (position == last), payoff(logits), 0.0)


def dense_rewards(logits: Tensor, mask: Tensor, payoff: Payoff) -> Tensor:
    """[B, L]: what each token added to the payoff of its prefix: payoff(d_i) - payoff(d_{i-1}).

    logits, mask: [B, L]; logits[:, i] judges the prefix that ends with token i. The bare prompt's logit is 0
    by definition: real and generated texts share their prompts. The rewards of a text telescope to
    payoff(d_last) - payoff(0), its verdict.
    """
    judged = torch.where(mask, logits, 0.0)
    value = payoff(judged)
    before = torch.roll(value, 1, dims=1)
    before[:, 0] = payoff(torch.zeros_like(before[:, 0]))
    return torch.where(mask, value - before, 0.0)


def prefix_rewards(logits: Tensor, mask: Tensor, payoff: Payoff) -> Tensor:
    """[B, L]: the payoff of every prefix, given at its last token (de Masson d'Autume et al. 2019).

    logits, mask: [B, L]. Nothing telescopes: a text earns what all its prefixes earn, so its length counts, and a
    discount below 1 says how much of a token's worth is what comes later.
    """
    return torch.where(mask, payoff(logits), 0.0)


def rewards_of_values(values: Tensor, mask: Tensor) -> Tensor:
    """[B, L]: the rewards whose returns, undiscounted, are ``values``: Q_i - Q_{i+1}, and Q_last at the last position.

    values, mask: [B, L]. Q_i is the expected payoff of the whole text given its tokens up to i (for rollouts Yu et al.
    2017, eq. 4): a return already, and the weight of token i in the policy gradient.
    """
    values = torch.where(mask, values, 0.0)
    return torch.where(mask, values - torch.nn.functional.pad(values[:, 1:], (0, 1)), 0.0)


SIGNALS = {
    "dense": dense_rewards,
    "prefix": prefix_rewards,
    "sequence": sequence_rewards,
    "taylor": sequence_rewards,  # what other tokens would have earned is told apart (game/taylor.py)
}


def returns_to_go(rewards: Tensor, mask: Tensor, discount: float) -> Tensor:
    """[B, L]: sum over j >= i of discount**(j - i) * rewards[:, j], 0 off the mask. rewards, mask: [B, L]."""
    rewards = torch.where(mask, rewards, 0.0)
    if discount == 1.0:
        return torch.where(mask, rewards.flip(1).cumsum(1).flip(1), 0.0)
    total = torch.zeros_like(rewards[:, 0])
    returns = torch.empty_like(rewards)
    for i in range(rewards.shape[1] - 1, -1, -1):
        total = rewards[:, i] + discount * total
        returns[:, i] = total
    return torch.where(mask, returns, 0.0)


def others_mean(returns: Tensor, mask: Tensor, prompt_length: Tensor, group: Tensor) -> Tensor:
    """[B, L]: mean return of the *other* rows of the group that reach the same place of their completion.

    returns, mask: [B, L]; prompt_length, group: [B] int64. Independent of the row's own tokens, so it leaves
    the policy gradient unbiased (Kool et al. 2019); 0 where no other row gets that far.
    """
    length = mask.shape[1]
    place = torch.arange(length, device=mask.device) - prompt_length[:, None]
    bins = torch.where(mask, group[:, None] * length + place, 0)
    weight = mask.to(returns.dtype)
    size = (int(group.max()) + 1) * length
    total = returns.new_zeros(size).index_add_(0, bins.flatten(), (returns * weight).flatten())
    count = returns.new_zeros(size).index_add_(0, bins.flatten(), weight.flatten())
    others = count[bins] - weight
    mean = (total[bins] - returns * weight) / others.clamp(min=1)
    return torch.where(mask & (others > 0), mean, 0.0)
