"""The update of a generator that sets goals (``SetsGoals``): its two parts learn from the same texts, each its own.

    f_t, g_t = D's features and the manager's goals, of the texts g
    manager   up  Q cos(f_{t+c} - f_t, g_t)              Q: the advantage of the prefix, by D's verdict
    worker    up  sum_t (r_t - what the others got at t) log P(g_t | g_<t)     r_t: how far f went where goals pointed
    leak          the generator's copy of D's features becomes D's as it is now

(Guo et al. 2018; ``game/goals.py``.) D's verdict reaches the worker through the goals alone. What the others got does
not depend on the row's own tokens: it takes noise from the worker's gradient, and on average nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.compute import Ledger
from mgan.fit.optimizers import adamw
from mgan.game.goals import intrinsic_rewards, manager_loss
from mgan.game.signals import others_mean
from mgan.models.protocols import SetsGoals
from mgan.training.players import GeneratorUpdate
from mgan.training.world import World
from mgan.types import Batch


class GoalUpdate:
    """As ``GeneratorUpdate``; its weights are the manager's, and the worker is paid by the goals."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger):
        assert isinstance(world.generator, SetsGoals)
        self.world, self.settings, self.ledger, self.generator = world, settings, ledger, world.generator
        self.worker = GeneratorUpdate(world.generator, settings, world.settings.game, world.hardware, ledger)
        self.optimizer = adamw(self.generator.manager, world.hardware, settings.generator_rate)

    def __call__(
        self, samples: Batch, weights: Tensor, real: Batch, reference_logprobs: Tensor | None = None
    ) -> dict[str, float]:
        """samples, real: batches; weights, reference_logprobs: [B, L]. Returns the losses in nats a text.

        manager_loss: minus the weighted cosines of a text. goal_reward: what the worker is paid a token.
        """
        paid = self._paid(samples)
        others = others_mean(paid, samples.mask, samples.prompt_length, torch.zeros_like(samples.prompt_length))
        metrics = self.worker(samples, torch.where(samples.mask, paid - others, 0.0), real, reference_logprobs)
        metrics |= {"manager_loss": self._manage(samples, weights), "goal_reward": float(paid[samples.mask].mean())}
        self.generator.leak(self.world.discriminator)
        return metrics

    @torch.no_grad()
    def _paid(self, samples: Batch) -> Tensor:
        """[B, L]: the worker's rewards, by the goals that it wrote to."""
        paid = torch.zeros(samples.mask.shape, device=samples.mask.device)
        for rows, part in self._parts(samples):
            found = intrinsic_rewards(*self.generator.guidance(part.tokens), part.mask, self.generator.horizon)
            paid[rows, : found.shape[1]] = found
            self.ledger.flops += self.generator.flops_per_guidance * part.tokens.numel()
        return paid

    def _manage(self, samples: Batch, worth: Tensor) -> float:
        """The manager's step; its work is counted with the worker's."""
        generator, hardware, total = self.generator, self.world.hardware, 0.0
        self.optimizer.zero_grad()
        for rows, part in self._parts(samples):
            known = worth[rows, : part.tokens.shape[1]]
            loss = manager_loss(*generator.guidance(part.tokens), known, part.mask, generator.horizon) / len(samples)
            hardware.backward(loss)
            total += float(loss.detach())
        hardware.clip(generator.manager.parameters(), self.settings.clip)
        self.optimizer.step()
        return total

    def _parts(self, samples: Batch) -> Iterator[tuple[Tensor, Batch]]:
        index = torch.arange(len(samples), device=samples.tokens.device)
        for rows in index.tensor_split(min(self.settings.micro_batches, len(samples))):
            yield rows, samples.rows(rows)

    def state_dict(self) -> dict[str, Any]:
        return self.worker.state_dict() | {"manager_optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.worker.load_state_dict(state)
        self.optimizer.load_state_dict(state["manager_optimizer"])


def generator_update(world: World, settings: Adversarial, ledger: Ledger) -> GeneratorUpdate | GoalUpdate:
    """How the generator learns from weighted texts."""
    if isinstance(world.generator, SetsGoals):
        return GoalUpdate(world, settings, ledger)
    return GeneratorUpdate(world.generator, settings, world.settings.game, world.hardware, ledger)
