"""Estimators of the policy gradient beyond sampled tokens weighted by the returns of ``signals``."""

from __future__ import annotations

import torch
from torch import Tensor


def all_action_loss(logits: Tensor, values: Tensor) -> Tensor:
    """[...]: -sum_a P(a) Q(a) over all next tokens a: the drawn one is not asked, so it adds no noise.

    The all-action policy gradient (Sutton et al. 2001; Asadi et al. 2017, Mean Actor-Critic). logits: [..., V],
    G's at a prefix that G has drawn; values: [..., V], constants, what a text is expected to earn that goes on with a.
    Unbiased where the values are, however noisy. Adding one number to all values of a prefix changes nothing.
    """
    return -(logits.softmax(-1) * values.detach()).sum(-1)


def normalised_importance(logits: Tensor, group: Tensor) -> Tensor:
    """[B]: N e^d / (sum of e^d over the group's N texts) - 1, the advantage of every token of a text.

    MaliGAN (Che et al. 2017): with D optimal e^d = p_data/P, so texts of P weighted by it stand for data,
    and their likelihood is what G ascends: KL(p_data || P) descends. logits: [B], D's verdicts; group: [B] int64.
    Weights that are normalised by their own sum are biased by O(1/N), towards smaller steps; never large, unlike the
    payoff ``losses.kl``. The paper's baseline b, in this unit, is the 1: a group's advantages add up to 0.
    """
    count = int(group.max()) + 1
    exact = logits.double()
    highest = exact.new_full((count,), -torch.inf).scatter_reduce(0, group, exact, "amax")
    weight = (exact - highest[group]).exp()
    total = weight.new_zeros(count).index_add(0, group, weight)
    size = weight.new_zeros(count).index_add(0, group, torch.ones_like(weight))
    return (size[group] * weight / total[group] - 1).to(logits.dtype)
