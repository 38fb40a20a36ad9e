"""The quality–diversity frontier of a system: what it reaches as one decoding setting is swept.

Lowering the temperature buys quality with diversity, so one measured point says nothing: maximum likelihood at some
other temperature may be better in both (Caccia et al. 2020, Language GANs Falling Short). A system is its whole sweep.

Each measure becomes a cost, lower is better: the distance from real text's own value where that is known, because
passing it is as wrong as missing it; otherwise the value, or its negative. Neighbours of the sweep are joined by a
straight line, for the setting is continuous; where a line passes real text's value its cost is 0. The frontier is the
lower-left envelope of these lines:

    F(q) = min { diversity cost d : (q', d) on a line, q' ≤ q }

the diversity within reach if the quality cost may be q; it never rises. Left of the best quality it is infinite, right
of the best diversity it stays. Points that are not finite (top-p gives an infinite NLL) are left out and the line is
interrupted there. Trap: chance dips become part of an envelope, so a noisier measurement flatters: compare systems
measured on equally many texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from mgan.evaluation.jackknife import covariance


@dataclass(frozen=True)
class Axis:
    """A measure. real: the value of real text of the same number, where it is known; real_error: its standard error."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    real: float | None = None
    real_error: float = 0.0

    def cost(self, values: np.ndarray | float) -> np.ndarray:
        """|value − real| if real is known, else the value or its negative; in the measure's unit, lower is better."""
        values = np.asarray(values, dtype=float)
        if self.real is not None:
            return np.abs(values - self.real)
        return values if self.better == "lower" else -values


class Axes(NamedTuple):
    """The pair of measures that one frontier is about."""

    quality: Axis
    diversity: Axis

    def costs(self, values: np.ndarray) -> np.ndarray:
        """[..., 2] measured values as costs of the same shape."""
        return np.stack([self.quality.cost(values[..., 0]), self.diversity.cost(values[..., 1])], axis=-1)


@dataclass(frozen=True)
class Point:
    """One setting's measured values and standard errors (NaN: not known). label: the setting, e.g. ``0.7``.

    replicates: [g, 2] delete-a-group jackknife values of quality and diversity; where given they say the errors and
    their correlation, and the two errors are not read.
    """

    label: str
    quality: float
    diversity: float
    quality_error: float = float("nan")
    diversity_error: float = float("nan")
    replicates: np.ndarray | None = None

    @property
    def spread(self) -> np.ndarray:
        """[2, 2]: the covariance matrix of the two values; NaN where the errors are not known."""
        if self.replicates is not None:
            return covariance(np.asarray(self.replicates, dtype=float))
        return np.diag(np.square([self.quality_error, self.diversity_error]))

    @property
    def errors(self) -> np.ndarray:
        """[2]: the standard errors of the two values."""
        return np.asarray(np.sqrt(np.diag(self.spread)))


