"""The phases of a run. Each is a thing that steps until it is done and can say where it stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from mgan.fit.classifier import verdicts
from mgan.fit.likelihood import MaximumLikelihood, steps_for
from mgan.models.judges import WHOLE
from mgan.models.lstm import copy_where_shapes_agree
from mgan.sampling.uniforms import stream
from mgan.training.adversarial import ASKED, HELD, REAL, AdversarialGame
from mgan.training.lessons import Drawn, Lessons
from mgan.training.world import World
from mgan.types import Batch

STILL_IMPROVING = 0.01
"""Nats a token over the last fifth of a fit that are worth a remark."""
HIGH_RATE = 2e-4
"""Learning rate that is worth a remark where a pretrained network is trained whole."""


class Phase(Protocol):
    """``begin`` is called before the first step of a phase that is not resumed; ``finish`` after the last.

    total: at most so many steps. examples: the newest samples worth showing, perhaps none.
    """

    total: int
    steps: int
    done: bool
    examples: Batch | None

    def begin(self) -> dict[str, float]: ...
    def step(self) -> dict[str, float]: ...
    def finish(self) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Likelihood(MaximumLikelihood):
    """Maximum likelihood as a phase: the pre-training, or the baseline that goes on with what the game cost."""

    examples: Batch | None = None

    def __init__(self, world: World, name: str, result: str, flops: float | None = None):
        settings = world.settings.pretrain
        generator = world.generator if flops is None else world.restored("pretrained")
        seed = stream(world.settings.seed, 1 if flops is None else 2)
        steps = None if flops is None else steps_for(flops, generator, world.train, settings.batch_size, seed)
        super().__init__(
            generator,
            world.train,
            world.validation,
            settings,
            hardware=world.hardware,
            seed=seed,
            ledger=world.ledger(name),
            steps=steps,
            # The baseline spends all it is given: stopping early would leave it less than equal compute.
            patience=settings.patience if flops is None else None,
            validation_texts=world.settings.evaluation.samples,
        )
        self.world, self.result = world, result

    def finish(self) -> None:
        if self.late_gain() > STILL_IMPROVING:
            self.world.notes.append(
                f"{self.result}: held-out NLL was still improving, by {self.late_gain():.3f} nats a token in the last "
                "fifth of its updates; more pretrain.epochs would give a better one"
            )
        self.world.keep(self.result, self.generator)


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
        if wanted and not copy_where_shapes_agree(world.restored("pretrained"), world.discriminator):
            world.notes.append(
                "discriminator.from_generator=true had nothing to copy: the two players share no shapes, "
                "so the discriminator starts from scratch"
            )
        rate = world.settings.adversarial.discriminator_rate
        if section.architecture in WHOLE and rate > HIGH_RATE:
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


CONTROLS: dict[str, dict[str, Any]] = {
    "constant": {"reward": "constant"},
    "random": {"reward": "random"},
    "frozen": {"reward": "discriminator", "discriminator_steps": 0},
}
"""What a control changes in the game's settings."""


class Control(AdversarialGame):
    """The same game once more from the same start, as many rounds, without a discriminator that learns and pays."""

    def __init__(self, world: World, name: str):
        rounds = int(world.outcomes["adversarial"]["rounds"])
        budget = {"steps": rounds, "max_tokens": None, "max_flops": None}
        super().__init__(world, name, world.settings.adversarial.model_copy(update=CONTROLS[name] | budget))

    def begin(self) -> dict[str, float]:
        self.world.generator.load_state_dict(self.world.kept["pretrained"])
        self.world.discriminator.load_state_dict(self.world.kept["warm"])
        return super().begin()


def _game(world: World) -> AdversarialGame:
    return AdversarialGame(world, "adversarial", world.settings.adversarial)


def _baseline(world: World) -> Likelihood:
    cost = sum(world.ledger(name).flops for name in ("warmup", "adversarial"))
    return Likelihood(world, "baseline", "mle", cost)


def plan(world: World) -> dict[str, Callable[[World], Phase]]:
    """The phases of this configuration, in order. Each is made when its turn comes."""
    settings = world.settings
    phases: dict[str, Callable[[World], Phase]] = {
        "pretrain": lambda world: Likelihood(world, "pretrain", "pretrained"),
    }
    if settings.adversarial.steps:
        phases["warmup"] = Warmup
        phases["adversarial"] = _game
        phases["baseline"] = _baseline
        phases |= {name: partial(Control, name=name) for name in settings.evaluation.controls}
    return phases
