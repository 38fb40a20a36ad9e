"""What a return is measured against, and in which unit.

Dividing by a deviation of the samples makes the step independent of the rewards' unit, at the price of a bias: the
divisor depends on the row it divides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.game.signals import returns_to_go

SMOOTHNESS = 16.0
EQUAL = 1e-6
"""Rewards that deviate by less, compared with 1 + |mean|, are equal: rounding would be all that is left."""


def group_normalised(scores: Tensor, group: Tensor) -> Tensor:
    """[B]: (score - mean) / standard deviation, both of the row's own group; 0 in a group of equal scores.

    GRPO's advantage of every token of a text (Shao et al. 2024, DeepSeekMath, section 4.1.2). scores: [B],
    group: [B] int64.
    """
    centred, deviation, equal = _moments(scores, group)
    return torch.where(equal[group], 0.0, centred / deviation[group]).to(scores.dtype)


def zero_variance_groups(scores: Tensor, group: Tensor) -> int:
    """How many groups have equal scores: nothing can be learned from them. scores: [B], group: [B] int64."""
    return int(_moments(scores, group)[2].sum())


def batch_normalised(returns: Tensor, mask: Tensor) -> Tensor:
    """[B, L]: (return - mean) / standard deviation over all masked positions of the batch, 0 off the mask.

    The advantage of REINFORCE++ (Hu et al. 2025). returns, mask: [B, L].
    """
    chosen = returns[mask]
    centred = returns - chosen.mean()
    deviation = chosen.std(correction=0)
    return torch.where(mask & (deviation > EQUAL * (1 + chosen.mean().abs())), centred / deviation, 0.0)


def ranked(returns: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    """[B, L]: sigmoid(16 (1/2 - rank / B)) among the B rows that reach that place of their completion, 0 off the mask.

    LeakGAN's bootstrapped rescaled activation (Guo et al. 2018), 16 as in the authors' program: only the order of
    returns counts, and about half of the rows are paid almost nothing. Rank 0 is the best, equal rows share the mean of
    their ranks, and half a rank is added, so that a row of the middle has 1/2. returns, mask: [B, L];
    prompt_length: [B] int64.
    """
    position = torch.arange(mask.shape[1], device=mask.device)
    place = position + prompt_length[:, None]
    there = mask.gather(1, place.clamp(max=mask.shape[1] - 1)) & (place < mask.shape[1])
    own = returns.gather(1, place.clamp(max=mask.shape[1] - 1))
    above = ((own[None] > own[:, None]) & there[None]).sum(1)
    equal = ((own[None] == own[:, None]) & there[None]).sum(1)
    rank = (above + equal / 2) / there.sum(0).clamp(min=1)
    worth = (SMOOTHNESS * (0.5 - rank)).sigmoid().to(returns.dtype)
    return torch.where(mask, worth.gather(1, (position - prompt_length[:, None]).clamp(min=0)), 0.0)


def generalised(rewards: Tensor, values: Tensor, mask: Tensor, discount: float, decay: float) -> Tensor:
    """[B, L]: sum over j >= i of (discount * decay)**(j - i) (r_j + discount V_{j+1} - V_j), 0 off the mask.

    Generalised advantage estimation (Schulman et al. 2016, eq. 16); with decay = 1 the return minus V_i.
    rewards, mask: [B, L]; values: [B, L], V_i what is expected before token i is chosen, 0 off the mask.
    """
    after = torch.nn.functional.pad(values[:, 1:], (0, 1))
    return returns_to_go(rewards + discount * after - values, mask, discount * decay)


def batch_scaled(rewards: Tensor) -> Tensor:
    """[B, L]: rewards divided by the standard deviation of the texts' sums; as they are where all sums are equal.

    rewards: [B, L], 0 off the mask.
    """
    total = rewards.sum(1)
    deviation = total.std(correction=0)
    return rewards / deviation if deviation > EQUAL * (1 + total.mean().abs()) else rewards


def surplus(mask: Tensor, free: int) -> Tensor:
    """[B, L]: 1 for each completion token after the first ``free`` of its text, else 0. mask: [B, L]."""
    return (mask & (mask.cumsum(1) > free)).float()


def _moments(scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores minus their group's mean [B]; the groups' sample deviations, and whether that is 0 [groups]."""
    exact = scores.double()
    zero = exact.new_zeros(int(group.max()) + 1)
    count = zero.index_add(0, group, torch.ones_like(exact))
    mean = zero.index_add(0, group, exact) / count.clamp(min=1)
    centred = exact - mean[group]
    deviation = (zero.index_add(0, group, centred**2) / (count - 1).clamp(min=1)).sqrt()
    return centred, deviation, deviation <= EQUAL * (1 + mean.abs())
