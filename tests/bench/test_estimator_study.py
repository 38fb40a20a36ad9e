"""Estimators of the gradient where it can be summed up: those that claim no bias have none, the others do."""

from __future__ import annotations

import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.game.values import reverse_kl
from mgan.sampling.rollouts import Plan, rollout_values
from mgan.types import collate

ROOT = Path(__file__).parents[2]
DRAWS, FEW, LEVEL = 10_000, 3000, 1e-3


@pytest.fixture(scope="module")
def study() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield import_module("estimators")
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def players(study: Any) -> Any:
    return study.Players.at(0)


def test_the_exact_gradient_is_the_slope_of_the_expected_payoff(study: Any, players: Any) -> None:
    """By finite differences, so that all else in here is held against the right thing."""

    def worth(shift: Tensor) -> float:
        return (study.toy.probability(players.generator.moved(shift)) @ players.earned()).item()

    exact, step = players.exact(), 1e-2
    for state, action in ((0, 1), (2, 0), (3, 3)):
        shift = torch.zeros(4, 4)
        shift[state, action] = step
        assert (worth(shift) - worth(-shift)) / (2 * step) == pytest.approx(float(exact[state, action]), abs=1e-3)
    assert study.toy.probability(players.generator).sum().item() == pytest.approx(1.0, abs=1e-5)
    assert exact.norm() > 0.1


def test_what_an_action_is_worth_is_what_follows_from_it(study: Any, players: Any) -> None:
    """V(prefix) = sum_a P(a) Q(prefix, a), and the root's is the expected payoff."""
    samples = study.toy.ALL
    worth = study.toy.worth_of_actions(players.generator, players.earned(), samples)
    chance = players.generator(samples.tokens[:, :-1]).softmax(-1).double()
    values = (chance * worth[:, 1:]).sum(-1)
    expected = study.toy.expected(players.generator, players.earned())
    inner = samples.mask[:, 2:]
    assert torch.allclose(values[:, 1:][inner], expected[:, 1:-1][inner], atol=1e-5)
    assert torch.allclose(values[:, 0], study.toy.probability(players.generator) @ players.earned(), atol=1e-5)


def test_those_that_claim_no_bias_have_none_together(study: Any, players: Any) -> None:
    """One chi-square over all of them, at 0.001, the seed fixed."""
    fair = [one for one in study.ESTIMATORS if not one.biased]
    measured = [study.measure(one, players, DRAWS, 100 + i) for i, one in enumerate(fair)]
    _, freedom, p = study.joint(measured)
    assert freedom > 12 * len(fair) - 12
    assert p > LEVEL, [(one.name, one.p) for one in measured]


def test_those_that_are_biased_by_design_show_it(study: Any, players: Any) -> None:
    for i, one in enumerate(one for one in study.ESTIMATORS if one.biased):
        measured = study.measure(one, players, FEW, 300 + i)
        assert measured.p < LEVEL, one.name
        assert measured.bias > 2 * measured.noise or measured.chi2 > 60, one.name


def test_a_small_error_would_be_seen(study: Any, players: Any) -> None:
    """The test has power: a step that is a tenth too long is seen."""
    fair = next(one for one in study.ESTIMATORS if one.name.startswith("rollouts (SeqGAN)"))
    found = fair.draws(players, FEW, 7).flatten(1)
    exact = players.exact().flatten()
    assert study.chance(*study.hotelling(found - exact)) > LEVEL
    assert study.chance(*study.hotelling(1.1 * found - exact)) < LEVEL


def test_rollouts_paid_to_another_text_are_seen(study: Any, players: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the values of a batch had been laid out rollout by rollout and read text by text."""
    right = study.rewards_of_values
    monkeypatch.setattr(study, "rewards_of_values", lambda values, mask: right(values.roll(1, 0), mask))
    fair = next(one for one in study.ESTIMATORS if one.name.startswith("rollouts (SeqGAN)"))
    assert study.measure(fair, players, FEW, 7).p < LEVEL


@pytest.mark.parametrize("budget", [1, 4000, 2**28])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_what_rollouts_earn_reaches_the_text_that_earned_it(study: Any, players: Any, count: int, budget: int) -> None:
    """D goes by the first letter, which a text and all its completions share: whatever is drawn, each has its own."""

    class FirstLetter(study.toy.Opinion):  # type: ignore[misc, name-defined]
        def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
            return 10.0 * tokens[:, 1]

    rows = [([0, first, *rest], 1) for first in (3, 1, 2, 1, 3) for rest in ([2, 2], [1, 0], [0])]
    samples = collate(rows, 0)
    plan = Plan(count, study.toy.LENGTH, study.toy.END, study.toy.END, budget=budget)
    found = rollout_values(players.generator, FirstLetter(), samples, reverse_kl, plan, seed=5)
    assert torch.equal(found.values, torch.where(samples.mask, 10.0 * samples.tokens[:, 1:2], 0.0))


def test_the_page_is_what_was_measured() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_estimators.py"))
    text = (ROOT / "docs" / "estimators.md").read_text(encoding="utf-8")
    assert made["page"](text) == text, "run: python docs/make_estimators.py"
