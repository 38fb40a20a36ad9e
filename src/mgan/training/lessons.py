"""What the discriminator learns in a game, and how well it tells real from generated text it has not met.

A discriminator that compares texts (``game.loss`` one of ``PAIRS``) meets the real texts of the samples' own prompts.
Its logits have no level, only an order within a prompt: it is asked which of two texts of one prompt is the real one.
After a loss ``WITHOUT_LEVEL`` the order is one of all texts, and any real one is held against any generated one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.classes import ClassUpdate
from mgan.fit.classifier import DiscriminatorUpdate, balanced_accuracy, verdicts
from mgan.fit.compute import Ledger
from mgan.fit.pairs import PairUpdate
from mgan.fit.ranking import RankUpdate
from mgan.fit.smoothness import PENALTIES, Penalty
from mgan.game.losses import LOSSES, Loss, binary
from mgan.game.pairs import PAIR_LOSSES, preference
from mgan.models.classes import ClassDiscriminator
from mgan.models.protocols import Discriminator, SoftDiscriminator
from mgan.models.ranking import Ranker
from mgan.sampling.soft import SoftBatch
from mgan.sections.values import BOUNDED, PAIRS, WITHOUT_LEVEL
from mgan.training.world import World
from mgan.types import Batch


@dataclass(frozen=True)
class Drawn:
    """samples: [B, L], N completions of each prompt, one after the other. group: [B], which row has which prompt.

    own: [P, L'], the real texts that the prompts are the beginnings of. soft: the samples' relaxations, if D reads
    those.
    """

    samples: Batch
    group: Tensor
    own: Batch
    soft: SoftBatch | None = None

    @classmethod
    def of(cls, samples: Batch, prompts: Batch, group: Tensor, soft: SoftBatch | None = None) -> Drawn:
        """prompts: [B, L], whole real texts, as ``TextStream.prompts`` gives them."""
        completions = len(group) // (int(group[-1]) + 1)
        return cls(samples, group, prompts.rows(torch.arange(0, len(group), completions, device=group.device)), soft)

    @property
    def fake(self) -> Batch | SoftBatch:
        """What D learns from in place of real texts."""
        return self.samples if self.soft is None else self.soft


class Lessons:
    """settings: of the loop that the lessons are part of."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.game, self.loss = world.settings.game, world.settings.game.loss
        self.compares = self.loss in PAIRS

    def update(self, discriminator: Discriminator) -> DiscriminatorUpdate | PairUpdate | ClassUpdate | RankUpdate:
        """A new optimizer for this discriminator."""
        settings, hardware = self.settings, self.world.hardware
        if self.loss == "classes":
            return ClassUpdate(
                cast(ClassDiscriminator, discriminator),
                learning_rate=settings.discriminator_rate,
                clip=settings.clip,
                hardware=hardware,
                ledger=self.ledger,
                micro_batches=settings.micro_batches,
            )
        if self.loss == "rank":
            return RankUpdate(
                cast(Ranker, discriminator),
                learning_rate=settings.discriminator_rate,
                clip=settings.clip,
                hardware=hardware,
                ledger=self.ledger,
            )
        if self.compares:
            return PairUpdate(
                discriminator,
                PAIR_LOSSES[self.loss],
                learning_rate=settings.discriminator_rate,
                clip=settings.clip,
                hardware=hardware,
                ledger=self.ledger,
                micro_batches=settings.micro_batches,
            )
        return DiscriminatorUpdate(
            discriminator,
            learning_rate=settings.discriminator_rate,
            clip=settings.clip,
            # Of its running means the paper's loss has the last: a sum over prefixes would weigh the first words most.
            signal="sequence" if self.world.settings.discriminator.architecture == BOUNDED else self.game.signal,
            hardware=hardware,
            ledger=self.ledger,
            micro_batches=settings.micro_batches,
            loss=self._loss(),
            penalty=self._penalty(),
        )

    def _loss(self) -> Loss:
        smoothing = self.game.label_smoothing
        return partial(binary, smoothing=smoothing) if smoothing else LOSSES[self.loss]

    def _penalty(self) -> Penalty | None:
        if self.game.penalty == "none":
            return None
        unweighted, weight = PENALTIES[self.game.penalty], self.game.penalty_weight

        def weighted(discriminator: SoftDiscriminator, real: Batch, fake: Batch) -> Tensor:
            return weight * unweighted(discriminator, real, fake)

        return weighted

    def real(self, drawn: Drawn, other: Batch) -> Batch:
        """What is set against the samples: the texts of their own prompts, or ``other`` ones, as many as samples."""
        return drawn.own if self.compares else other

    def accuracy(self, discriminator: Discriminator, held: Batch, fake: Tensor, seed: int) -> tuple[Tensor, float]:
        """The logits of the texts ``held`` out, and how well D tells real from generated text; 0.5 is guessing.

        fake: [B], logits of samples it was not trained on. A discriminator that compares is asked about held-out texts
        and fresh completions of *their* prompts, one each.
        """
        real = verdicts(discriminator, held)
        if not self.compares:
            return real, self.told_apart(real, fake)
        some = held.rows(slice(self.settings.prompts_per_step))
        written = self.world.write(self.world.generator, some, seed)
        return real, preference(real[: len(some)], verdicts(discriminator, written)[:, None])

    def told_apart(self, real: Tensor, fake: Tensor) -> float:
        """The same of given logits, [B] each, row by row of the same prompts."""
        if self.loss in WITHOUT_LEVEL:
            return preference(real, fake.expand(len(real), -1))
        return preference(real, fake[:, None]) if self.compares else balanced_accuracy(real, fake)