@dataclass(frozen=True)
class Curve:
    """A system's points in the order of its sweep. seed: of the training run; None where it is not known."""

    system: str
    seed: int | None
    points: tuple[Point, ...]

    @property
    def values(self) -> np.ndarray:
        """[points, 2]."""
        return np.array([[p.quality, p.diversity] for p in self.points], dtype=float).reshape(-1, 2)

    @property
    def finite(self) -> np.ndarray:
        """[points], bool."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


class Frontier:
    """The lower-left envelope of a curve's lines. lines: [S, 2 ends, 2] values, none of which passes real text's."""

    def __init__(self, curve: Curve, axes: Axes) -> None:
        self.curve, self.axes = curve, axes
        self.dropped = tuple(p.label for p, kept in zip(curve.points, curve.finite, strict=True) if not kept)
        self.lines = lines(curve.values, neighbours(curve.finite), axes)
        self.costs = axes.costs(self.lines)

    def __bool__(self) -> bool:
        return len(self.lines) > 0

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The lowest quality cost, and the one from which on diversity is as good as it gets."""
        ends = self.costs.reshape(-1, 2)
        if not len(ends):
            return np.inf, -np.inf
        return float(ends[:, 0].min()), float(ends[ends[:, 1] == ends[:, 1].min(), 0].min())

    def diversity_at(self, quality_cost: np.ndarray) -> np.ndarray:
        """F at each quality cost [q]; infinite where the system does not reach it."""
        return attained(self.costs, np.asarray(quality_cost, dtype=float))

    def trace(self, quality_cost: np.ndarray) -> np.ndarray:
        """[q, 2]: the measured values, not the costs, that attain F; NaN where nothing does."""
        grid = np.asarray(quality_cost, dtype=float)
        if not self:
            return np.full((len(grid), 2), np.nan)
        found, along = _each(self.costs, grid)
        best = found.argmin(axis=0)
        share = np.take_along_axis(along, best[None], axis=0)[0][:, None]
        values = (1 - share) * self.lines[best, 0] + share * self.lines[best, 1]
        return np.where(np.isfinite(found.min(axis=0))[:, None], values, np.nan)

    def dominated_area(self, corner: tuple[float, float]) -> float:
        """``area_up_to`` of this frontier."""
        return area_up_to(self.costs, corner)


@dataclass(frozen=True)
class Band:
    """A pointwise percentile band of F. grid: [q] quality costs; low, high: [q] diversity costs, NaN out of reach."""

    grid: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(
    curve: Curve, axes: Axes, resamples: int = 1000, seed: int = 0, confidence: float = 0.95, steps: int = 101
) -> Band:
    """The frontier's band by the parametric bootstrap: the envelope is computed again for every redrawn curve.

    Where the upper end is NaN, some of the redrawn curves do not reach that quality.
    """
    left, right = Frontier(curve, axes).reach
    if not np.isfinite(left):
        return Band(*np.full((3, 0), np.nan))
    grid = np.linspace(left, right, steps)
    drawn = redraw(curve, resamples, np.random.default_rng(seed))
    found = attained(axes.costs(lines(drawn, neighbours(curve.finite), axes)), grid)
    tail = (1 - confidence) / 2
    # Without interpolation: between a finite value and infinity there is nothing.
    low = np.quantile(found, tail, axis=0, method="lower")
    high = np.quantile(found, 1 - tail, axis=0, method="higher")
    return Band(grid, *(np.where(np.isfinite(end), end, np.nan) for end in (low, high)))


