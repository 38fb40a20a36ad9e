"""Cooperative training: what each player follows, what it costs, what is kept; exact resume; and where it ends."""

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
from mgan.fit.likelihood import nll
from mgan.training.cooperative import Cooperative
from mgan.training.phases import plan
from mgan.training.world import Alphabet, World
from mgan.types import Batch

TEXTS = [a + b for a in "ab" for b in "cd"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def world(mediator: int = 1, **adversarial: Any) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "evaluation": {"samples": 16},
            "mediator": {"steps": mediator},
            "adversarial": {
                "prompts_per_step": 16, "steps": 4, "evaluate_every": 2, "generator_rate": 0.02,
                "discriminator_rate": 0.02, **adversarial,
            },
        }
    )  # fmt: skip
    rows = encode([Example("", text) for text in TEXTS * 8], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    return created


def played_out(game: Cooperative) -> list[dict[str, float]]:
    metrics = [game.begin()]
    while not game.done:
        metrics.append(game.step())
    game.finish()
    return metrics


def weights(player: torch.nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(player.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_is_the_game_of_a_run_without_a_discriminator() -> None:
    assert list(plan(world())) == ["pretrain", "adversarial", "baseline"]


@torch.no_grad()
def loss_of(player: Any, batch: Batch) -> float:
    return nll(player, batch).item() / len(batch)


def test_the_mediator_learns_real_and_generated_text_alike() -> None:
    """A generator that writes other texts than the data's stands still; the mediator comes to expect both kinds."""
    played = world(mediator=60, generator_steps=1, generator_rate=1e-9, discriminator_rate=0.05)
    game = Cooperative(played)
    assert same(weights(game.mediator), weights(played.generator))
    game.begin()
    first, real = game._draw(), game.real.at(0)
    before = [loss_of(game.mediator, batch) for batch in (real, first)]
    game.step()
    # Half of the mixture is even over four texts, and the other as it was: at most log 2 is lost of either.
    after = [loss_of(game.mediator, batch) for batch in (real, first)]
    assert after[0] < before[0] - 3 and after[1] < before[1] + 1.2
    assert 0 < game.best.score < float("inf")


def test_the_generator_follows_the_mediator_alone() -> None:
    played = world(generator_steps=150, discriminator_rate=1e-9, steps=1)
    game = Cooperative(played)
    target = copy.deepcopy(game.mediator)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    game.mediator.load_state_dict(target.state_dict())
    apart = game._generator_moves(game._draw())["g_loss"]
    metrics = played_out(game)
    assert apart > 0.3 and metrics[-1]["g_loss"] < 0.1 * apart


def test_it_costs_both_players_work_and_keeps_the_best() -> None:
    played = world()
    metrics = played_out(Cooperative(played))
    scores = [m["validation_score"] for m in metrics if "validation_score" in m]
    assert len(scores) == 3
    ledger = played.ledgers["adversarial"]
    assert metrics[-1]["tokens"] == ledger.tokens > 0
    # A round writes twice (1 + 1), teaches M on what was written and as much real text (3 + some), G on it (1 + 3).
    assert ledger.flops > 4.5 * ledger.tokens * played.generator.flops_per_token
    assert set(played.kept) == {"pretrained", "adversarial"}
    again = Cooperative(played)
    again.generator = played.restored("adversarial")
    assert again.begin()["validation_score"] == pytest.approx(min(scores), abs=1e-6)
    assert played.outcomes["adversarial"]["rounds"] == "4"


def test_pieces_of_a_batch_are_the_batch() -> None:
    losses = [[(m["g_loss"], m["mediator_loss"]) for m in played_out(Cooperative(world(micro_batches=n)))[1:]]
              for n in (1, 5)]  # fmt: skip
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_it_learns_the_language_from_nothing() -> None:
    """As the paper does, without maximum likelihood first: four texts of two letters, log 2 nats for each letter."""
    played = world(steps=150, evaluate_every=50)
    metrics = played_out(Cooperative(played))
    measured = [m["validation_nll"] for m in metrics if "validation_nll" in m]
    assert measured[0] > 1.5 and min(measured) < 0.8
