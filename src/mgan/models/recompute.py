"""Activations computed again for the gradient rather than kept: memory for time (Chen et al. 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mgan.types import UserError


class Recomputed:
    """Stands in the place of a layer's ``forward``. Where no gradient is wanted, nothing is changed, nor any cache.

    transformers' own switch acts in training mode only; a policy gradient is taken in eval mode.
    """

    def __init__(self, layer: nn.Module):
        self.layer = layer

    def __call__(self, *given: Any, **named: Any) -> Any:
        forward = partial(type(self.layer).forward, self.layer)
        if not torch.is_grad_enabled():
            return forward(*given, **named)
        return checkpoint(forward, *given, use_reentrant=False, **named)


def recompute(model: Any) -> None:
    """Keep only what goes into each of the layers of a transformers model. Raises UserError if it names none."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise UserError(
            f"memory.checkpointing: a {type(model).__name__} does not say which layers it has: set "
            "memory.checkpointing=false"
        )
    for layer in layers:
        layer.forward = Recomputed(layer)
