"""Latent noise from the seeds of rows: a row's z depends on its seed alone, as the numbers it is drawn with do."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.models.latent import noise_of
from mgan.models.protocols import Generator
from mgan.sampling.uniforms import child_seeds, uniforms

PURPOSE = 1 << 40
"""Of a row's children the one that z is drawn by: no rollout has this number."""


def latent_of(generator: Generator, seeds: Tensor) -> Tensor | None:
    """[B, Z]: z ~ N(0, I) of every row; None for a generator without noise. seeds: [B] int64."""
    noise = noise_of(generator)
    if noise is None:
        return None
    own = child_seeds(seeds.cpu(), torch.tensor([PURPOSE])).squeeze(1)
    # 0 is one of the numbers, and has no quantile.
    chances = uniforms(own, noise.in_features).clamp(min=2.0**-54)
    return torch.special.ndtri(chances).to(noise.weight.dtype).to(noise.weight.device)
