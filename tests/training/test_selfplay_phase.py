"""Self-play: who the opponent is, what moves, what it costs, what is kept; and that resuming is exact."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.training.phases import plan
from mgan.training.selfplay import SelfPlay
from mgan.training.world import Alphabet, World

TEXTS = [a + b for a in "ab" for b in "cd"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def world(iterations: int = 2, **adversarial: Any) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "evaluation": {"samples": 16},
            "selfplay": {"iterations": iterations, "beta": 1.0},
            "adversarial": {
                "prompts_per_step": 16, "steps": 4, "evaluate_every": 2, "generator_rate": 0.02, **adversarial,
            },
        }
    )  # fmt: skip
    rows = encode([Example("", text) for text in TEXTS * 8], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    return created


def weights(player: torch.nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(player.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def played_out(game: SelfPlay) -> list[dict[str, float]]:
    metrics = [game.begin()]
    while not game.done:
        metrics.append(game.step())
    game.finish()
    return metrics


def test_it_is_the_game_of_a_run_without_a_discriminator() -> None:
    assert list(plan(world())) == ["pretrain", "adversarial", "baseline"]


def test_the_opponent_is_the_generator_of_the_last_turn() -> None:
    played = world()
    game = SelfPlay(played)
    game.begin()
    start, metrics = weights(played.generator), game.step()
    assert metrics["g_loss"] == pytest.approx(math.log(2)) and metrics["train_accuracy"] == 0.5
    game.step()
    assert same(weights(game.opponent), start) and not same(weights(played.generator), start)
    middle = weights(played.generator)
    assert game.step()["g_loss"] == pytest.approx(math.log(2)), "a new opponent is the generator itself"
    assert same(weights(game.opponent), middle)


def test_it_costs_both_players_work_and_keeps_the_best() -> None:
    played = world()
    metrics = played_out(SelfPlay(played))
    scores = [m["validation_score"] for m in metrics if "validation_score" in m]
    assert len(scores) == 3
    ledger = played.ledgers["adversarial"]
    assert metrics[-1]["tokens"] == ledger.tokens > 0
    # Reading and writing each text once is 1 + 1 + 3; padding and prompts come on top.
    assert ledger.flops > 5 * ledger.tokens * played.generator.flops_per_token
    assert set(played.kept) == {"pretrained", "adversarial"}
    best = played.restored("adversarial")
    again = SelfPlay(played)
    again.generator = best
    assert again.begin()["validation_score"] == pytest.approx(min(scores), abs=1e-6)
    assert played.outcomes["adversarial"]["rounds"] == "4"
    assert "2 opponents" in played.outcomes["adversarial"]["sentence"]


def test_it_learns_the_language() -> None:
    """From even probabilities to four texts of two letters: log 2 nats for each letter, none for the end."""
    metrics = played_out(SelfPlay(world(iterations=6, steps=60, evaluate_every=30)))
    nll = [m["validation_nll"] for m in metrics if "validation_nll" in m]
    assert nll[0] > 1.5 and min(nll) < 0.85


def test_pieces_of_a_batch_are_the_batch() -> None:
    losses = [[m["g_loss"] for m in played_out(SelfPlay(world(micro_batches=n)))[1:]] for n in (1, 5)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
