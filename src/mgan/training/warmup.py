"""The discriminator's warm-up: alone, against a generator that stands still."""

from __future__ import annotations

from typing import Any

from mgan.fit.classifier import verdicts
from mgan.models.build import begin_with
from mgan.models.judges import WHOLE
from mgan.sampling.uniforms import stream
from mgan.training.adversarial import ASKED, HELD, REAL
from mgan.training.lessons import Drawn, Lessons
from mgan.training.world import World
from mgan.types import Batch

HIGH_RATE = 2e-4
"""Learning rate that is worth a remark where a pretrained network is trained whole."""


class Warmup:
    """The discriminator alone, against the pre-trained generator; as long as the configuration says."""

    examples: Batch | None = None

    def __init__(self, world: World):
        self.world, self.total = world, world.settings.warmup.steps
        self.steps, self.done = 0, False
        self.lessons = Lessons(world, world.settings.adversarial, world.ledger("warmup"))
        self.update = self.lessons.update(world.discriminator)
        self.real, self.held = (
            world.batches(world.train, REAL + 10),
            world.batches(world.validation, HELD + 10),
        )

    def begin(self) -> dict[str, float]:
        world = self.world
        world.discriminator.load_state_dict(world.new_discriminator().state_dict())
        section = world.settings.discriminator
        wanted = section.from_generator and section.pretrained is None
        if wanted and not begin_with(world.restored("pretrained"), world.discriminator):
            world.notes.append(
                "discriminator.from_generator=true had nothing to copy: the two players share no shapes, "
                "so the discriminator starts from scratch"
            )
        rate = world.settings.adversarial.discriminator_rate
        if section.architecture in WHOLE and not section.lora.rank and rate > HIGH_RATE:
            world.notes.append(
                f"adversarial.discriminator_rate={rate:g} is high for a pretrained discriminator that is trained whole "
                "and may undo what it knows; 2e-5 is usual"
            )
        return {}

    def step(self) -> dict[str, float]:
        prompts, group = self.real.prompts(self.steps)
        samples = self.world.write(self.world.generator, prompts, stream(self.world.settings.seed, 4, self.steps))
        self.world.ledger("warmup").sampled(self.world.generator, int(samples.lengths.sum()))
        discriminator, seed = self.world.discriminator, stream(self.world.settings.seed, ASKED + 10, self.steps)
        fresh = verdicts(discriminator, samples)
        held, accuracy = self.lessons.accuracy(discriminator, self.held.at(self.steps), fresh, seed)
        metrics = {
            "d_real": float(held.sigmoid().mean()),
            "d_fake": float(fresh.sigmoid().mean()),
            "heldout_accuracy": accuracy,
        }
        drawn = Drawn.of(samples, prompts, group)
        metrics |= self.update(self.lessons.real(drawn, self.real.at(self.steps)), samples)
        self.steps += 1
        self.done = self.steps >= self.total
        return metrics

    def finish(self) -> None:
        self.world.keep("warm", self.world.discriminator)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.update.optimizer.state_dict(), "steps": self.steps, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.done = state["steps"], state["done"]
