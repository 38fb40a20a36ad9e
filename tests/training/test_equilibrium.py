"""When the game is over, on made-up sequences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mgan.config import Equilibrium as Settings
from mgan.training.equilibrium import Equilibrium

SETTINGS = Settings(band=0.03, window=5, evaluations=6)


def observed(accuracies: list[float]) -> Equilibrium:
    equilibrium = Equilibrium(SETTINGS)
    for accuracy in accuracies:
        equilibrium.observe(accuracy)
    return equilibrium


def measured(scores: list[float], every: int = 10) -> Equilibrium:
    equilibrium = Equilibrium(SETTINGS)
    for i, score in enumerate(scores):
        equilibrium.measure(every * i, score)
    return equilibrium


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.5] * 4, False),  # not a whole window yet
        ([0.5] * 5, True),
        ([0.9] * 20 + [0.5] * 5, True),  # only the window counts
        ([0.5] * 20 + [0.9] * 1, False),
        ([0.3, 0.7, 0.5, 0.4, 0.6], True),  # the mean of a round's noise
        ([0.535] * 5, False),
        ([0.465] * 5, False),  # worse than guessing is not undecided either
        ([0.525] * 5, True),
        ([], False),
    ],
)
def test_undecided_is_a_whole_window_within_the_band(accuracies: list[float], expected: bool) -> None:
    assert observed(accuracies).undecided() is expected


@pytest.mark.parametrize(("accuracy", "expected"), [(0.5, True), (0.52, True), (0.48, True), (0.54, False), (0, False)])
def test_the_band_is_around_one_half(accuracy: float, expected: bool) -> None:
    assert Equilibrium(SETTINGS).within_band(accuracy) is expected


def test_a_score_that_still_falls_or_rises_has_not_settled() -> None:
    noise = [0.01, -0.02, 0.015, -0.01, 0.02, -0.015]
    assert not measured([5 - 0.1 * i + noise[i] for i in range(6)]).settled()
    assert not measured([5 + 0.1 * i + noise[i] for i in range(6)]).settled()
    assert not measured([5 - 0.1 * i for i in range(6)]).settled()


def test_a_score_that_wavers_or_stands_has_settled() -> None:
    assert measured([4.1, 4.0, 4.1, 4.0, 4.1, 4.0]).settled()
    assert measured([4.0] * 6).settled()


def test_too_few_measures_say_nothing_and_old_ones_are_forgotten() -> None:
    assert not measured([4.0] * 5).settled()
    assert measured([9.0, 8.0, 7.0, 6.0, *[4.1, 4.0, 4.1, 4.0, 4.1, 4.0]]).settled()
    assert not measured([*[4.1, 4.0] * 5, 3.9, 3.5, 3.0, 2.5, 2.0, 1.5]).settled()


def test_a_score_without_a_trend_is_called_settled_nineteen_times_in_twenty() -> None:
    source = np.random.default_rng(0)
    called = [measured(source.normal(4, 0.1, 6).tolist()).settled() for _ in range(2000)]
    assert np.mean(called) == pytest.approx(0.95, abs=0.02)


def test_a_new_discriminator_is_judged_by_its_own_rounds_and_the_generator_keeps_its_history() -> None:
    equilibrium = observed([0.5] * 5)
    for i in range(6):
        equilibrium.measure(i, 4.0)
    equilibrium.restart()
    assert not equilibrium.undecided() and equilibrium.settled()
    for _ in range(5):
        equilibrium.observe(0.5)
    assert equilibrium.undecided()


def test_it_goes_on_from_its_state() -> None:
    whole, first = Equilibrium(SETTINGS), Equilibrium(SETTINGS)
    source = np.random.default_rng(1)
    resumed = None
    for i in range(30):
        accuracy, score = float(source.normal(0.5, 0.02)), float(source.normal(4, 0.1))
        for equilibrium in (whole, resumed or first):
            equilibrium.observe(accuracy)
            equilibrium.measure(i, score)
        if i == 12:
            resumed = Equilibrium(SETTINGS)
            resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
        if resumed:
            assert resumed.state_dict() == whole.state_dict()
            assert (resumed.undecided(), resumed.settled()) == (whole.undecided(), whole.settled())
