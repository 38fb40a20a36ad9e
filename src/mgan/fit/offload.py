"""One player on the device at a time: the others, and what their optimizers remember, wait in the CPU's memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, Self
from weakref import WeakSet

import torch
from torch import Tensor, nn

CPU = torch.device("cpu")


class Stage:
    """A pretrained player enters when it is next called, and the one before it leaves.

    Between a player's forward pass and the end of its update nobody else is called, so nothing leaves too early.
    Copies of a player are admitted with it; weights that they share stay where they are.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.present: Any = None
        self.optimizers: WeakSet[torch.optim.Optimizer] = WeakSet()

    def admit(self, player: Any) -> None:
        """From now on the player is on the device only while it is its turn; one without pretrained parts always is."""
        for model in _models(player):
            # An encoder-decoder's two parts are called one by one.
            for entrance in {model, model.base_model, *model.base_model.children()}:
                entrance.register_forward_pre_hook(partial(self._enter, player))
        self.rest(player)

    def rest(self, player: Any) -> None:
        """Send a player that was admitted off the device until its next turn."""
        if player is not self.present and any(_models(player)):
            shared = [] if self.present is None else list(self.present.parameters())
            self._move(player, CPU, shared)

    def accompany(self, optimizer: torch.optim.Optimizer) -> None:
        """What the optimizer remembers of a weight goes where the weight goes."""
        self.optimizers.add(optimizer)

    def _enter(self, player: Any, *_: Any) -> None:
        if player is self.present:
            return
        if self.present is not None:
            self._move(self.present, CPU, list(player.parameters()))
        self._move(player, self.device, ())
        self.present = player

    @torch.no_grad()
    def _move(self, player: Any, device: torch.device, staying: Collection[nn.Parameter]) -> None:
        ids = {id(parameter) for parameter in staying}
        for parameter in player.parameters():
            if id(parameter) in ids:
                continue
            parameter.data = parameter.data.to(device)
            if parameter.grad is not None:
                parameter.grad = parameter.grad.to(device)
            for optimizer in self.optimizers:
                memory = optimizer.state.get(parameter, {})
                memory.update({key: value.to(device) for key, value in memory.items() if isinstance(value, Tensor)})
        for buffer in player.buffers():
            buffer.data = buffer.data.to(device)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self


def _models(player: nn.Module) -> Iterator[Any]:
    """The outermost transformers models of a player."""
    from transformers import PreTrainedModel

    inside: set[nn.Module] = set()
    for module in player.modules():
        if isinstance(module, PreTrainedModel) and module not in inside:
            inside |= set(module.modules())
            yield module
