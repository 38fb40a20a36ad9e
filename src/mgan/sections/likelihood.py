"""What must hold where the generator follows a weighted likelihood of texts that it has not written.

Altered real ones, weighed by D (game.signal=near_data), or real ones, by a formula (adversarial.reward=closed_form).
"""

from __future__ import annotations

from typing import Any

from mgan.sections.evaluation import Evaluation
from mgan.sections.game import Adversarial, Game, Warmup
from mgan.sections.players import Generator
from mgan.sections.text import Prompt

APART = ("binary", "least_squares", "hinge")
"""Losses after which the verdict on one text says by itself how real it is."""
NEAR_DATA: dict[str, Any] = {
    "game.baseline": "none", "game.kl": 0.0, "game.discount": 1.0, "game.reward_scale": "none",
    "game.length_penalty": 0.0, "game.policy": "gradient", "adversarial.reward": "discriminator",
    "adversarial.offspring": 0, "generator.latent": 0,
}  # fmt: skip
CLOSED_FORM: dict[str, Any] = {
    "game.kl": 0.0, "game.policy": "gradient", "game.signal": "sequence", "generator.latent": 0,
}  # fmt: skip
UNREAD: dict[str, Any] = {
    f"{section}.{field}": of.model_fields[field].default
    for section, of, fields in (
        ("game", Game, ("loss", "value", "baseline", "penalty", "label_smoothing")),
        ("game", Game, ("discount", "reward_scale", "length_penalty")),
        ("adversarial", Adversarial, ("discriminator_steps", "generator_steps", "order", "replay")),
    )
    for field in fields
}
"""Fields of rewards and of a discriminator that learns, and their defaults: a formula has neither."""


def agree(
    game: Game, generator: Generator, loop: Adversarial, prompt: Prompt, warmup: Warmup, evaluation: Evaluation,
    contest: str | None,
) -> None:  # fmt: skip
    """Raises ValueError where a weighted likelihood does not go with the rest."""
    sections = {"game": game, "adversarial": loop, "generator": generator}
    if loop.reward == "closed_form":
        if contest in ("self_play", "cooperative"):
            raise ValueError(
                "adversarial.reward=closed_form is the whole of the opponent: set selfplay.iterations=0 and "
                "mediator.steps=0"
            )
        if prompt.source == "prefix":
            raise ValueError(
                "adversarial.reward=closed_form knows how often a whole text occurs and not its pieces: use "
                "prompt.source=data"
            )
        _need(CLOSED_FORM, sections, "adversarial.reward=closed_form has a gradient of its own")
        if contest == "closed_form" and warmup.steps:
            raise ValueError("adversarial.reward=closed_form has no discriminator to warm up: set warmup.steps=0")
        if idle := _differing(UNREAD, sections):
            raise ValueError(
                "adversarial.reward=closed_form samples nothing and pays nothing, so it has no use for "
                f"{', '.join(_told(*field) for field in idle.items())}: leave that out"
            )
    if game.signal != "near_data":
        return
    _need(NEAR_DATA, sections, "game.signal=near_data weighs texts that the generator has not written")
    if game.loss not in APART:
        raise ValueError(f"game.signal=near_data needs game.loss={' or '.join(APART)}, not {game.loss}")
    if generator.architecture == "leakgan" or contest not in ("game", None):
        raise ValueError(
            "game.signal=near_data is a game against a discriminator, and the generator suggests what is replaced: it "
            "needs adversarial.steps above 0 and another generator.architecture than leakgan"
        )
    if set(evaluation.controls) - {"frozen"}:
        raise ValueError(
            "game.signal=near_data pays no rewards that could be constant or random: its one control is "
            "evaluation.controls=[frozen]"
        )


def _need(needed: dict[str, Any], sections: dict[str, Any], why: str) -> None:
    if wrong := _differing(needed, sections):
        raise ValueError(f"{why}: it needs {', '.join(_told(name, needed[name]) for name in wrong)}")


def _differing(expected: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not what is expected, and what they are."""
    found = {name: getattr(sections[name.partition(".")[0]], name.partition(".")[2]) for name in expected}
    return {name: value for name, value in found.items() if value != expected[name]}


def _told(name: str, value: Any) -> str:
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
