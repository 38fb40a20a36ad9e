"""What is put on a discriminator from scratch to keep it smooth: spectral normalisation and noisy embeddings."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

BOUNDED = (nn.Linear, nn.Conv1d, nn.Embedding)


def bound_layers(network: nn.Module) -> None:
    """Every linear layer, convolution and embedding has a largest singular value of 1 (Miyato et al. 2018).

    Found by a step of power iteration at each use in training mode; in eval mode nothing moves.
    """
    for layer in list(network.modules()):
        if isinstance(layer, BOUNDED):
            if not layer.weight.any():  # a head of zeros has no singular vector to begin with
                nn.init.orthogonal_(layer.weight)
            spectral_norm(layer)


def disturb_embeddings(network: nn.Module, deviation: float) -> None:
    """Gaussian noise on the embeddings of tokens in training mode (instance noise: Sonderby et al. 2017)."""
    embedding = next(layer for layer in network.modules() if isinstance(layer, nn.Embedding))
    embedding.register_forward_hook(partial(_disturbed, deviation=deviation))


def _disturbed(embedding: nn.Module, _: object, embedded: Tensor, deviation: float) -> Tensor:
    return embedded + deviation * torch.randn_like(embedded) if embedding.training else embedded
