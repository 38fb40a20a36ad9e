"""Self-play (DGSAN, Montahaei et al. 2021; SPIN, Chen et al. 2024): the generator learns to tell real text from that
of its own former self.

    repeat iterations times, adversarial.steps updates in all
        G_before <- G                                            the opponent stands still
        repeat:   t ~ data,  g ~ G_before(t's prompt)            sample
                  d = beta log G/G_before                        the generator is its own discriminator
                  G down  -log sigmoid(d(t) - d(g))              SPIN; DGSAN: -log sigmoid(d(t)) - log sigmoid(-d(g))

There is no network beside the generator, so nothing to warm up. Every update draws fresh text of the opponent.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgan.fit.optimizers import adamw
from mgan.game.pairs import preference
from mgan.game.selfplay import SELF_PLAY_LOSSES, implied_logits
from mgan.models.logprobs import token_logprobs
from mgan.sampling.uniforms import stream
from mgan.training.lessons import Drawn
from mgan.training.measures import Best, ended
from mgan.training.players import logprobs_of
from mgan.training.world import World
from mgan.types import Batch

REAL, DRAW, MEASURE = range(30, 33)
OPPONENT = "opponent"
TIE = 4
"""Logits that agree in so many decimals are equal: against itself the generator's differ by rounding alone."""


class SelfPlay:
    """The game against oneself as a phase, an update a step.

    The best generator by held-out score is kept as ``adversarial``, the starting weights among the candidates.
    """

    def __init__(self, world: World):
        self.world, self.settings = world, world.settings.adversarial
        self.total, self.beta = self.settings.steps, world.settings.selfplay.beta
        self.loss = SELF_PLAY_LOSSES[world.settings.selfplay.loss]
        self.iterations = world.settings.selfplay.iterations
        self.ledger = world.ledger("adversarial")
        self.generator = world.generator
        self.opponent = world.restored(OPPONENT if OPPONENT in world.kept else "pretrained").requires_grad_(False)
        self.optimizer = adamw(self.generator, world.hardware, self.settings.generator_rate)
        self.real = world.batches(world.train, REAL)
        self.best = Best(world, stream(world.settings.seed, MEASURE))
        self.steps, self.done = 0, False

    @property
    def examples(self) -> Batch | None:
        return self.best.examples

    def begin(self) -> dict[str, float]:
        return self.best.measure(self.generator)

    def step(self) -> dict[str, float]:
        """One update."""
        if self.steps and self._number(self.steps) > self._number(self.steps - 1):
            self._become_the_opponent()
        drawn = self._draw()
        metrics = self._update(drawn) | {
            "length": float(drawn.samples.mask.sum(1).float().mean()),
            "tokens": float(self.ledger.tokens),
            "flops": self.ledger.flops,
        }
        self.steps += 1
        if self.steps % self.settings.evaluate_every == 0:
            metrics |= self.best.measure(self.generator)
        opponents = self._number(self.steps - 1) + 1
        work = f"{self.steps} updates and {opponents} opponents"
        self.done = ended(self.world, metrics, self.steps, self.ledger, "self-play", work)
        return metrics

    def _number(self, step: int) -> int:
        """Of the opponent in that step, from 0."""
        return step * self.iterations // self.total

    def _become_the_opponent(self) -> None:
        self.world.keep(OPPONENT, self.generator)
        self.opponent = self.world.restored(OPPONENT).requires_grad_(False)

    def _draw(self) -> Drawn:
        prompts, group = self.real.prompts(self.steps)
        samples = self.world.write(self.opponent, prompts, stream(self.world.settings.seed, DRAW, self.steps))
        self.ledger.sampled(self.opponent, int(samples.lengths.sum()))
        return Drawn.of(samples, prompts, group)

    def _update(self, drawn: Drawn) -> dict[str, float]:
        """The loss in nats a prompt, and the share of pairs that G told apart right before the update."""
        self.generator.eval()
        self.optimizer.zero_grad()
        real, fake, hardware = drawn.own, drawn.samples, self.world.hardware
        # The opponent first, for all of it: while one player learns the other may be off the device.
        before = [logprobs_of(self.opponent, batch, self.settings, self.ledger) for batch in (real, fake)]
        prompts = torch.arange(len(real), device=real.tokens.device)
        completions = torch.arange(len(fake), device=real.tokens.device).view(len(real), -1)
        total = right = 0.0
        for part in prompts.tensor_split(min(self.settings.micro_batches, len(real))):
            rows = completions[part].flatten()
            with hardware.autocast():
                d_real = self._logits(real.rows(part), before[0][part])
                d_fake = self._logits(fake.rows(rows), before[1][rows]).view(len(part), -1)
            loss = self.loss(d_real, d_fake).sum() / len(real)
            hardware.backward(loss)
            total += float(loss.detach())
            right += preference(*(d.detach().round(decimals=TIE) for d in (d_real, d_fake))) * len(part) / len(real)
        hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return {"g_loss": total, "train_accuracy": right}

    def _logits(self, batch: Batch, before: Tensor) -> Tensor:
        """[B]: the discriminator that the generator is. before: [B, L'], the opponent's log P, L' at least L."""
        logprobs = token_logprobs(self.generator, batch.tokens, batch.mask, self.settings.temperature)
        self.ledger.update(self.generator, batch.tokens.numel())
        return implied_logits(logprobs, before[:, : batch.tokens.shape[1]], self.beta)

    def finish(self) -> None:
        """The best weights are kept already; the opponent's are of no more use."""
        self.world.kept.pop(OPPONENT, None)

    def state_dict(self) -> dict[str, Any]:
        """The generator, the opponent and the best weights are the world's."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "best_score": self.best.score,
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.best.score, self.done = state["steps"], state["best_score"], state["done"]
