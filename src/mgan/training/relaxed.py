"""Moves through relaxed texts (game.signal=gumbel): the generator descends what the discriminator makes of them.

    y = softmax((o + g) / tau)     what D reads in place of a token, tau annealed over the game (sampling/soft.py)
    D down  loss(D(t), D(y))       nothing flows into G
    G down  loss(D(y), D(t))       by the chain rule through D, y and the logits o; nothing flows into D

There are no rewards and no baseline: the gradient is that of the relaxed game, biased for the one with hard texts
(docs/estimators.md). What is measured is measured on the hard texts. Both passes are in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from mgan.config import Adversarial, Game
from mgan.fit.classifier import balanced_accuracy, verdicts
from mgan.fit.compute import Ledger
from mgan.fit.optimizers import adamw
from mgan.game.losses import LOSSES, PAYOFFS
from mgan.game.pairs import preference
from mgan.game.schedules import SCHEDULES, temperature
from mgan.game.values import relativistic
from mgan.models.protocols import Discriminator, Generator, Represents, SoftDiscriminator
from mgan.sampling.soft import SoftBatch, soft_sample
from mgan.training import gumbel
from mgan.training.lessons import Drawn, Lessons
from mgan.training.players import follow_likelihood, logprobs_of
from mgan.training.signal import Judged
from mgan.training.world import World
from mgan.types import Batch


class Relaxed:
    """The moves of a generator that D's own gradient reaches."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.lessons, self.reference = lessons, reference
        self.game, self.generator = world.settings.game, world.generator
        self.optimizer = adamw(self.generator, world.hardware, settings.generator_rate)

    def tau(self, round: int) -> float:
        """Of the run's own schedule, which a control follows too."""
        game, rounds = self.game, max(2, self.world.settings.adversarial.steps)
        scale = temperature(SCHEDULES[game.tau_schedule], round, rounds, game.tau_first / game.tau)
        return game.tau_first * scale

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        """Texts and their relaxations; with a graph if the generator is to learn from them."""
        alphabet = self.world.alphabet
        with torch.set_grad_enabled(for_generator):
            soft = soft_sample(
                self.generator,
                prompts,
                max_length=self.world.settings.generator.context,
                eos=alphabet.eos,
                pad=alphabet.pad,
                temperature=self.tau(round),
                seed=seed,
            )
        return Drawn.of(soft.batch, prompts, group, soft)

    def update(self, discriminator: Discriminator) -> SoftUpdate:
        return SoftUpdate(cast(SoftDiscriminator, discriminator), self.game, self.settings, self.world, self.ledger)

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        """D's verdict on the hard texts, for the statistics alone."""
        samples, discriminator = drawn.samples, self.world.discriminator
        self.ledger.judged(discriminator, samples.tokens.numel(), len(samples))
        anchor = logprobs_of(self.reference, samples, self.settings, self.ledger)
        assert samples.logprobs is not None
        metrics = {"kl": float((samples.logprobs - anchor).sum(1).mean()), "tau": self.tau(round)}
        return Judged(verdicts(discriminator, samples), metrics, lambda: self.learn(drawn, real))

    def learn(self, drawn: Drawn, real: Batch, objective: gumbel.Loss | None = None) -> dict[str, float]:
        """The generator's update: through D, and by the likelihood of real text. objective: another than the game's."""
        written, discriminator, hardware = drawn.soft, self.world.discriminator, self.world.hardware
        assert written is not None
        texts = paired(self.lessons.real(drawn, real), len(written.batch))
        discriminator.eval()
        self.optimizer.zero_grad()
        if self.game.value == "feature_matching":
            found = gumbel.match_features(cast(Represents, discriminator), written, texts, self.game.straight_through)
        else:
            judge, loss = cast(SoftDiscriminator, discriminator), objective or loss_of_g(self.game)
            found = gumbel.teach_generator(judge, written, texts, self.game.straight_through, loss)
        # D's gradient to its input costs as much as its forward pass, and G's two as much as twice its own.
        for batch, passes in ((texts, 1), (written.batch, 2)):
            self.ledger.judged(discriminator, passes * batch.tokens.numel(), passes * len(batch))
        self.ledger.forward(self.generator, 2 * written.batch.tokens.numel())
        losses = {"g_loss": found}
        if self.game.mle:
            losses["mle_loss"] = follow_likelihood(self.generator, real, self.game.mle, 1, hardware, self.ledger)
        hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return losses

    def state_dict(self) -> dict[str, Any]:
        return {"generator_optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["generator_optimizer"])


class SoftUpdate:
    """One step of a discriminator on real texts and the relaxations of generated ones, whole texts alone."""

    def __init__(
        self, discriminator: SoftDiscriminator, game: Game, settings: Adversarial, world: World, ledger: Ledger
    ):
        self.discriminator, self.game, self.clip = discriminator, game, settings.clip
        self.hardware, self.ledger = world.hardware, ledger
        self.optimizer = adamw(discriminator, world.hardware, settings.discriminator_rate, weight_decay=0.01)

    def __call__(self, real: Batch, fake: SoftBatch) -> dict[str, float]:
        """The loss in nats a text, and how well D told real from *relaxed* texts before the update."""
        self.discriminator.train()
        self.optimizer.zero_grad()
        texts, loss, judged = paired(real, len(fake.batch)), loss_of_d(self.game), list[tuple[Tensor, Tensor]]()

        def watched(mine: Tensor, other: Tensor) -> Tensor:
            judged.append((mine.detach().mean(1), other.detach().mean(1)))
            return loss(mine, other)

        total = gumbel.teach_discriminator(self.discriminator, fake, texts, watched)
        for batch in (texts, fake.batch):
            self.ledger.taught(self.discriminator, batch.tokens.numel(), len(batch))
        self.hardware.clip(self.discriminator.parameters(), self.clip)
        self.optimizer.step()
        d_real, d_fake = (torch.cat(logits) for logits in zip(*judged, strict=True))
        right = preference(d_real, d_fake[:, None]) if in_pairs(self.game) else balanced_accuracy(d_real, d_fake)
        return {"d_loss": total, "train_accuracy": right}


def in_pairs(game: Game) -> bool:
    return game.loss == "bradley_terry"


def loss_of_d(game: Game) -> gumbel.Loss:
    if in_pairs(game):
        return relativistic
    return lambda real, fake: LOSSES[game.loss](real, torch.ones_like(real), fake, torch.ones_like(fake))


def loss_of_g(game: Game) -> gumbel.Loss:
    """What G descends where D reads its texts: minus what it would be paid for them, or the mirror of D's pairs."""
    if in_pairs(game):
        return relativistic
    payoff: Callable[[Tensor], Tensor] = PAYOFFS[game.value]
    return lambda fake, real: -payoff(fake)


def paired(real: Batch, texts: int) -> Batch:
    """As many real texts as there are generated ones: each as often as its prompt was written after."""
    index = torch.arange(texts, device=real.tokens.device)
    return real if len(real) == texts else real.rows(index // (texts // len(real)))
