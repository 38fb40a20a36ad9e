"""The moves that ``game.signal`` names. A new way from verdict to gradient is a row here."""

from __future__ import annotations

from collections.abc import Callable

from mgan.config import Adversarial
from mgan.fit.compute import Ledger
from mgan.models.protocols import Generator
from mgan.training.evolution import Evolution
from mgan.training.lessons import Lessons
from mgan.training.near_data import NearData
from mgan.training.policy import Policy
from mgan.training.relaxed import Relaxed
from mgan.training.signal import Signal
from mgan.training.taylor import Taylor
from mgan.training.world import World

Moves = Callable[[World, Adversarial, Ledger, Lessons, Generator], Signal]
MOVES: dict[str, Moves] = {"gumbel": Relaxed, "near_data": NearData, "taylor": Taylor}
"""Every other signal is a reward, and ``Policy`` climbs it."""


def signal(world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator) -> Signal:
    """What both players' moves are. reference: the pre-trained generator, which stands still."""
    moves = Evolution if settings.offspring else MOVES.get(world.settings.game.signal, Policy)
    return moves(world, settings, ledger, lessons, reference)
