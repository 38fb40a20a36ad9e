"""Which of two systems is better at which quality: the difference of their frontiers, with simultaneous intervals.

At a quality cost q both reach, the system with the lower diversity cost F(q) dominates. The differences are taken on
one grid, from the best quality that every curve reaches to where no curve's diversity gets any better, and the
intervals hold for the whole grid at once:

- three seeds or more on either side: Student's intervals over seeds, Bonferroni over the grid; paired by seed where
  both sides have the same seeds (Student 1908), Welch's (1947) otherwise. The points' own errors are not needed;
- fewer: the parametric bootstrap of ``frontier.redraw`` and a max-|t| band (Westfall & Young 1993). It knows the error
  of sampling texts, not that of training again, and says so.

A difference that is decided at two neighbours of the grid is called decided between them. The difference of the
dominated areas, up to the same corner, has an interval of its own at the same confidence, outside the joint one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from mgan.evaluation.bootstrap import Estimate
from mgan.evaluation.frontier import Axes, Axis, Curve, Frontier, area_up_to, attained, lines, neighbours, redraw

Method = Literal["paired by seed", "Welch", "parametric bootstrap", "none"]
Winner = Literal["ours", "theirs", "undecided"]

ENOUGH = 3
"""Seeds on either side from which on an interval over seeds is made."""


@dataclass(frozen=True)
class Stretch:
    """Quality costs from ``low`` to ``high`` at which one side dominates, or neither is shown to."""

    winner: Winner
    low: float
    high: float


@dataclass(frozen=True)
class FrontierComparison:
    """Ours minus theirs of F on ``grid`` (quality costs), and ours minus theirs of the dominated area.

    difference, low, high: [q], in the diversity measure's unit; below 0 ours is better. area: above 0 ours is better.
    only: by side, the quality costs, from and to, that it alone was seen to reach; not tested.
    """

    ours: str
    theirs: str
    axes: Axes
    confidence: float
    method: Method
    seeds: tuple[int, int]
    grid: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    corner: tuple[float, float]
    area: Estimate
    only: dict[str, tuple[float, float]]
    notes: tuple[str, ...]

    @property
    def stretches(self) -> list[Stretch]:
        """Neighbours of the grid with the same winner, joined."""
        winners: list[Winner] = [
            "ours" if high < 0 else "theirs" if low > 0 else "undecided"
            for low, high in zip(self.low, self.high, strict=True)
        ]
        return [
            Stretch(winner, float(self.grid[same[0]]), float(self.grid[same[-1]]))
            for winner, group in groupby(range(len(winners)), key=lambda i: winners[i])
            if (same := list(group))
        ]

    @property
    def basis(self) -> str:
        """What the intervals know of."""
        few = "one seed" if max(self.seeds) == 1 else f"fewer than {ENOUGH} seeds"
        if self.method == "parametric bootstrap":
            return f"{few}: sampling error only, not training's"
        return (
            f"{self.seeds[0]} seeds" if self.seeds[0] == self.seeds[1] else f"{self.seeds[0]} and {self.seeds[1]} seeds"
        )

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        if self.method == "none":
            return f"Nothing to compare: {'; '.join(self.notes)}."
        ours, theirs = (
            " and where ".join(where(self.axes.quality, s.low, s.high) for s in self.stretches if s.winner == side)
            for side in ("ours", "theirs")
        )
        said = {
            (True, True): f"{self.ours} dominates {self.theirs} where {ours}, and is dominated where {theirs}",
            (True, False): f"{self.ours} dominates {self.theirs} where {ours} and is dominated nowhere",
            (False, True): f"{self.ours} is dominated by {self.theirs} where {theirs} and dominates nowhere",
            (False, False): f"Undecided: where {where(self.axes.quality, self.grid[0], self.grid[-1])}, neither of "
            f"{self.ours} and {self.theirs} is shown to dominate the other",
        }[bool(ours), bool(theirs)]
        if (ours or theirs) and any(s.winner == "undecided" for s in self.stretches):
            said += "; elsewhere undecided"
        for side, costs in self.only.items():
            said += f"; only {vars(self)[side]} gets to where {where(self.axes.quality, *costs)}"
        return (
            f"{said} ({self.confidence:.0%}, {self.basis}); "
            f"dominated area {_signed(self.area.value)} [{_signed(self.area.low)}, {_signed(self.area.high)}]"
            + "".join(f"; {note}" for note in self.notes)
            + "."
        )

    def as_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "ours": self.ours,
            "theirs": self.theirs,
            "measures": [axis.name for axis in self.axes],
            "confidence": self.confidence,
            "method": self.method,
            "seeds": list(self.seeds),
            "quality_cost": self.grid.tolist(),
            "diversity_cost_difference": self.difference.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "stretches": [vars(stretch) for stretch in self.stretches],
            "corner": [_finite(cost) for cost in self.corner],
            "area": {name: _finite(value) for name, value in vars(self.area).items()},
            "only": {side: list(costs) for side, costs in self.only.items()},
            "notes": list(self.notes),
            "sentence": self.sentence,
        }


def _finite(value: float) -> float | None:
    """JSON has no NaN: where there is nothing to compare, null."""
    return value if np.isfinite(value) else None


def compare_frontiers(
    ours: Sequence[Curve],
    theirs: Sequence[Curve],
    axes: Axes,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    steps: int = 9,
) -> FrontierComparison:
    """Ours against theirs: each one system's curves, a curve a seed. steps: grid points; more widen the intervals."""
    sides = [[Frontier(curve, axes) for curve in side] for side in (ours, theirs)]
    names = [side[0].system if side else who for side, who in ((ours, "ours"), (theirs, "theirs"))]
    notes = [_dropped(frontier) for side in sides for frontier in side if frontier.dropped]
    sides = [[frontier for frontier in side if frontier] for side in sides]
    seeds = (len(sides[0]), len(sides[1]))
    corner = _corner(sides[0] + sides[1])
    method: Method = "parametric bootstrap"
    if not min(seeds):
        notes += [f"{name} has no finite point" for name, count in zip(names, seeds, strict=True) if not count]
        method, grid, value, half = "none", np.empty(0), np.full(1, np.nan), np.full(1, np.nan)
    elif min(seeds) >= ENOUGH:
        paired = _paired(sides)
        method = "paired by seed" if paired else "Welch"
        grid, value, half = _over_seeds(sides, corner, confidence, steps, paired)
    else:
        grid, value, half = _bootstrap(sides, corner, confidence, steps, resamples, seed)
    low, high = value - half, value + half
    return FrontierComparison(
        names[0], names[1], axes, confidence, method, seeds, grid, value[:-1], low[:-1], high[:-1],
        corner, Estimate(float(value[-1]), float(low[-1]), float(high[-1])), _only(sides), tuple(notes),
    )  # fmt: skip


