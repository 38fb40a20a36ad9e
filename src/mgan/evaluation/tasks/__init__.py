"""What a run is for beside likelihood: one file a task, each pure functions of held-out prompts and what was written.

A task's module holds ``measure``, ``TITLES``, ``REAL`` and ``DECODING``, as ``Task`` says; ``evaluation.task`` names
it, and ``training.task`` has every system of a run answer the same prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from mgan.evaluation.bootstrap import Estimate, Intervals

Decoding = Literal["sample", "greedy", "beam"]


@dataclass(frozen=True)
class Asked:
    """A held-out prompt, "" where there is none, and its real texts, one or more. label: the text's class, or None."""

    prompt: str
    references: tuple[str, ...]
    label: str | None = None


class Task(Protocol):
    """A module of this folder."""

    TITLES: Mapping[str, tuple[str, str]]
    """Of each measure, in the order they are shown: its title, and what it means with unit and direction."""
    REAL: bool
    """Whether the first real text of every prompt is measured as a system too: what to aim at."""
    DECODING: Decoding
    """How a system answers: a draw at its sampling temperature, the likeliest token each time, or what a beam finds."""

    def measure(self, asked: Sequence[Asked], outputs: Sequence[str], intervals: Intervals) -> dict[str, Estimate]:
        """outputs: one for each that was asked. intervals: over these. A measure that does not apply is left out."""
        ...


def named(name: str) -> Task:
    """The module of ``evaluation.task``."""
    return cast(Task, import_module(f"{__name__}.{name}"))
