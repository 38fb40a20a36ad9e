"""How a game ends: by equilibrium, by collapse, by divergence, by its budget; and what only looks like an end."""

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
from mgan.training.adversarial import AdversarialGame
from mgan.training.world import Alphabet, World
from mgan.types import collate

TEXTS = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
TOKENIZER = train(TEXTS, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)
STILL = 1e-20
"""A learning rate that moves nothing."""


def world(**sections: dict[str, Any]) -> World:
    """Three letters a text, a small LSTM a side, and limits out of the way unless asked for."""
    adversarial = {"prompts_per_step": 32, "evaluate_every": 1, "generator_rate": STILL} | sections.pop(
        "adversarial", {}
    )
    tree: dict[str, Any] = {
        "device": "cpu",
        "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
        "discriminator": {"hidden": 8, "dropout": 0.0},
        "game": {"mle": 0.0},
        "warmup": {"steps": 2},
        "evaluation": {"samples": 16},
        "equilibrium": {"window": 3, "evaluations": 4, "band": 0.49},
        "collapse": {"entropy": 0.0, "distinct": 0.0},
        "adversarial": adversarial,
    }
    settings = Config.model_validate(
        {k: v | sections.get(k, {}) if isinstance(v, dict) else v for k, v in tree.items()}
    )
    rows = encode([Example("", text) for text in TEXTS], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    return created


def game(played: World, total: int = 30) -> AdversarialGame:
    started = AdversarialGame(played, "adversarial", played.settings.adversarial.model_copy(update={"steps": total}))
    started.begin()
    return started


def finished(playing: AdversarialGame) -> list[dict[str, float]]:
    rounds = []
    while not playing.done:
        rounds.append(playing.step())
    return rounds


def blind(player: Any) -> None:
    """Undecided about every text, and every rate of learning from it is nothing."""
    with torch.no_grad():
        player.head.weight.zero_()
        player.head.bias.zero_()


def its_own_text(played: World) -> World:
    """The text to learn is the generator's own: nobody can tell them apart."""
    with torch.no_grad():
        bias = played.generator.output.bias  # type: ignore[union-attr]
        bias[[TOKENIZER.pad, TOKENIZER.bos, TOKENIZER.unk]] = -30.0  # type: ignore[index, operator]
        bias[TOKENIZER.eos] = 2.0  # type: ignore[index, operator]
    played.keep("pretrained", played.generator)
    written = played.write(played.generator, collate([([TOKENIZER.bos], 1)] * 600, TOKENIZER.pad), seed=5)
    texts = [TOKENIZER.decode(tokens) for tokens in written.tokens.tolist()]
    rows = encode([Example("", text) for text in texts], TOKENIZER, context=16)
    played.train = played.validation = rows
    return played


def test_equilibrium_is_an_undecided_window_a_settled_score_and_a_fresh_discriminator_that_agrees() -> None:
    limits = {"window": 10, "evaluations": 4, "band": 0.07}
    calm = {"generator_rate": STILL, "prompts_per_step": 64}
    playing = game(its_own_text(world(equilibrium=limits, adversarial=calm, generator={"context": 16})), total=60)
    rounds = finished(playing)
    outcome = playing.world.outcomes["adversarial"]
    assert outcome["reason"] == "equilibrium" and int(outcome["rounds"]) == len(rounds)
    assert 10 <= len(rounds) < 60
    assert abs(sum(metrics["heldout_accuracy"] for metrics in rounds[-10:]) / 10 - 0.5) <= 0.07
    assert abs(rounds[-1]["fresh_accuracy"] - 0.5) <= 0.07
    assert f"{rounds[-1]['fresh_accuracy']:.3f}" in outcome["sentence"]
    # The fresh one is asked only when the old one can no longer say.
    assert sum("fresh_accuracy" in metrics for metrics in rounds) == 1 and playing.world.notes == []


@pytest.mark.parametrize("missing", ["window", "evaluations"])
def test_neither_half_of_it_is_one(missing: str) -> None:
    never = {"window": {"window": 1000}, "evaluations": {"evaluations": 1000}}[missing]
    playing = game(world(equilibrium=never), total=8)
    rounds = finished(playing)
    assert playing.world.outcomes["adversarial"]["reason"] == "budget"
    assert not any("fresh_accuracy" in metrics for metrics in rounds)


def exhausted(total: int = 30, **adversarial: Any) -> AdversarialGame:
    """The old discriminator has no head to tell with and does not learn; a fresh one learns quickly."""
    played = world(
        equilibrium={"band": 0.1},
        warmup={"steps": 100},
        adversarial={"discriminator_rate": 0.01, "generator_rate": STILL, **adversarial},
    )
    playing = game(played, total)
    blind(played.discriminator)
    for group in playing.update_discriminator.optimizer.param_groups:
        group["lr"] = 0.0
    return playing


def test_a_discriminator_that_is_exhausted_is_replaced_and_the_game_goes_on() -> None:
    playing = exhausted()
    metrics: dict[str, float] = {}
    while "fresh_accuracy" not in metrics:
        metrics = playing.step()
        assert metrics["heldout_accuracy"] == 0.5 or "fresh_accuracy" in metrics
    assert metrics["fresh_accuracy"] > 0.6
    assert not playing.done and playing.world.outcomes == {}
    (note,) = playing.world.notes
    assert note.startswith(f"discriminator exhausted after {playing.steps} rounds") and "takes its place" in note
    assert f"{metrics['fresh_accuracy']:.3f}" in note
    assert playing.equilibrium.accuracies == []

    # The game's discriminator is the one that can tell, and it learns.
    assert playing.update_discriminator.discriminator is playing.world.discriminator
    before = copy.deepcopy(playing.world.discriminator.state_dict())
    after = playing.step()
    assert after["heldout_accuracy"] > 0.6
    assert any(not torch.equal(v, before[k]) for k, v in playing.world.discriminator.state_dict().items())


@pytest.mark.parametrize("control", [{"reward": "constant"}, {"reward": "random"}, {"discriminator_steps": 0}])
def test_a_control_has_no_equilibrium_and_its_discriminator_is_never_replaced(control: dict[str, Any]) -> None:
    playing = exhausted(total=8, **control)
    rounds = finished(playing)
    assert playing.equilibrium.undecided() and playing.equilibrium.settled()
    assert playing.world.outcomes["adversarial"]["reason"] == "budget" and len(rounds) == 8
    assert not any("fresh_accuracy" in metrics for metrics in rounds) and playing.world.notes == []


def test_right_after_the_replacement_a_saved_game_goes_on_identically() -> None:
    playing = exhausted()
    while not playing.world.notes:
        playing.step()
    saved = copy.deepcopy((playing.world.state_dict(), playing.state_dict()))

    resumed_world = world(**{name: getattr(playing.world.settings, name).model_dump() for name in
                             ("equilibrium", "warmup", "adversarial")})  # fmt: skip
    resumed_world.load_state_dict(saved[0])
    resumed = AdversarialGame(resumed_world, "adversarial", playing.settings)
    resumed.load_state_dict(saved[1])
    for _ in range(5):
        assert resumed.step() == playing.step()
    for ours, theirs in ((playing.world, resumed_world), (playing.average.module, resumed.average.module)):
        mine, others = _tensors(ours), _tensors(theirs)
        assert mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def _tensors(owner: Any) -> dict[str, Tensor]:
    state = owner.state_dict()
    if isinstance(owner, World):
        return {f"{name}.{k}": v for name in ("generator", "discriminator") for k, v in state[name].items()}
    return dict(state)


@pytest.mark.parametrize(("limit", "named"), [("entropy", "entropy"), ("distinct", "distinct_2")])
def test_collapse_is_a_fall_below_a_floor_of_the_start(limit: str, named: str) -> None:
    """The generator forgets all but one letter after two rounds."""
    playing = game(world(collapse={limit: 0.5}, equilibrium={"window": 1000}))
    floor = playing.floor[named]
    assert floor > 0 and playing.floor[{"entropy": "distinct_2", "distinct_2": "entropy"}[named]] == 0
    playing.step()
    playing.step()
    assert not playing.done
    with torch.no_grad():
        playing.generator.output.bias[TOKENIZER.encode("a")[0]] = 50.0  # type: ignore[union-attr, operator]
    last = finished(playing)[-1]
    outcome = playing.world.outcomes["adversarial"]
    assert outcome["reason"] == "collapse" and outcome["rounds"] == "3"
    assert last[named] < floor and f"its {named} fell to {last[named]:.3f}, below {floor:.3f}" in outcome["sentence"]
    # What is kept is what was best before.
    assert all(v.abs().max() < 20 for v in playing.world.kept["adversarial"].values())


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_divergence_keeps_finite_weights(player: str) -> None:
    playing = game(world(equilibrium={"window": 1000}))
    playing.step()
    with torch.no_grad():
        next(getattr(playing, player).parameters()).fill_(math.nan)
    rounds = finished(playing)
    assert playing.world.outcomes["adversarial"]["reason"] == "divergence"
    assert len(rounds) == 1
    kept = playing.world.kept["adversarial"]
    assert kept and all(v.isfinite().all() for v in kept.values())
    playing.world.restored("adversarial")


@pytest.mark.parametrize("limit", ["max_tokens", "max_flops"])
def test_a_budget_ends_the_game_with_the_round_that_spends_it(limit: str) -> None:
    unhurried = game(world(equilibrium={"window": 1000}), total=4)
    spent = [metrics["tokens" if limit == "max_tokens" else "flops"] for metrics in finished(unhurried)]
    assert unhurried.world.outcomes["adversarial"]["rounds"] == "4"
    # The log is written before the generator's own update is paid for.
    value = int(spent[1]) if limit == "max_tokens" else spent[1]
    limited = game(world(equilibrium={"window": 1000}, adversarial={limit: value}), total=30)
    finished(limited)
    outcome = limited.world.outcomes["adversarial"]
    assert (outcome["reason"], outcome["rounds"]) == ("budget", "2")
    assert "budget ended the game after 2 rounds" in outcome["sentence"]
    ledger = limited.world.ledgers["adversarial"]
    assert (ledger.tokens if limit == "max_tokens" else ledger.flops) >= value


def test_the_best_measure_is_kept_whatever_ended_the_game() -> None:
    """A generator that only gets worse: the weights it started from are the result."""
    playing = game(world(equilibrium={"window": 1000}), total=4)
    start = {k: v.clone() for k, v in playing.average.module.state_dict().items()}
    first = playing.best_score
    with torch.no_grad():
        playing.generator.output.bias[TOKENIZER.bos] = 1000.0  # type: ignore[union-attr, operator, index]
    assert min(metrics["validation_score"] for metrics in finished(playing)) > first
    assert all(torch.equal(v, start[k]) for k, v in playing.world.kept["adversarial"].items())
