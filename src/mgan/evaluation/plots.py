"""The report's pictures: the curves of a run, and the verdict's intervals.

Figures belong to no backend and no global state. Their words are this file's own, never the user's
text: no font has to know the user's script.
"""

from __future__ import annotations

import io
import math
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgan.config import Config
from mgan.evaluation.curves import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    Effect,
    Metrics,
    Panel,
    effects,
    fit_panels,
    game_panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {BLUE: "blue", ORANGE: "orange", GREEN: "green", GREY: "grey", INK: "ink", GRID: "grid"}
STYLE = {
    "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "text.color": INK, "axes.edgecolor": GREY,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.grid": True, "grid.color": GRID,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "svg.fonttype": "none",
    "axes.formatter.useoffset": False, "axes.titleweight": "bold", "axes.titlesize": 10,
}  # fmt: skip
LEGEND = 2
"""Columns of a panel's legend."""
OUTCOME_COLOURS = {"better": BLUE, "worse": ORANGE, "not distinguishable": GREY}


def figure_game(metrics: Metrics, config: Config) -> Figure:
    """The six most telling panels of the game; of a recipe without a game, those of its fit."""
    panels = (game_panels(metrics, config) or fit_panels(metrics, config))[:6]
    columns = min(3, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = _figure(4.2 * columns, 3.1 * rows)
    with _style():
        for place, panel in enumerate(panels, 1):
            draw(panel, figure.add_subplot(rows, columns, place), titled=True)
    return figure


def figure_panel(panel: Panel) -> Figure:
    """One panel without its title, of a size that can be read on a phone."""
    from matplotlib.figure import Figure

    width, height, left, right, bottom, line = 3.9, 2.6, 0.68, 0.1, 0.45, 0.19
    figure = Figure(figsize=(width, height))
    with _style():
        axes = figure.add_subplot()
        draw(panel, axes, titled=False)
    labels = len(axes.get_legend_handles_labels()[1])
    # Margins in inches. To measure every word for them, as a layout engine does, takes longer than to draw it.
    top = height - 0.08 - line * math.ceil(labels / LEGEND)
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, top / height)
    return figure


def figure_verdict(results: dict[str, Any]) -> Figure:
    """Intervals of ours minus theirs, one set of axes a unit; left of zero is better."""
    found = effects(results)
    groups = [[e for e in found if e.unit == unit] for unit in dict.fromkeys(e.unit for e in found)]
    heights = [len(group) + 1.0 for group in groups]
    figure = _figure(4.7, 0.5 + 0.52 * sum(heights))
    with _style():
        if not groups:
            figure.text(0.5, 0.5, "nothing to compare", ha="center", va="center")
            return figure
        grid = figure.add_gridspec(len(groups), 1, height_ratios=heights)
        for place, group in enumerate(groups):
            _forest(figure.add_subplot(grid[place]), group)
    return figure


def draw(panel: Panel, axes: Axes, titled: bool) -> None:
    """``panel`` on ``axes``."""
    if panel.band:
        axes.axhspan(*panel.band, color=GREY, alpha=0.2, linewidth=0, label="undecided")
    for value, label in panel.levels:
        axes.axhline(value, color=GREY, linewidth=1, linestyle=":", label=label or None)
    if panel.mark:
        axes.axvline(panel.mark[0], color=GREY, linewidth=1, linestyle="-.", label=panel.mark[1])
    for line in panel.lines:
        if line.values:
            few = len(line.values) < 2 or line.style == "o"
            axes.plot(
                line.steps, line.values, color=line.colour, label=line.label, alpha=0.4 if line.faint else 1,
                linestyle="none" if line.style == "o" else line.style, linewidth=1 if line.faint else 1.6,
                marker="o" if few else None, markersize=5,
            )  # fmt: skip
    if panel.band:
        # Some room around the band, or a flat curve within it would leave nothing but grey.
        (low, high), (bottom, top) = panel.band, axes.get_ylim()
        axes.set_ylim(min(bottom, 1.5 * low - 0.25), max(top, 1.5 * high - 0.25))
    axes.set_xlabel(panel.step)
    axes.set_ylabel(panel.unit)
    axes.locator_params(axis="x", integer=True)
    _, labels = axes.get_legend_handles_labels()
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=LEGEND, frameon=False, fontsize=8, borderaxespad=0.2,
        handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip
    if titled:
        axes.set_title(panel.title, loc="left", pad=6 + 13 * math.ceil(len(labels) / LEGEND))


def svg(figure: Figure, name: str) -> str:
    """``figure`` as an <svg> element for a page, its colours CSS variables that default to the light ones.

    name: distinct within the page; read out in the picture's place.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    with _style(**{"svg.hashsalt": name}):
        # Figure.savefig would draw all of it once before, for nothing.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    for colour, word in NAMES.items():
        text = text.replace(colour, f"var(--{word}, {colour})")
    return text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)


def save_png(figure: Figure, path: Path | str) -> None:
    """Write ``figure`` as a PNG on white, 150 dots an inch."""
    figure.savefig(path, format="png", dpi=150, facecolor="white")


def _forest(axes: Axes, group: list[Effect]) -> None:
    low, high = min(0.0, *(e.low for e in group)), max(0.0, *(e.high for e in group))
    margin = 0.12 * (high - low) or 0.01
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(len(group) - 0.4, -0.75)
    axes.grid(visible=False)
    axes.axvspan(low - margin, 0, color=BLUE, alpha=0.07, linewidth=0)
    for row, effect in enumerate(group):
        colour = OUTCOME_COLOURS[effect.outcome]
        axes.plot([0, 0], [row - 0.2, row + 0.35], color=INK, linewidth=1)
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([effect.value], [row], color=colour, marker="o", markersize=7)
        words: dict[str, Any] = {"y": row - 0.3, "transform": axes.get_yaxis_transform(), "fontsize": 8}
        axes.text(x=0.01, s=effect.label, **words)
        axes.text(x=0.99, s=effect.figures, ha="right", color=colour, weight="bold", **words)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"← better · {group[0].unit or 'difference of accuracies'} · worse →")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style(**more: Any) -> AbstractContextManager[None]:
    import matplotlib

    settings: Any = STYLE | more
    return matplotlib.rc_context(settings)
