"""The controls: the same game from the same start, paid without a discriminator that learns."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.training.adversarial import AdversarialGame
from mgan.training.phases import plan
from mgan.training.policy import Policy
from mgan.training.world import Alphabet, World

TEXTS = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
TOKENIZER = train(TEXTS, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)
KINDS = ("constant", "random", "frozen")
ROUNDS = 4

Weights = dict[str, Tensor]


def world(**adversarial: Any) -> World:
    """After a game of four rounds that moved both players away from where it began."""
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "discriminator": {"hidden": 8, "dropout": 0.0},
            "equilibrium": {"window": 1000},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
            "adversarial": {"prompts_per_step": 8, "steps": ROUNDS, "evaluate_every": 2, **adversarial},
            "evaluation": {"samples": 16, "controls": KINDS},
        }
    )
    rows = encode([Example("", text) for text in TEXTS], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    with torch.no_grad():  # a head that is zero would pay nothing
        torch.nn.init.normal_(created.discriminator.head.weight)  # type: ignore[union-attr, arg-type]
    created.keep("warm", created.discriminator)
    with torch.no_grad():
        for player in (created.generator, created.discriminator):
            for parameter in player.parameters():
                parameter.add_(0.1)
    created.outcomes["adversarial"] = {"reason": "budget", "sentence": "", "rounds": str(ROUNDS)}
    return created


def started(played: World, name: str) -> AdversarialGame:
    control = plan(played)[name](played)
    assert isinstance(control, AdversarialGame)
    control.begin()
    return control


def weights(player: torch.nn.Module) -> Weights:
    return copy.deepcopy(player.state_dict())


def same(a: Weights, b: Weights) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_controls_are_the_phases_after_the_baseline() -> None:
    assert list(plan(world())) == ["pretrain", "warmup", "adversarial", "baseline", *KINDS]


@pytest.mark.parametrize("name", KINDS)
def test_each_begins_where_the_game_began_and_plays_as_many_rounds(name: str) -> None:
    played = world(max_tokens=1, max_flops=1.0)
    control = started(played, name)
    assert same(weights(played.generator), played.kept["pretrained"])
    assert same(weights(played.discriminator), played.kept["warm"])
    while not control.done:
        control.step()
    assert control.steps == control.total == ROUNDS
    assert played.outcomes[name]["rounds"] == str(ROUNDS)
    assert not same(weights(played.generator), played.kept["pretrained"])
    assert same(weights(played.discriminator), played.kept["warm"]) == (name == "frozen")
    assert name in played.kept and played.ledgers[name].flops > 0


@pytest.mark.parametrize("order", ["discriminator_first", "generator_first"])
def test_a_frozen_discriminator_pays_and_every_round_has_real_texts_of_its_own(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = started(world(order=order), "frozen")
    real: list[Tensor] = []
    paid: list[Tensor] = []
    assert isinstance(control.signal, Policy)
    update = control.signal.update_generator

    def watched(samples: Any, advantage: Tensor, texts: Any, reference: Any) -> dict[str, float]:
        real.append(texts.tokens)
        paid.append(advantage)
        return update(samples, advantage, texts, reference)

    monkeypatch.setattr(control.signal, "update_generator", watched)
    rounds = [control.step() for _ in range(ROUNDS)]
    assert all(advantage.abs().max() > 0 for advantage in paid)
    assert len({tuple(texts.flatten().tolist()) for texts in real}) == ROUNDS
    assert all("d_loss" not in metrics and "heldout_accuracy" in metrics for metrics in rounds)


@pytest.mark.parametrize("name", KINDS)
def test_a_control_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    played, again = world(), world()
    control = started(played, name)
    control.step()
    saved = copy.deepcopy((played.state_dict(), control.state_dict()))
    again.load_state_dict(saved[0])
    resumed = plan(again)[name](again)
    resumed.load_state_dict(saved[1])
    for _ in range(ROUNDS - 1):
        assert resumed.step() == control.step()
    assert resumed.done and control.done
    for player in ("generator", "discriminator"):
        assert same(weights(getattr(played, player)), weights(getattr(again, player)))
    assert same(played.kept[name], again.kept[name])
