"""The game against a discriminator that is a formula (adversarial.reward=closed_form; JSDGAN, Li et al. 2019).

    repeat adversarial.steps times
        t ~ data
        u = P(t) / p(t)                          p(t): the share of the training texts (of t's prompt) that are t
        G up  sum w log P(t) / sum w             w = u log(1 + 1/u), the gradient of JS(p, P) (``game.closed_form``)

There is no network beside the generator and nothing is sampled: nothing to warm up, and no reward.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from mgan.data.rows import Row, Rows
from mgan.game.closed_form import batch_weights, jensen_shannon
from mgan.sampling.uniforms import stream
from mgan.training.measures import Best, ended
from mgan.training.players import GeneratorUpdate, logprobs_of
from mgan.training.world import World
from mgan.types import Batch

REAL, MEASURE = range(60, 62)


class ClosedForm:
    """The descent of the Jensen-Shannon divergence as a phase, an update a step.

    The best generator by held-out score is kept as ``adversarial``, the starting weights among the candidates.
    """

    def __init__(self, world: World):
        self.world, self.settings, self.total = world, world.settings.adversarial, world.settings.adversarial.steps
        self.ledger, self.generator = world.ledger("adversarial"), world.generator
        self.update = GeneratorUpdate(self.generator, self.settings, world.settings.game, world.hardware, self.ledger)
        self.shares = Shares(world.train)
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
        metrics = self._update(self.real.at(self.steps))
        metrics |= {"tokens": float(self.ledger.tokens), "flops": self.ledger.flops}
        self.steps += 1
        if self.steps % self.settings.evaluate_every == 0:
            metrics |= self.best.measure(self.generator)
        name, work = "the game against the formula", f"{self.steps} updates"
        self.done = ended(self.world, metrics, self.steps, self.ledger, name, work)
        return metrics

    def _update(self, texts: Batch) -> dict[str, float]:
        """js: an estimate of JS(p, P) in nats, from the batch. effective_texts: 1 where one text has all the weight."""
        self.generator.eval()
        logprobs = logprobs_of(self.generator, texts, self.settings, self.ledger).double().sum(1)
        log_ratio = logprobs - self.shares.of(texts)
        share = batch_weights(log_ratio)
        measured = {
            "js": jensen_shannon(log_ratio, torch.full_like(log_ratio, 1 / len(texts))),
            "effective_texts": float(1 / (share**2).sum()),
        }
        # The update takes a mean over texts.
        weights = torch.where(texts.mask, len(texts) * share[:, None], 0.0).float()
        return self.update(texts, weights, texts) | measured

    def finish(self) -> None:
        """The best weights are kept already."""

    def state_dict(self) -> dict[str, Any]:
        """The generator and the best weights are the world's."""
        return {
            "optimizer": self.update.optimizer.state_dict(),
            "steps": self.steps,
            "best_score": self.best.score,
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.best.score, self.done = state["steps"], state["best_score"], state["done"]


class Shares:
    """p(x | prompt) of every training text: how many of the texts of its prompt are x."""

    def __init__(self, rows: Rows):
        self.texts, self.prompts = Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
        for text, prompt in map(_key, map(rows.row, range(len(rows)))):
            self.texts[prompt + text] += 1
            self.prompts[prompt] += 1

    def of(self, batch: Batch) -> Tensor:
        """[B] float64: log p of training texts."""
        rows = zip(batch.tokens.tolist(), batch.lengths.tolist(), batch.prompt_length.tolist(), strict=True)
        keys = [_key((tokens[:length], prompt)) for tokens, length, prompt in rows]
        found = [math.log(self.texts[prompt + text] / self.prompts[prompt]) for text, prompt in keys]
        return torch.tensor(found, dtype=torch.float64, device=batch.tokens.device)


def _key(row: Row) -> tuple[tuple[int, ...], tuple[int, ...]]:
    tokens, prompt = row
    return tuple(tokens[prompt:]), tuple(tokens[:prompt])
