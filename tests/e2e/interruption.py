"""Listeners that stop a run, as Ctrl-C or a kill would, and what two runs must have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mgan.types import Silent


class Killer(Silent):
    """Interrupts the run after so many steps of the game."""

    def __init__(self, steps: int):
        self.steps = steps

    def advance(self, phase: str, step: int, metrics: Any) -> None:
        if phase == "adversarial" and step == self.steps:
            raise KeyboardInterrupt


class Killed(BaseException):
    """What no code of ours catches."""


class KillAt(Silent):
    """Kills the run at a step of a phase."""

    def __init__(self, phase: str, step: int):
        self.moment = (phase, step)

    def advance(self, phase: str, step: int, metrics: Any) -> None:
        if (phase, step) == self.moment:
            raise Killed


def untimed(run: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without what a clock says."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "throughput")} for line in lines]
