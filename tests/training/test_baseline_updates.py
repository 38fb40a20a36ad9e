"""evaluation.baseline_updates: a baseline that ends before its compute is spent, and what is said of it."""

from __future__ import annotations

import pytest

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.settings import load_config
from mgan.training.phases import paid_updates, plan, shortened
from mgan.training.world import Alphabet, World

TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def played(most: int | None) -> World:
    """A world whose game has cost as much as some hundred updates."""
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "discriminator": {"hidden": 8, "from_generator": False},
            "pretrain": {"batch_size": 4},
            "evaluation": {"samples": 4, "baseline_updates": most},
        }
    )
    rows = encode([Example("", text) for text in ("ab", "cd") * 8], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    world = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    world.keep("pretrained", world.generator)
    world.ledger("warmup").flops, world.ledger("adversarial").flops = 10**7, 3 * 10**7
    return world


def test_without_a_limit_it_spends_what_the_game_cost() -> None:
    world = played(None)
    paid = paid_updates(world)
    assert paid > 20 and plan(world)["baseline"](world).total == paid
    assert shortened(world) is None and not world.notes


@pytest.mark.parametrize("more", [0, 1])
def test_a_limit_that_is_not_met_says_nothing(more: int) -> None:
    paid = paid_updates(played(None))
    world = played(paid + more)
    assert plan(world)["baseline"](world).total == paid and shortened(world) is None and not world.notes


def test_a_limit_that_is_met_is_told_in_numbers() -> None:
    world = played(7)
    assert plan(world)["baseline"](world).total == 7
    (said,) = world.notes
    assert said == shortened(world) and "not at equal compute: evaluation.baseline_updates=7" in said
    assert f"after 7 of the {paid_updates(world):,} updates" in said


def test_a_smoke_run_has_a_limit_and_no_other_has() -> None:
    assert load_config("sentigan").evaluation.baseline_updates is None
    assert load_config("sentigan", smoke=True).evaluation.baseline_updates == 60
