"""What every game shares beside its moves: held-out measures of its generator, and the end of its budget."""

from __future__ import annotations

import math

from mgan.config import Adversarial
from mgan.evaluation.heldout import Held, HeldOut
from mgan.fit.compute import Ledger
from mgan.models.protocols import Generator
from mgan.training.world import World
from mgan.types import Batch


def held_out(world: World) -> HeldOut:
    """The validation text, as a thing that generators are measured against."""
    settings, alphabet = world.settings, world.alphabet
    return HeldOut(
        world.train, world.validation, settings.evaluation.samples, alphabet.size, alphabet.eos, alphabet.pad,
        settings.generator.context, world.hardware,
    )  # fmt: skip


def validation(held: Held) -> dict[str, float]:
    """The log's names for a measure on validation text; the lowest score chooses what is kept."""
    return {
        "validation_nll": held.nll, "validation_gap": held.gap, "validation_score": held.score,
        "validation_entropy": held.entropy, "validation_distinct_2": held.distinct_2,
    }  # fmt: skip


def exhausted(settings: Adversarial, steps: int, spent: Ledger) -> bool:
    """Whether one of the three budgets of a game is used up."""
    limits = ((steps, settings.steps), (spent.tokens, settings.max_tokens), (spent.flops, settings.max_flops))
    return any(limit is not None and used >= limit for used, limit in limits)


def ended(world: World, metrics: dict[str, float], steps: int, spent: Ledger, name: str, work: str) -> bool:
    """Whether a game that has no equilibrium is over, by divergence or its budget; ``world.outcomes`` then says how.

    name: the game's, as a sentence begins. work: what it has done, in words.
    """
    if not all(map(math.isfinite, metrics.values())):
        reason, sentence = "divergence", f"{name} diverged: a loss is not a number"
    elif exhausted(world.settings.adversarial, steps, spent):
        reason, sentence = "budget", f"{name} ended with its budget after {work}"
    else:
        return False
    world.outcomes["adversarial"] = {"reason": reason, "sentence": sentence, "rounds": str(steps)}
    return True


class Best:
    """The generator with the best held-out score so far, kept as ``adversarial``; a game's start is the first.

    examples: the newest samples.
    """

    def __init__(self, world: World, seed: int):
        self.world, self.seed, self.held_out = world, seed, held_out(world)
        self.score = math.inf
        self.examples: Batch | None = None

    def measure(self, generator: Generator) -> dict[str, float]:
        temperature = self.world.settings.adversarial.temperature
        held = self.held_out.measure(generator, (temperature,), self.seed)[0]
        self.examples = held.samples
        if held.score < self.score:
            self.score = held.score
            self.world.keep("adversarial", generator)
        return validation(held)
