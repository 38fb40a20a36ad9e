"""Moves of a generator that evolves (adversarial.offspring; CatGAN: Liu, Wang, Liang 2020).

    for each of the offspring:   G' = G,  y ~ G' relaxed at its temperature
                                 G' down  its objective, through D and y             variation
                                 F = -E (d(g') - E d(t))^2 + w NLL(g'),  g' ~ G'     evaluation
    G = the fittest G'                                                               selection

The discriminator's moves, and what a variation is, are those of ``relaxed``. Offspring differ in the objective, and in
the temperature: of this round, of the one after it and of the one before it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.classifier import verdicts
from mgan.fit.compute import Ledger
from mgan.game.offspring import OBJECTIVES, quality
from mgan.models.per_label import label_of
from mgan.models.protocols import Discriminator, Generator
from mgan.sampling.uniforms import stream
from mgan.training.lessons import Drawn, Lessons
from mgan.training.relaxed import Relaxed, paired
from mgan.training.signal import Judged, Update
from mgan.training.world import World
from mgan.types import Batch

SHIFTS = (0, 1, -1)
"""Rounds later whose temperature an offspring is relaxed at."""


class Evolution:
    """Moves through relaxed texts, of which the generator's is the best of several."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator):
        self.world, self.settings, self.ledger, self.lessons = world, settings, ledger, lessons
        self.relaxed = Relaxed(world, settings, ledger, lessons, reference)

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        """Without a graph: every one of the offspring learns from texts of its own."""
        return self.relaxed.draw(prompts, group, seed, round, for_generator=False)

    def update(self, discriminator: Discriminator) -> Update:
        return self.relaxed.update(discriminator)

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        judged = self.relaxed.judge(drawn, real, seed, round)
        return replace(judged, learn=lambda: self._evolve(drawn, real, seed, round))

    def _evolve(self, drawn: Drawn, real: Batch, seed: int, round: int) -> dict[str, float]:
        """fitness: of the fittest, and quality and diversity it consists of; survivor: its number."""
        parent, best = self._genes(), dict[str, float]()
        fittest = parent
        shifts = [shift for shift in SHIFTS if 0 <= round + shift < self.world.settings.adversarial.steps]
        mutations = islice(product(shifts, OBJECTIVES.values()), self.settings.offspring)
        for number, (shift, objective) in enumerate(mutations):
            self._become(parent)
            prompts = drawn.own.rows(drawn.group)
            written = self.relaxed.draw(prompts, drawn.group, stream(seed, 0), round + shift, for_generator=True)
            self.ledger.sampled(self.world.generator, int(written.samples.lengths.sum()))
            found = self.relaxed.learn(written, real, objective) | self._fitness(drawn, real, stream(seed, 1))
            if not best or found["fitness"] > best["fitness"]:
                fittest, best = self._genes(), found | {"survivor": float(number)}
        self._become(fittest)
        return best

    @torch.no_grad()
    def _fitness(self, drawn: Drawn, real: Batch, seed: int) -> dict[str, float]:
        """Of the generator as it stands, on fresh hard texts: the same random numbers for all offspring."""
        world, prompts = self.world, drawn.own.rows(drawn.group)
        texts = world.write(world.generator, prompts, seed)
        self.ledger.sampled(world.generator, int(texts.lengths.sum()))
        known = paired(self.lessons.real(drawn, real), len(texts))
        for batch in (texts, known):
            self.ledger.judged(world.discriminator, batch.tokens.numel(), len(batch))
        labels = world.alphabet.labels
        label = label_of(texts.tokens, labels) if labels else torch.zeros_like(drawn.group)
        assert texts.logprobs is not None
        found = float(quality(verdicts(world.discriminator, texts), verdicts(world.discriminator, known), label))
        diversity = -float(texts.logprobs.sum() / texts.mask.sum())
        fitness = found + self.settings.diversity * diversity
        return {"fitness": fitness, "quality": found, "diversity": diversity}

    def _genes(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        weights = {name: tensor.detach().clone() for name, tensor in self.world.generator.state_dict().items()}
        return weights, deepcopy(self.relaxed.optimizer.state_dict())

    def _become(self, genes: tuple[dict[str, Tensor], dict[str, Any]]) -> None:
        weights, moments = genes
        self.world.generator.load_state_dict(weights)
        self.relaxed.optimizer.load_state_dict(deepcopy(moments))

    def state_dict(self) -> dict[str, Any]:
        return self.relaxed.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.relaxed.load_state_dict(state)
