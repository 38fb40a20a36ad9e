"""Cooperative training (CoT; Lu et al. 2019): a mediator learns the mixture of real and generated text, and the
generator follows the mediator.

    repeat adversarial.steps times
        mediator.steps times:              t ~ data,  g ~ G
                                           M up  log M(t) + log M(g)                              M -> (p + P)/2
        adversarial.generator_steps times: g ~ G
                                           G down  sum_i sum_v P(v|g_<i) (log P(v|g_<i) - log M(v|g_<i))

All next tokens v are summed over: there is no reward, and no noise of the one that was drawn. The loss is KL(P || M) of
whole texts, whose gradient at the optimal M is that of 2 JS(p, P); as in the paper's program the prefixes count as
given, so what a token does to the KL of the tokens after it is left out.
"""

from __future__ import annotations

from typing import Any

from mgan.fit.classifier import pieces
from mgan.fit.likelihood import nll
from mgan.fit.optimizers import adamw
from mgan.models.logprobs import next_token_kl
from mgan.sampling.uniforms import stream
from mgan.training.measures import Best, ended
from mgan.training.world import World
from mgan.types import Batch

REAL, PROMPTS, DRAW, MEASURE = range(50, 54)


class Cooperative:
    """Generator and mediator as a phase, a round a step. The mediator begins as the pre-trained generator.

    The best generator by held-out score is kept as ``adversarial``, the starting weights among the candidates.
    """

    def __init__(self, world: World):
        self.world, self.settings, self.total = world, world.settings.adversarial, world.settings.adversarial.steps
        self.ledger, self.generator = world.ledger("adversarial"), world.generator
        self.mediator = world.restored("pretrained")
        self.update_generator = adamw(self.generator, world.hardware, self.settings.generator_rate)
        self.update_mediator = adamw(self.mediator, world.hardware, self.settings.discriminator_rate)
        self.real, self.prompts = world.batches(world.train, REAL), world.batches(world.train, PROMPTS)
        self.best = Best(world, stream(world.settings.seed, MEASURE))
        self.steps = self.draws = self.moves = 0
        self.done = False

    @property
    def examples(self) -> Batch | None:
        return self.best.examples

    def begin(self) -> dict[str, float]:
        return self.best.measure(self.generator)

    def step(self) -> dict[str, float]:
        """One round."""
        metrics: dict[str, float] = {}
        for _ in range(self.world.settings.mediator.steps):
            metrics |= self._mediator_moves(self._draw())
        for _ in range(self.settings.generator_steps):
            metrics |= self._generator_moves(self._draw())
        self.steps += 1
        if self.steps % self.settings.evaluate_every == 0:
            metrics |= self.best.measure(self.generator)
        work = f"{self.steps} rounds"
        self.done = ended(self.world, metrics, self.steps, self.ledger, "cooperative training", work)
        return metrics

    def _draw(self) -> Batch:
        """Fresh completions of fresh prompts."""
        prompts, _ = self.prompts.prompts(self.draws)
        samples = self.world.write(self.generator, prompts, stream(self.world.settings.seed, DRAW, self.draws))
        self.draws += 1
        self.ledger.sampled(self.generator, int(samples.lengths.sum()))
        return samples

    def _mediator_moves(self, samples: Batch) -> dict[str, float]:
        """The loss in nats a text, of as many real as generated ones. With dropout, as all that learns likelihood."""
        real = self.real.at(self.moves)
        self.moves += 1
        texts = len(real) + len(samples)
        self.mediator.train()
        self.update_mediator.zero_grad()
        total = 0.0
        for batch in (real, samples):
            for part in pieces(batch, self.settings.micro_batches):
                with self.world.hardware.autocast():
                    loss = nll(self.mediator, part) / texts
                self.world.hardware.backward(loss)
                self.ledger.update(self.mediator, part.tokens.numel())
                total += float(loss.detach())
        self.world.hardware.clip(self.mediator.parameters(), self.settings.clip)
        self.update_mediator.step()
        self.mediator.eval()
        return {"mediator_loss": total}

    def _generator_moves(self, samples: Batch) -> dict[str, float]:
        """The loss in nats a text, an estimate of KL(P || M). In eval mode: P is then what was drawn from."""
        self.generator.eval()
        self.update_generator.zero_grad()
        total = 0.0
        for part in pieces(samples, self.settings.micro_batches):
            with self.world.hardware.autocast():
                loss = next_token_kl(
                    self.generator, self.mediator, part.tokens, part.mask, self.settings.temperature
                ) / len(samples)
            self.world.hardware.backward(loss)
            self.ledger.forward(self.mediator, part.tokens.numel())
            self.ledger.update(self.generator, part.tokens.numel())
            total += float(loss.detach())
        self.world.hardware.clip(self.generator.parameters(), self.settings.clip)
        self.update_generator.step()
        return {
            "g_loss": total,
            "length": float(samples.mask.sum(1).float().mean()),
            "tokens": float(self.ledger.tokens),
            "flops": self.ledger.flops,
        }

    def finish(self) -> None:
        """The best weights are kept already; the mediator is of no more use."""

    def state_dict(self) -> dict[str, Any]:
        """The generator and the best weights are the world's."""
        return {
            "mediator": self.mediator.state_dict(),
            "generator_optimizer": self.update_generator.state_dict(),
            "mediator_optimizer": self.update_mediator.state_dict(),
            "counters": [self.steps, self.draws, self.moves],
            "best_score": self.best.score,
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mediator.load_state_dict(state["mediator"])
        self.update_generator.load_state_dict(state["generator_optimizer"])
        self.update_mediator.load_state_dict(state["mediator_optimizer"])
        self.steps, self.draws, self.moves = state["counters"]
        self.best.score, self.done = state["best_score"], state["done"]
