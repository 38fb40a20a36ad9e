"""What keeps a discriminator smooth: penalties on its slope, and noise on what it reads.

They are taken where a text is continuous: at its embeddings or at soft one-hots, [B, L, E]. ``score`` is any function
of those to one number a text, [B], or to several, [B, S], which are added; it knows by itself which positions of a row
are text. Each penalty is a mean over texts with a graph of second order, so that D's loss may have it as a term.

Spectral normalisation (Miyato et al. 2018) is torch's own: ``torch.nn.utils.parametrizations.spectral_norm(layer)``
for each linear, convolution or embedding layer bounds its largest singular value by 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]


def gradient_penalty(score: Score, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mean (|grad score| - 1)^2 at mix real + (1 - mix) fake (WGAN-GP: Gulrajani et al. 2017, eq. 3).

    real, fake: [B, ...], texts in pairs; mix: [B], uniform in [0, 1). The paper weighs it by 10.
    """
    share = mix.view(-1, *[1] * (real.ndim - 1))
    squared = _squared_slope(score, share * real + (1 - share) * fake)
    # The root of 0 has no derivative: a score that is flat somewhere would make the gradient NaN.
    slope = torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)
    return ((slope - 1) ** 2).mean()


def r1(score: Score, real: Tensor) -> Tensor:
    """mean |grad score|^2 / 2 at real texts (Mescheder et al. 2018, eq. 9, without its weight). real: [B, ...]."""
    return _squared_slope(score, real).mean() / 2


def noisy(embedded: Tensor, mask: Tensor, deviation: float, source: torch.Generator) -> Tensor:
    """Embeddings with Gaussian noise of that deviation on the masked positions (instance noise: Sonderby et al. 2017).

    embedded: [B, L, E], mask: [B, L], source: on the embeddings' device. With noise real and generated texts have
    densities where both live, and D's optimum is finite.
    """
    noise = torch.randn(embedded.shape, generator=source, device=embedded.device, dtype=embedded.dtype)
    return embedded + deviation * mask[..., None] * noise


def _squared_slope(score: Score, at: Tensor) -> Tensor:
    """[B]: the squared length of each row's gradient, with a graph."""
    point = at.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(point).sum(), point, create_graph=True)
    return gradient.flatten(1).square().sum(1)
