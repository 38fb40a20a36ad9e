"""The phases of a run. Each is a thing that steps until it is done and can say where it stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from mgan.fit.likelihood import MaximumLikelihood, steps_for
from mgan.models.protocols import SetsGoals
from mgan.sampling.uniforms import stream
from mgan.training.adversarial import AdversarialGame
from mgan.training.closed_form import ClosedForm
from mgan.training.cooperative import Cooperative
from mgan.training.residual import Residual
from mgan.training.selfplay import SelfPlay
from mgan.training.warmup import Warmup
from mgan.training.world import World
from mgan.types import Batch

STILL_IMPROVING = 0.01
"""Nats a token over the last fifth of a fit that are worth a remark."""


BASELINE_SEED = 2
"""Of the batches that the baseline goes on with."""


class Phase(Protocol):
    """``begin`` is called before the first step of a phase that is not resumed; ``finish`` after the last.

    total: at most so many steps. examples: the newest samples worth showing, perhaps none.
    """

    total: int
    steps: int
    done: bool

    @property
    def examples(self) -> Batch | None: ...
    def begin(self) -> dict[str, float]: ...
    def step(self) -> dict[str, float]: ...
    def finish(self) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Likelihood(MaximumLikelihood):
    """Maximum likelihood as a phase: the pre-training, or the baseline that goes on with what the game cost."""

    examples: Batch | None = None

    def __init__(self, world: World, name: str, result: str, steps: int | None = None):
        settings = world.settings.pretrain
        generator = world.generator if steps is None else world.restored("pretrained")
        seed = stream(world.settings.seed, 1 if steps is None else BASELINE_SEED)
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
            patience=settings.patience if steps is None else None,
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


def _leaked(world: World) -> Likelihood:
    """Maximum likelihood once more, by a generator that now reads the features of the warm discriminator."""
    generator = world.generator
    assert isinstance(generator, SetsGoals)
    generator.leak(world.discriminator)
    return Likelihood(world, "leaked", "pretrained")


def _game(world: World) -> AdversarialGame:
    return AdversarialGame(world, "adversarial", world.settings.adversarial)


def _baseline(world: World) -> Likelihood:
    paid, most = paid_updates(world), world.settings.evaluation.baseline_updates
    if sentence := shortened(world):
        world.notes.append(sentence)
    return Likelihood(world, "baseline", "mle", paid if most is None else min(paid, most))


def paid_updates(world: World) -> int:
    """How many updates of the baseline cost as many operations as the discriminator's warm-up and the game did.

    What was learned by likelihood before is where both begin, the likelihood after a leak as the pre-training.
    """
    cost = sum(world.ledgers[name].flops for name in ("warmup", "adversarial") if name in world.ledgers)
    seed = stream(world.settings.seed, BASELINE_SEED)
    return steps_for(cost, world.restored("pretrained"), world.train, world.settings.pretrain.batch_size, seed)


def shortened(world: World) -> str | None:
    """What a person must know of a baseline that ``evaluation.baseline_updates`` kept from what it was owed."""
    most = world.settings.evaluation.baseline_updates
    if most is None or (paid := paid_updates(world)) <= most:
        return None
    return (
        f"the comparison with MLE is not at equal compute: evaluation.baseline_updates={most} (--smoke sets it) ended "
        f"the baseline after {most} of the {paid:,} updates that the game's operations pay for"
    )


def plan(world: World) -> dict[str, Callable[[World], Phase]]:
    """The phases of this configuration, in order. Each is made when its turn comes."""
    settings = world.settings
    phases: dict[str, Callable[[World], Phase]] = {
        "pretrain": lambda world: Likelihood(world, "pretrain", "pretrained"),
    }
    match settings.contest:
        case "game":
            phases |= {"warmup": Warmup}
            if isinstance(world.generator, SetsGoals):
                phases |= {"leaked": _leaked}
            phases |= {"adversarial": _game, "baseline": _baseline}
            phases |= {name: partial(Control, name=name) for name in settings.evaluation.controls}
        case "reward":
            phases |= {"adversarial": _game, "baseline": _baseline}
        case "self_play":
            phases |= {"adversarial": SelfPlay, "baseline": _baseline}
        case "cooperative":
            phases |= {"adversarial": Cooperative, "baseline": _baseline}
        case "closed_form":
            phases |= {"adversarial": ClosedForm, "baseline": _baseline}
        case "residual":
            phases |= {"warmup": Residual, "baseline": _baseline}
    if not settings.evaluation.baseline:
        phases.pop("baseline", None)
    return phases
