"""A listener that stops a run as Ctrl-C would."""

from __future__ import annotations

from typing import Any

from mgan.types import Silent


class Killer(Silent):
    """Interrupts the run after so many steps of the game."""

    def __init__(self, steps: int):
        self.steps = steps

    def advance(self, phase: str, step: int, metrics: Any) -> None:
        if phase == "adversarial" and step == self.steps:
            raise KeyboardInterrupt
