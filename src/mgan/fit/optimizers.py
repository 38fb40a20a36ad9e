"""The optimizer of every player: AdamW (Loshchilov and Hutter 2019), its moments in 32 bits or in 8."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch

from mgan.fit.hardware import Hardware
from mgan.models.protocols import Player
from mgan.types import UserError


def adamw(player: Player, hardware: Hardware, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """Of what learns of the player; without weight decay it is Adam. Raises UserError where it cannot be had."""
    parameters = [parameter for parameter in player.parameters() if parameter.requires_grad]
    options: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    if hardware.memory.optimizer == "adamw":
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(parameters, **options, fused=True)
    else:
        optimizer = _bitsandbytes(hardware).AdamW8bit(parameters, **options)
    if hardware.stage is not None:
        hardware.stage.accompany(optimizer)
    return optimizer


def must_be_had(hardware: Hardware) -> None:
    """Raises UserError if ``memory.optimizer`` cannot be had here."""
    if hardware.memory.optimizer == "adamw_8bit":
        _bitsandbytes(hardware)


class _HasAdamW8bit(Protocol):
    def AdamW8bit(self, parameters: Any, **options: Any) -> torch.optim.Optimizer: ...  # noqa: N802


def _bitsandbytes(hardware: Hardware) -> _HasAdamW8bit:
    """Moments in blocks of 8 bits (Dettmers et al. 2022)."""
    if hardware.device.type != "cuda":
        raise UserError(
            f"memory.optimizer=adamw_8bit works on a CUDA device, and this is {hardware.device.type}: set "
            "memory.optimizer=adamw"
        )
    try:
        import bitsandbytes
    except ImportError:
        raise UserError(
            "memory.optimizer=adamw_8bit needs the package bitsandbytes: pip install 'mgan[memory]'"
        ) from None
    return cast(_HasAdamW8bit, bitsandbytes.optim)
