"""How many bytes are alive while torch works, counted on tensors that have shapes and no memory.

Under ``without_memory`` every operation gives a tensor of the right shape, type and strides and computes nothing, and
autograd keeps of it what it would keep. ``Live`` adds up the storages that are alive, so an update that is only
rehearsed has the peak of a real one: what its backward pass frees, and when, included.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def without_memory() -> AbstractContextManager[Any]:
    """Tensors made in it have no memory. They pretend to be the CPU's, whatever the run's device is."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes seconds to import

    return cast(AbstractContextManager[Any], FakeTensorMode())


def size(parameters: Iterable[Tensor]) -> int:
    """Bytes of the tensors, those that share memory once."""
    return sum({id(tensor): tensor.numel() * tensor.element_size() for tensor in parameters}.values())


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is made inside it. now: bytes alive; peak: the most that ever were.

    known: modules that were there before: views of their weights are nothing new.
    """

    def __init__(self, *known: nn.Module):
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        tensors = (tensor for module in known for tensor in (*module.parameters(), *module.buffers()))
        self._seen = weakref.WeakSet(tensor.untyped_storage() for tensor in tensors)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return made

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._seen:
            self._seen.add(storage)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, storage.nbytes())

    def _drop(self, count: int) -> None:
        self.now -= count
