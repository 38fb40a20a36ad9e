"""Temperatures of a Gumbel-softmax over a game (RelGAN: Nie et al. 2019).

The relaxation is softmax(beta (logits + noise)): beta = 1/tau, the inverse temperature, grows from 1, where the
texts are soft and the gradient is gentle, to ``largest``, where they are nearly one-hot.

``step`` counts from 0 to ``steps`` - 1; there are two at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int, int, float], float]
"""(step, steps, largest) to beta."""


def constant(step: int, steps: int, largest: float) -> float:
    return largest


def linear(step: int, steps: int, largest: float) -> float:
    return 1 + (largest - 1) * step / (steps - 1)


def exponential(step: int, steps: int, largest: float) -> float:
    """largest^(step/steps): the paper's own choice. It ends one step short of ``largest``."""
    return float(largest ** (step / steps))


def logarithmic(step: int, steps: int, largest: float) -> float:
    return 1 + (largest - 1) * math.log(step + 1) / math.log(steps)


def sigmoid(step: int, steps: int, largest: float) -> float:
    """Half of the way at half of the game, and nine tenths of it between 35 and 65 %."""
    return 1 + (largest - 1) / (1 + math.exp(20 * (0.5 - step / steps)))


def quadratic(step: int, steps: int, largest: float) -> float:
    return 1 + (largest - 1) * (step / (steps - 1)) ** 2


def square_root(step: int, steps: int, largest: float) -> float:
    return 1 + (largest - 1) * math.sqrt(step / (steps - 1))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "linear": linear,
    "exponential": exponential,
    "logarithmic": logarithmic,
    "sigmoid": sigmoid,
    "quadratic": quadratic,
    "square_root": square_root,
}


def temperature(schedule: Schedule, step: int, steps: int, largest: float) -> float:
    """tau = 1/beta of a step; before the first and after the last step what it is there."""
    if steps < 2:
        raise ValueError(f"a schedule needs two steps at least, not {steps}")
    return 1 / schedule(min(max(step, 0), steps - 1), steps, largest)
