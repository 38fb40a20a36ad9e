"""Evolution of a generator (CatGAN: Liu, Wang, Liang 2020; Wang et al. 2019): what its offspring learn, and who is fit.

d: logits of whole texts, whose level is open: D has learned the order of real and generated texts alone.

objective              G descends                                                                      source
relativistic           -log sigmoid(d(g) - d(t))                                                       RSGAN
relativistic_average   -log sigmoid(d(g) - mean d(t)) - log sigmoid(mean d(g) - d(t))                  RaSGAN

(Jolicoeur-Martineau 2019.) An offspring's fitness is F = F_q + w F_d: its quality F_q = -E (d(g) - mean d(t))^2 is 0
where D holds its texts for real ones of the same label on average, and F_d is its NLL of its own texts, large where
these are many.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mgan.game.values import relativistic


def relativistic_average(mine: Tensor, other: Tensor) -> Tensor:
    """[B, S]: the loss of whoever wants ``mine`` above the others' mean. mine, other: [B, S], S representations."""
    return softplus(other.mean(0) - mine) + softplus(other - mine.mean(0))


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relativistic": relativistic,
    "relativistic_average": relativistic_average,
}
"""(mine, other) logits, [B, S] each, to the loss of each."""


def quality(fake: Tensor, real: Tensor, label: Tensor) -> Tensor:
    """F_q, at most 0. fake, real: [B] logits. label: [B] from 0, of the generated and the real text of each place."""
    labels = int(label.max()) + 1
    count = torch.bincount(label, minlength=labels)
    level = torch.zeros(labels, dtype=real.dtype, device=real.device).index_add_(0, label, real) / count.clamp(min=1)
    return -((fake - level[label]) ** 2).mean()
