"""Drawing a frontier: measured points in their own units, lines between them, and real text as the mark to hit.

The thin line is the whole sweep, the thick one its Pareto-optimal part with its pointwise band. Where real text's value
is known better means nearer to it, from whichever side. Published curves are grey: other runs, other random numbers,
sometimes other protocols; far ones are cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from textwrap import fill
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mgan.evaluation.curves import BLUE, GREEN, GREY, INK, ORANGE
from mgan.evaluation.frontier import Axes, Axis, Curve, Frontier, band
from mgan.evaluation.label_places import Label, place
from mgan.evaluation.plots import STYLE
from mgan.files import replace

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Canvas
    from matplotlib.figure import Figure

# With curves' three, colours of Okabe & Ito (2008) and Tol (2021) that stay apart and dark enough to be read as text.
COLOURS = (BLUE, ORANGE, GREEN, "#aa3377", "#7a5c00", "#3f4fb5")
MARKERS = "os^DvP"
DASHES = ((5, 2), (1, 1.5), (7, 2, 1, 2), (2, 2), (9, 3), (4, 1, 1, 1, 1, 1))


def figure_frontier(
    curves: Sequence[Curve],
    axes: Axes,
    published: Sequence[Curve] = (),
    real_error: tuple[float, float] | None = None,
    note: str = "",
    confidence: float = 0.95,
    resamples: int = 400,
) -> Figure:
    """One pair of measures: quality to the right, diversity upwards, in measured values.

    Curves of one system share a colour; a system of one curve with known errors has a band. real_error: standard errors
    of real text's two values. note: a line under the picture, e.g. what is wrong with the published curves.
    """
    import matplotlib
    from matplotlib.figure import Figure

    under = fill(_key(confidence, bool(published)), 118) + (f"\n{fill(note, 118)}" if note else "")
    bottom = 0.65 + 0.155 * (1 + under.count("\n"))
    height = bottom + 4.5
    figure = Figure(figsize=(7, height))
    with matplotlib.rc_context(cast(Any, STYLE)):
        canvas = figure.add_axes((0.1, bottom / height, 0.875, 4.06 / height))
        canvas.set_xlabel(_title(axes.quality), parse_math=False)
        canvas.set_ylabel(_title(axes.diversity), parse_math=False)
        _limits(canvas, curves, axes, published)
        labels = _real(canvas, axes, real_error, confidence)
        systems = list(dict.fromkeys(curve.system for curve in curves))
        for i, system in enumerate(systems):
            look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
            labels += _system(canvas, [c for c in curves if c.system == system], axes, look, confidence, resamples)
        for i, curve in enumerate(published):
            labels += _published(canvas, curve, DASHES[i % len(DASHES)], f"published-{i}")
        # Names first: settings are left out where there is no room.
        place(figure, canvas, sorted(labels, key=lambda label: label.style["fontsize"], reverse=True))
        figure.text(0.1, 1 - 0.3 / height, _better(axes), fontsize=9, weight="bold", parse_math=False)
        figure.text(0.012, 0.1 / height, under, fontsize=8, color=GREY, linespacing=1.4, parse_math=False)
    return figure


def save_svg_png(figure: Figure, stem: Path | str) -> tuple[Path, Path]:
    """Write ``stem``.svg, the same bytes every time, and ``stem``.png on white, 150 dots an inch."""
    import matplotlib

    vector, raster = Path(f"{stem}.svg"), Path(f"{stem}.png")
    with matplotlib.rc_context(cast(Any, STYLE | {"svg.hashsalt": "mgan"})):
        replace(vector, lambda path: figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None}))
        replace(raster, lambda path: figure.savefig(path, format="png", facecolor="white", dpi=150))
    return vector, raster


def _system(
    canvas: Canvas, curves: list[Curve], axes: Axes, look: dict[str, Any], confidence: float, resamples: int
) -> list[Label]:
    z = _z(confidence)
    faint = len(curves) > 1
    for curve in curves:
        frontier = Frontier(curve, axes)
        if not faint and all(np.isfinite(curve.points[i].errors).all() for i in np.flatnonzero(curve.finite)):
            _band(canvas, frontier, look["color"], confidence, resamples)
        _lines(canvas, frontier, look["color"], faint)
        x, y = curve.values[curve.finite].T
        errors = np.nan_to_num([curve.points[i].errors for i in np.flatnonzero(curve.finite)]).reshape(-1, 2)
        canvas.errorbar(
            x, y, xerr=z * errors[:, 0], yerr=z * errors[:, 1], linestyle="none", markersize=3.5 if faint else 5.5,
            marker=look["marker"], color=look["color"], markeredgecolor="white", markeredgewidth=0.6, elinewidth=1,
            alpha=0.6 if faint else 1, zorder=4,
        )  # fmt: skip
    shown = [curve for curve in curves if curve.finite.any()][:1]
    return [label for curve in shown for label in _names(curve, look["color"])]


def _names(curve: Curve, colour: str) -> list[Label]:
    """The system's name beside any of its points, and the settings at both ends, in the middle and at 1."""
    at = np.flatnonzero(curve.finite)
    marked = {at[0], at[-1], at[len(at) // 2], *(i for i in at if curve.points[i].label in {"1", "1.0"})}
    style = {"color": colour, "fontsize": 8}
    return [
        Label(curve.system, curve.values[at], {"color": colour, "fontsize": 10.5, "weight": "bold"}, colour),
        *(
            Label(curve.points[i].label, curve.values[[i]], style, colour, needed=False)
            for i in sorted(marked)
            if curve.points[i].label
        ),
    ]


def _published(canvas: Canvas, curve: Curve, dashes: tuple[float, ...], key: str) -> list[Label]:
    found = curve.values[curve.finite]
    alone = {"marker": "x"} if len(found) == 1 else {"linestyle": (0, dashes), "linewidth": 1.3}
    canvas.plot(*found.T, color=GREY, zorder=2, gid=key, **cast(Any, alone))
    (left, right), (bottom, top) = canvas.get_xlim(), canvas.get_ylim()
    x, y = found.T
    inside = found[(x > left) & (x < right) & (y > bottom) & (y < top)]
    return [Label(curve.system, inside, {"color": GREY, "fontsize": 9, "style": "italic"}, key)]


def _lines(canvas: Canvas, frontier: Frontier, colour: str, faint: bool) -> None:
    """Each line of the sweep, thick where nothing on the sweep is better in both costs."""
    share = np.linspace(0, 1, 33)[:, None]
    for (start, end), costs in zip(frontier.lines, frontier.costs, strict=True):
        canvas.plot(*np.stack([start, end]).T, color=colour, linewidth=0.8, alpha=0.6, zorder=3)
        q, d = ((1 - share) * costs[0] + share * costs[1]).T
        places = (1 - share) * start + share * end
        places[d > frontier.diversity_at(q) + 1e-9 * (1 + np.abs(d))] = np.nan
        canvas.plot(*places.T, color=colour, linewidth=1.2 if faint else 2.2, alpha=0.7 if faint else 1, zorder=3)


def _band(canvas: Canvas, frontier: Frontier, colour: str, confidence: float, resamples: int) -> None:
    """The band of costs, carried back to values on the side of real text on which the frontier lies."""
    found = band(frontier.curve, frontier.axes, resamples, confidence=confidence)
    at = frontier.trace(found.grid)
    sides = np.stack([_side(axis, at[:, k]) for k, axis in enumerate(frontier.axes)], axis=1)
    (x, low, high), origin = (found.grid, found.low, found.high), [axis.real or 0.0 for axis in frontier.axes]
    for side in np.unique(sides, axis=0):
        here = (sides == side).all(axis=1)
        canvas.fill_between(
            origin[0] + side[0] * x, origin[1] + side[1] * low, origin[1] + side[1] * high,
            where=here, color=colour, alpha=0.16, linewidth=0, zorder=1,
        )  # fmt: skip


def _side(axis: Axis, values: np.ndarray) -> np.ndarray:
    """±1: on which side of ``axis``'s origin a cost lies."""
    if axis.real is None:
        return np.full(len(values), 1.0 if axis.better == "lower" else -1.0)
    # At real text's own value the worse side, to which a frontier leaves it.
    sides = np.sign(np.round(values - axis.real, 12))
    return np.where(sides == 0, 1.0 if axis.better == "lower" else -1.0, sides)


def _z(confidence: float) -> float:
    """Half the width of a normal interval, in standard errors."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _real(canvas: Canvas, axes: Axes, error: tuple[float, float] | None, confidence: float) -> list[Label]:
    """Real text: a star where both of its values are known, a dotted line where one is."""
    x, y = axes.quality.real, axes.diversity.real
    if x is not None and y is not None:
        wide, high = ([_z(confidence) * e] for e in error) if error else (None, None)
        canvas.errorbar([x], [y], xerr=wide, yerr=high, marker="*", markersize=15, color=INK, elinewidth=1, zorder=5)
        return [Label("real text", np.array([[x, y]]), {"color": INK, "fontsize": 10.5, "weight": "bold"}, INK)]
    for value, draw in ((x, canvas.axvline), (y, canvas.axhline)):
        if value is not None:
            draw(value, color=INK, linewidth=1, linestyle=":", zorder=1)
    return []


def _limits(canvas: Canvas, curves: Sequence[Curve], axes: Axes, published: Sequence[Curve]) -> None:
    """Room for ours and real text, and for published points that are not further off than this is wide."""
    every = [curve.values[curve.finite] for curve in (curves or published)]
    quoted = [curve.values[curve.finite] for curve in published]
    for k, axis in enumerate(axes):
        ours = np.concatenate([*(found[:, k] for found in every), [axis.real] if axis.real is not None else []])
        if not len(ours):
            continue
        low, high = ours.min(), ours.max()
        width = (high - low) or abs(high) or 1.0
        others = np.concatenate([found[:, k] for found in quoted]) if quoted else ours
        near = others[(others > low - width / 2) & (others < high + width / 2)]
        low, high = min(low, near.min(initial=low)), max(high, near.max(initial=high))
        edge = 0.09 * (high - low or width)
        (canvas.set_xlim if k == 0 else canvas.set_ylim)(low - edge, high + edge)


def _title(axis: Axis) -> str:
    real = "" if axis.real is None else f"; real text {axis.real:.3g}"
    return f"{axis.name}{f' ({axis.unit})' if axis.unit else ''}{real}"


def _better(axes: Axes) -> str:
    """Which way is better, in words, with an arrow where both measures have a direction."""
    if all(axis.real is not None for axis in axes):
        return "Better: nearer to real text, from whichever side."
    words = ", ".join(f"{a.name} {a.better if a.real is None else 'nearer to real text’s'}" for a in axes)
    arrows = {
        ("lower", "lower"): "↙ ",
        ("lower", "higher"): "↖ ",
        ("higher", "lower"): "↘ ",
        ("higher", "higher"): "↗ ",
    }
    directed = all(axis.real is None for axis in axes)
    return f"{arrows[axes.quality.better, axes.diversity.better] if directed else ''}Better: {words}."


def _key(confidence: float, published: bool) -> str:
    quoted = " Grey: published by others, not measured here." if published else ""
    return (
        "Thin line: the sweep, small figures its settings. Thick: its Pareto-optimal part; shaded: its pointwise band. "
        f"Bars and band: {confidence:.0%}.{quoted}"
    )
