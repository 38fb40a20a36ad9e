"""The residual model: the generator stands still, the best D by held-out loss stays, resuming is exact."""

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
from mgan.fit.classifier import held_out_loss, verdicts
from mgan.fit.hardware import Hardware
from mgan.training.phases import plan
from mgan.training.residual import Residual
from mgan.training.trial import court
from mgan.training.world import Alphabet, World

TEXTS = [a + b for a in "ab" for b in "cd"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def world(rate: float = 0.03, steps: int = 6) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "discriminator": {"hidden": 16, "dropout": 0.0, "from_generator": False},
            "game": {"signal": "sequence"},
            "warmup": {"steps": steps},
            "adversarial": {"steps": 0, "prompts_per_step": 16, "evaluate_every": 2, "discriminator_rate": rate},
            "evaluation": {"samples": 32, "temperatures": (0.5, 0.8), "discriminator_steps": 1, "candidates": 8},
        }
    )
    rows = encode([Example("", text) for text in TEXTS * 8], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    return created


def played_out(phase: Residual) -> list[dict[str, float]]:
    metrics = [phase.begin()]
    while not phase.done:
        metrics.append(phase.step())
    phase.finish()
    return metrics


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_without_rounds_the_warmup_is_the_whole_of_it() -> None:
    assert list(plan(world())) == ["pretrain", "warmup", "baseline"]
    assert list(plan(world(steps=0))) == ["pretrain"]


@pytest.mark.parametrize("rate", [0.03, 50.0])
def test_the_best_discriminator_stays_and_the_generator_does_not_move(rate: float) -> None:
    """Of a rate that ruins it at once, the discriminator that it began as."""
    played = world(rate)
    phase = Residual(played)
    losses = [m["validation_loss"] for m in played_out(phase) if "validation_loss" in m]
    assert len(losses) == 4
    assert held_out_loss(played.discriminator, phase.real, phase.fake) == pytest.approx(min(losses))
    assert (min(losses) == losses[0]) == (rate > 1)
    for name in ("pretrained", "adversarial"):
        assert same(played.kept[name], played.generator.state_dict())
    assert "stood still" in played.outcomes["adversarial"]["sentence"]


def test_the_pair_on_trial_is_the_one_that_was_trained() -> None:
    """At the game's temperature, in which D learned, though others are likelier; and it gains what D knows."""
    played = world(steps=60)
    played_out(Residual(played))
    trial = court(played).trial("adversarial", played.restored("adversarial"), played.discriminator)
    assert trial.discriminator is played.discriminator and trial.temperatures.likelihood == 1.0
    assert trial.temperatures.sampling in (0.5, 0.8)
    assert trial.pair_gain.mean() > 1, "nats a text, of log 8 at most"
    fresh = court(played).trial("mle", played.restored("pretrained"))
    assert fresh.discriminator is not played.discriminator and fresh.pair_gain.mean() < trial.pair_gain.mean()


@pytest.mark.parametrize("stop", [1, 2, 5])
def test_resumed_it_is_the_same(stop: int) -> None:
    played, again = world(), world()
    phase = Residual(played)
    phase.begin()
    for _ in range(stop):
        phase.step()
    saved: Any = copy.deepcopy((played.state_dict(), phase.state_dict()))
    again.load_state_dict(saved[0])
    resumed = Residual(again)
    resumed.load_state_dict(saved[1])
    while not phase.done:
        assert resumed.step() == phase.step()
    for one in (phase, resumed):
        one.finish()
    texts = phase.real
    assert torch.equal(verdicts(played.discriminator, texts), verdicts(again.discriminator, texts))
    assert again.outcomes == played.outcomes
