"""The games that have no equilibrium: each ends with any budget, and goes on from the disk as if never stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import test_cooperative
import test_selfplay_phase
import torch

from mgan.training.cooperative import Cooperative
from mgan.training.selfplay import SelfPlay

Played = tuple[Callable[..., Any], Callable[..., Any]]
GAMES = pytest.mark.parametrize(
    "game", [(SelfPlay, test_selfplay_phase.world), (Cooperative, test_cooperative.world)], ids=["self-play", "cot"]
)


@GAMES
@pytest.mark.parametrize("limit", [{"max_tokens": 1}, {"max_flops": 1.0}])
def test_every_budget_ends_it(game: Played, limit: dict[str, Any]) -> None:
    phase, world = game
    played = world(**limit)
    assert len(test_selfplay_phase.played_out(phase(played))) == 2
    assert played.outcomes["adversarial"]["reason"] == "budget"


@GAMES
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_it_is_the_same(game: Played, stop: int) -> None:
    phase, world = game
    played, again = world(), world()
    first = phase(played)
    first.begin()
    for _ in range(stop):
        first.step()
    saved = copy.deepcopy((played.state_dict(), first.state_dict()))
    with torch.no_grad():
        for parameter in again.generator.parameters():
            parameter.zero_()
    again.load_state_dict(saved[0])
    resumed = phase(again)
    resumed.load_state_dict(saved[1])
    while not first.done:
        assert resumed.step() == first.step()
    assert resumed.done
    assert test_selfplay_phase.same(played.kept["adversarial"], again.kept["adversarial"])
