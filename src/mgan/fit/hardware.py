"""Where and in what arithmetic the networks run: accelerate behind four verbs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import Tensor, nn

from mgan.config import Memory
from mgan.fit.offload import Stage
from mgan.models.protocols import Player
from mgan.types import UserError

Some = TypeVar("Some", bound=Player)


class Hardware:
    """Device and precision of one process, and how it saves memory. ``auto`` takes the first accelerator there is, else
    the CPU.

    stage: where pretrained players take turns, if they do: with memory.offload, on a device that is not the CPU itself.
    """

    def __init__(self, device: str = "cpu", precision: str = "fp32", memory: Memory = Memory()):
        from accelerate import Accelerator  # takes seconds to import
        from accelerate.state import AcceleratorState

        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available.get(device, True):
            raise UserError(f"device={device} is not available here; use device=auto or device=cpu")
        # accelerate keeps one state a process; a second run may ask for another precision or device.
        AcceleratorState._reset_state(reset_partial_state=True)
        self._accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")
        self.memory = memory
        self.stage = Stage(self.device) if memory.offload and self.device.type != "cpu" else None

    @property
    def device(self) -> torch.device:
        return self._accelerator.device

    def place(self, player: Some) -> Some:
        """On the device, or where it waits for its turn there."""
        player.to(self.device)
        if self.stage is not None:
            self.stage.admit(player)
        return player

    def at_rest(self, player: Some) -> Some:
        """A copy of a player that was placed, where that waits."""
        if self.stage is not None:
            self.stage.rest(player)
        return player

    def autocast(self) -> AbstractContextManager[None]:
        return self._accelerator.autocast()

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[nn.Parameter], largest: float) -> float:
        """Scale the gradient to a norm of at most ``largest``; returns the norm it had."""
        return float(self._accelerator.clip_grad_norm_(parameters, largest))