def redraw(curve: Curve, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """[R, points, 2]: every finite point drawn from a normal around its value, the others NaN.

    With g replicates it is Student's t of g − 1 degrees of freedom, for the covariance is itself estimated. Points are
    drawn apart from each other, though they may share reference texts: their common error is taken for each one's own,
    which widens a comparison of systems rather than narrowing it.
    """
    drawn = np.full((resamples, len(curve.points), 2), np.nan)
    for i in np.flatnonzero(curve.finite):
        point = curve.points[i]
        if not np.isfinite(point.spread).all():
            raise ValueError(f"{curve.system} at {point.label} has no standard errors: measure them, or three seeds")
        noise = rng.multivariate_normal(np.zeros(2), point.spread, size=resamples, method="eigh")
        if point.replicates is not None:
            freedom = len(point.replicates) - 1
            noise *= np.sqrt(freedom / rng.chisquare(freedom, size=(resamples, 1)))
        drawn[:, i] = curve.values[i] + noise
    return drawn


def neighbours(finite: np.ndarray) -> np.ndarray:
    """[S, 2]: the pairs of points that a line joins; a point without a finite neighbour is paired with itself."""
    at = np.flatnonzero(finite)
    joined = np.array([(i, i + 1) for i in at if i + 1 in at], dtype=int).reshape(-1, 2)
    alone = np.setdiff1d(at, joined)
    return np.concatenate([joined, np.stack([alone, alone], axis=1)])


def lines(values: np.ndarray, pairs: np.ndarray, axes: Axes) -> np.ndarray:
    """[..., 3 S, 2 ends, 2]: the lines between ``pairs`` of ``values`` [..., points, 2], cut where a cost would be 0.

    A line that needs no cut comes with pieces of length 0, which change nothing.
    """
    ends = values[..., pairs, :]
    start, step = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    cuts = [np.zeros(start.shape[:-1]), np.ones(start.shape[:-1])]
    for k, axis in enumerate(axes):
        at = np.ones_like(start[..., k])
        if axis.real is not None:
            np.divide(axis.real - start[..., k], step[..., k], out=at, where=step[..., k] != 0)
        cuts.append(np.clip(at, 0, 1))
    shares = np.sort(np.stack(cuts, axis=-1), axis=-1)[..., None]
    places = start[..., None, :] + shares * step[..., None, :]
    pieces = np.stack([places[..., :-1, :], places[..., 1:, :]], axis=-2)
    return pieces.reshape(*values.shape[:-2], -1, 2, 2)


def attained(costs: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """[..., q]: F at ``grid`` [q] from the costs of lines [..., S, 2 ends, 2]."""
    if not costs.shape[-3]:
        return np.full((*costs.shape[:-3], len(grid)), np.inf)
    return np.asarray(_each(costs, grid)[0].min(axis=-2))


def area_up_to(costs: np.ndarray, corner: tuple[float, float]) -> float:
    """∫ max(0, corner's diversity cost − F(q)) dq up to the corner's quality cost: the hypervolume indicator.

    Zitzler & Thiele 1998 (PPSN V). In the product of the two units, 0 or more, higher is better. Depends on the
    corner: only areas up to the same one compare. Exact: F is linear between breakpoints. costs: lines [S, 2 ends, 2].
    """
    # Pieces of length 0 are ends of others, unless a line's first is all there is of it.
    costs = costs[(costs[:, 0] != costs[:, 1]).any(axis=1) | (np.arange(len(costs)) % 3 == 0)]
    left = costs[..., 0].min(initial=np.inf)
    if left >= corner[0]:
        return 0.0
    breaks = _breakpoints(costs, corner[1])
    breaks = np.sort(np.append(breaks[(breaks > left) & (breaks < corner[0])], (left, corner[0])))
    height = corner[1] - attained(costs, (breaks[1:] + breaks[:-1]) / 2)
    return float(np.diff(breaks) @ np.maximum(height, 0.0))


def _each(costs: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each line's own F [..., S, q], and how far along the line it is attained, from 0 to 1."""
    turned = (costs[..., 0, 0] > costs[..., 1, 0])[..., None]
    ordered = np.where(turned[..., None], costs[..., ::-1, :], costs)[..., None]
    left, right = ordered[..., 0, :, :], ordered[..., 1, :, :]
    width = right[..., 0, :] - left[..., 0, :]
    offset = grid - left[..., 0, :]
    share = np.clip(np.divide(offset, width, out=np.ones_like(offset), where=width > 0), 0, 1)
    share = np.where(right[..., 1, :] < left[..., 1, :], share, 0.0)
    value = left[..., 1, :] + share * (right[..., 1, :] - left[..., 1, :])
    return np.where(offset >= 0, value, np.inf), np.where(turned, 1 - share, share)


def _breakpoints(costs: np.ndarray, height: float) -> np.ndarray:
    """Quality costs between which F, and max(0, height − F), are linear: ends, and where falling lines cross."""
    (q0, q1), (d0, d1) = costs[..., 0].T, costs[..., 1].T
    falling = (d1 - d0) * (q1 - q0) < 0
    slope = ((d1 - d0)[falling] / (q1 - q0)[falling])[:, None]
    base = d0[falling][:, None] - slope * q0[falling][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        met = (base - base.T) / (slope.T - slope)
    crossed = (np.append(costs[..., 1], height) - base) / slope
    return np.concatenate([costs[..., 0].ravel(), crossed.ravel(), met.ravel()])
