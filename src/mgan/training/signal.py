"""How the verdict becomes the generator's gradient: what both players' moves are, chosen by ``game.signal``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mgan.models.protocols import Discriminator
from mgan.training.lessons import Drawn
from mgan.types import Batch


@dataclass(frozen=True)
class Judged:
    """verdicts: [B], the discriminator's logit of each whole text; None where none plays. metrics: to watch beside.

    learn: the generator's update on what was judged; returns its losses.
    """

    verdicts: Tensor | None
    metrics: dict[str, float]
    learn: Callable[[], dict[str, float]]


class Update(Protocol):
    """One step of a discriminator on real and generated texts."""

    optimizer: torch.optim.Optimizer

    def __call__(self, real: Batch, fake: Any, /) -> dict[str, float]: ...


class Signal(Protocol):
    """What differs between games of policy gradients (``policy``) and of relaxed texts (``relaxed``)."""

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        """Fresh completions. May be called in another thread: it changes nothing."""
        ...

    def update(self, discriminator: Discriminator) -> Update:
        """A new optimizer for this discriminator, which learns from ``Drawn.fake``."""
        ...

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        """What D says of samples that the generator is to learn from.

        real: as many texts, for a loss that sets the two against each other. seed: of rollouts or noise.
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> None: ...
