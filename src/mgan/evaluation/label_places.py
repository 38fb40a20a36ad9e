"""Placing labels on a chart, so that names stand beside what they name instead of in a legend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR, DOUBT, COVERED, CROWDED = 0.25, 12.0, 2.0, 10.0
"""Costs of a point of distance, of being nearer to something else, of each pixel covered; and when one gives up."""


@dataclass(frozen=True)
class Label:
    """Words to place beside one of ``anchors`` [n, 2], in data units; left out where it is crowded unless ``needed``.

    key: the colour, or where several share one the gid, of what it names.
    """

    text: str
    anchors: np.ndarray
    style: dict[str, Any]
    key: str
    needed: bool = True


@dataclass(frozen=True)
class Ink:
    """Pixels [n, 2] along every line and error bar of a chart, and whose each is [n]."""

    pixels: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, axes: Axes) -> Ink:
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_hex

        paths = [(line.get_gid() or to_hex(line.get_color()), line.get_xydata()) for line in axes.get_lines()]
        for bars in axes.collections:
            if isinstance(bars, LineCollection):
                paths += [(to_hex(cast(Any, bars.get_color())[0]), segment) for segment in bars.get_segments()]
        drawn = [(key, _steps(axes.transData.transform(np.asarray(path, dtype=float)))) for key, path in paths]
        keys = np.concatenate([[], *([key] * len(pixels) for key, pixels in drawn)])
        return cls(np.concatenate([np.empty((0, 2)), *(pixels for _, pixels in drawn)]), keys)


def place(figure: Figure, axes: Axes, labels: list[Label]) -> None:
    """Write each label, the first first, where it covers little and overlaps no other.

    One that stands nearer to something else than to what it names is joined to it by a thin line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer: Any = cast(Any, FigureCanvasAgg(figure)).get_renderer()
    frame, ink = axes.get_window_extent(renderer), Ink.of(axes)
    taken: list[np.ndarray] = []
    for label in labels:
        text = axes.text(0, 0, label.text, transform=None, va="bottom", parse_math=False, zorder=6, **label.style)
        extent = text.get_window_extent(renderer)
        size, best = np.array([extent.width, extent.height]), (np.inf, False, np.zeros(2))
        own = axes.transData.transform(label.anchors.reshape(-1, 2))
        foreign = ink.pixels[ink.keys != label.key]
        for low, far in _places(own, size, figure.dpi / 72):
            clear = not any((low < box[1]).all() and (low + size > box[0]).all() for box in taken)
            if clear and (low > frame.min).all() and (low + size < frame.max).all():
                doubtful = bool(_away(own, low, size).min() > _away(foreign, low, size).min(initial=np.inf))
                covered = int((_away(ink.pixels, low, size) < 3).sum())
                cost = FAR * far + DOUBT * doubtful + COVERED * covered
                best = min(best, (cost, doubtful, low), key=lambda scored: scored[0])
        cost, doubtful, low = best
        if not np.isfinite(cost) or (cost > CROWDED and not label.needed):
            text.remove()
            continue
        inward = axes.transAxes.inverted()
        text.set(position=tuple(inward.transform(low)), transform=axes.transAxes)
        taken.append(np.stack([low - 1, low + size + 1]))
        if doubtful:
            near = own[_away(own, low, size).argmin()]
            ends = inward.transform([near, np.clip(near, low, low + size)]).T
            axes.plot(*ends, color=label.style["color"], linewidth=0.7, transform=axes.transAxes, zorder=2)


def _steps(path: np.ndarray, step: float = 3.0) -> np.ndarray:
    """[n, 2]: places along a path of pixels, ``step`` apart; the finite corners of a path are taken for all of it."""
    corners = path[np.isfinite(path).all(axis=1)]
    if len(corners) < 2:
        return np.repeat(corners, 5, axis=0)  # a lone mark is as large as some steps
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))
    at = np.append(np.arange(0, along[-1], step), along[-1])
    return np.stack([np.interp(at, along, x) for x in corners.T], axis=1)


def _places(anchors: np.ndarray, size: np.ndarray, point: float) -> Iterator[tuple[np.ndarray, float]]:
    """Lower left corners around each anchor, in pixels, and how many points off. point: pixels a point."""
    for anchor in anchors:
        for reach in (6.0, 11.0, 18.0, 28.0):
            for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1), (1.2, 0), (-1.2, 0), (0, 1.2), (0, -1.2)):
                way = np.array([x, y])
                yield anchor + reach * point * way + (np.sign(way) - 1) / 2 * size, reach


def _away(pixels: np.ndarray, low: np.ndarray, size: np.ndarray) -> np.ndarray:
    """[n]: distances of pixels from a box, 0 inside."""
    beyond = np.maximum(0, np.maximum(low - pixels, pixels - low - size))
    return np.asarray(np.linalg.norm(beyond, axis=1))
