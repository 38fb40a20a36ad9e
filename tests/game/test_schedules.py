"""Temperature schedules: where they begin, where they end, and how they get there."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from mgan.game.schedules import SCHEDULES, temperature

STEPS, LARGEST = 101, 100.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_never_turns_back(name: str) -> None:
    betas = [SCHEDULES[name](i, STEPS, LARGEST) for i in range(STEPS)]
    assert all(a <= b for a, b in pairwise(betas))
    assert betas[0] == pytest.approx(LARGEST if name == "constant" else 1.0, abs=0.01)
    assert LARGEST * 0.95 < betas[-1] <= LARGEST + 1e-9


MIDDLES = {
    "constant": 100.0,
    "linear": 50.5,
    "exponential": 100 ** (50 / 101),
    "logarithmic": 1 + 99 * math.log(51) / math.log(101),
    "sigmoid": 1 + 99 / (1 + math.exp(10 / 101)),
    "quadratic": 1 + 99 / 4,
    "square_root": 1 + 99 * math.sqrt(0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_middle_of_each(name: str) -> None:
    assert SCHEDULES[name](50, STEPS, LARGEST) == pytest.approx(MIDDLES[name])


def test_the_temperature_is_the_inverse_and_stays_at_its_ends() -> None:
    linear = SCHEDULES["linear"]
    assert temperature(linear, 50, STEPS, LARGEST) == pytest.approx(1 / 50.5)
    assert temperature(linear, -5, STEPS, LARGEST) == 1.0
    assert temperature(linear, 500, STEPS, LARGEST) == pytest.approx(0.01)
    with pytest.raises(ValueError, match="two steps"):
        temperature(linear, 0, 1, LARGEST)
