"""Games on the discriminator's features of whole texts, where there is no logit.

Feature matching: D's features of generated texts are to have the distribution of those of real ones, by the maximum
mean discrepancy: D maximises it, G descends it (TextGAN: Zhang et al. 2017).

Shapes: H features. Everything is differentiable, in the features too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST = 1e-6
"""A bandwidth where all features are alike."""


def mmd2(real: Tensor, fake: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """The squared MMD, without bias: mean_{i≠j} k(r_i, r_j) + mean_{i≠j} k(f_i, f_j) - 2 mean_{i,j} k(r_i, f_j).

    k(x, y) = sum_s exp(-|x - y|^2/(2 s^2)) over the bandwidths s, a mixture of Gaussian kernels (Gretton et al. 2012,
    eq. 3). real: [N, H], fake: [M, H], two texts of each at least; bandwidths: in the unit of the features.
    Returns a scalar, below 0 by chance where the two are alike.
    """
    return _within(real, bandwidths) + _within(fake, bandwidths) - 2 * _kernel(real, fake, bandwidths).mean()


def around(real: Tensor) -> list[float]:
    """Half, once and twice the median distance of two of these features, as bandwidths: features may have any scale.

    real: [N, H], two texts at least.
    """
    median = float(torch.nn.functional.pdist(real.detach()).median())
    return [max(median, SMALLEST) * factor for factor in (0.5, 1.0, 2.0)]


def mmd_payoff(real: Tensor, fake: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """[M]: 2 (mean_i k(f, r_i) - mean_j k(f, f_j)), f_j the *other* generated texts: what each is paid.

    The MMD's witness function: its policy gradient is, without bias, the descent of the squared MMD with D's features
    fixed. real: [N, H], fake: [M, H], bandwidths as in ``mmd2``.
    """
    among = _kernel(fake, fake, bandwidths)
    others = (among.sum(1) - among.diagonal()) / (len(fake) - 1)
    return 2 * (_kernel(fake, real, bandwidths).mean(1) - others)


def _kernel(x: Tensor, y: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """[N, M]."""
    squared = ((x[:, None] - y) ** 2).sum(2)
    return torch.stack([torch.exp(squared / (-2 * s * s)) for s in bandwidths]).sum(0)


def _within(x: Tensor, bandwidths: Sequence[float]) -> Tensor:
    kernel = _kernel(x, x, bandwidths)
    return (kernel.sum() - kernel.diagonal().sum()) / (len(x) * (len(x) - 1))