def where(axis: Axis, low: float, high: float) -> str:
    """Quality costs in words, e.g. ``BLEU-5 is 0.02 to 0.08 from real text's 0.28``."""
    if axis.real is not None:
        return f"{axis.name} is {_range(low, high)} from real text's {_plain(axis.real)}"
    low, high = (low, high) if axis.better == "lower" else (-high, -low)
    return f"{axis.name} is {'between ' if low < high else ''}{_range(low, high, ' and ')}"


def _over_seeds(
    sides: list[list[Frontier]], corner: tuple[float, float], confidence: float, steps: int, paired: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The grid, the differences on it and last that of the areas, and half the widths of their intervals."""
    from scipy import stats  # takes seconds to import

    grid = _grid(max(frontier.reach[0] for side in sides for frontier in side), sides, steps)
    ours, theirs = (np.array([[*f.diversity_at(grid), f.dominated_area(corner)] for f in side]) for side in sides)
    if paired:
        squares = (ours - theirs).var(axis=0, ddof=1) / len(ours)
        freedom = np.full(len(squares), len(ours) - 1)
    else:
        parts = [side.var(axis=0, ddof=1) / len(side) for side in (ours, theirs)]
        squares = parts[0] + parts[1]
        shares = parts[0] ** 2 / (len(ours) - 1) + parts[1] ** 2 / (len(theirs) - 1)
        freedom = np.divide(squares**2, shares, out=np.ones_like(squares), where=shares > 0)
    alpha = (1 - confidence) / np.append(np.full(len(grid), len(grid)), 1)
    return grid, ours.mean(axis=0) - theirs.mean(axis=0), stats.t.ppf(1 - alpha / 2, freedom) * np.sqrt(squares)


def _bootstrap(
    sides: list[list[Frontier]],
    corner: tuple[float, float],
    confidence: float,
    steps: int,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As ``_over_seeds``. The grid begins where every redrawn curve reaches, so that no difference is infinite."""
    rng = np.random.default_rng(seed)
    # Real text's value was measured too: it is moved, for both sides alike, as far as it may be wrong.
    moved = rng.standard_normal((resamples, 1, 2)) * [axis.real_error for axis in sides[0][0].axes]
    drawn = [[_redrawn(frontier, resamples, rng, moved) for frontier in side] for side in sides]
    grid = _grid(max(float(c[..., 0].min(axis=(1, 2)).max()) for costs in drawn for c in costs), sides, steps)
    value, resampled = np.zeros(len(grid) + 1), np.zeros((resamples, len(grid) + 1))
    for sign, side, costs in zip((1, -1), sides, drawn, strict=True):
        for frontier, cost in zip(side, costs, strict=True):
            value += sign / len(side) * np.append(frontier.diversity_at(grid), frontier.dominated_area(corner))
            areas = [area_up_to(one, corner) for one in cost]
            resampled += sign / len(side) * np.column_stack([attained(cost, grid), areas])
    joint, area = slice(None, -1), slice(-1, None)
    half = [_max_t(value[part], resampled[:, part], confidence) for part in (joint, area)]
    return grid, value, np.concatenate(half)


def _redrawn(frontier: Frontier, resamples: int, rng: np.random.Generator, moved: np.ndarray) -> np.ndarray:
    """[R, S, 2 ends, 2]: the costs of the lines of redrawn curves. moved: [R, 1, 2], how far real text moved."""
    values = redraw(frontier.curve, resamples, rng) - moved
    return frontier.axes.costs(lines(values, neighbours(frontier.curve.finite), frontier.axes))


def _max_t(value: np.ndarray, resampled: np.ndarray, confidence: float) -> np.ndarray:
    """Half the widths [k] of a simultaneous band around ``value`` [k], as wide everywhere in standard errors."""
    error = resampled.std(axis=0)
    deviation = np.abs(resampled - value)
    largest = np.divide(deviation, error, out=np.zeros_like(deviation), where=error > 0).max(axis=1)
    return np.asarray(np.quantile(largest, confidence) * error)


def _paired(sides: list[list[Frontier]]) -> bool:
    """Whether both sides have the same seeds; puts them in the same order."""
    seeds = [[frontier.curve.seed for frontier in side] for side in sides]
    if any(seed is None or side.count(seed) > 1 for side in seeds for seed in side) or set(seeds[0]) != set(seeds[1]):
        return False
    for side in sides:
        side.sort(key=lambda frontier: frontier.curve.seed or 0)
    return True


def _grid(left: float, sides: list[list[Frontier]], steps: int) -> np.ndarray:
    right = max(frontier.reach[1] for side in sides for frontier in side)
    return np.linspace(left, right, steps) if left < right else np.array([left])


def _corner(frontiers: list[Frontier]) -> tuple[float, float]:
    """The worst of both costs on any of the frontiers."""
    worst = [float(f.diversity_at(np.array([f.reach[0]]))[0]) for f in frontiers]
    return max((f.reach[1] for f in frontiers), default=np.nan), max(worst, default=np.nan)


def _only(sides: list[list[Frontier]]) -> dict[str, tuple[float, float]]:
    """Quality costs that all of one side's curves reach and none of the other's."""
    best = [max((f.reach[0] for f in side), default=np.inf) for side in sides]
    pairs = zip(("ours", "theirs"), sides, best, reversed(sides), strict=True)
    found = {who: (left, min((f.reach[0] for f in other), default=-np.inf)) for who, _, left, other in pairs}
    return {who: (low, high) for who, (low, high) in found.items() if low < high}


def _dropped(frontier: Frontier) -> str:
    seed = "" if frontier.curve.seed is None else f" (seed {frontier.curve.seed})"
    labels = ", ".join(frontier.dropped)
    return f"left out of {frontier.curve.system}{seed}, not finite: {labels}"


def _plain(value: float) -> str:
    return f"{round(value, 12) + 0.0:.3g}"


def _signed(value: float) -> str:
    return f"{round(value, 12) + 0.0:+.3g}"


def _range(low: float, high: float, to: str = " to ") -> str:
    first, last = _plain(low), _plain(high)
    return first if first == last else first + to + last
