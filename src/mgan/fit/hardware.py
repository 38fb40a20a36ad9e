"""Where and in what arithmetic the networks run: accelerate behind four verbs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from mgan.types import UserError


class Hardware:
    """Device and precision of one process. ``auto`` takes the first accelerator there is, else the CPU."""

    def __init__(self, device: str = "cpu", precision: str = "fp32"):
        from accelerate import Accelerator  # takes seconds to import
        from accelerate.state import AcceleratorState

        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available.get(device, True):
            raise UserError(f"device={device} is not available here; use device=auto or device=cpu")
        # accelerate keeps one state a process; a second run may ask for another precision or device.
        AcceleratorState._reset_state(reset_partial_state=True)
        self._accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")

    @property
    def device(self) -> torch.device:
        return self._accelerator.device

    def autocast(self) -> AbstractContextManager[None]:
        return self._accelerator.autocast()

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[nn.Parameter], largest: float) -> float:
        """Scale the gradient to a norm of at most ``largest``; returns the norm it had."""
        return float(self._accelerator.clip_grad_norm_(parameters, largest))
