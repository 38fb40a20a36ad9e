"""The report's pictures: the curves of a run, and the verdict's intervals.

Figures belong to no backend and no global state. Their words are this file's own, never the user's
text: no font has to know the user's script.
"""

from __future__ import annotations

import io
import math
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgan.config import Config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = list[dict[str, Any]]

# Okabe & Ito (2008): told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, GREY, INK, GRID = "#0072b2", "#d55e00", "#009e73", "#69717a", "#24292f", "#d8dce1"
NAMES = {BLUE: "blue", ORANGE: "orange", GREEN: "green", GREY: "grey", INK: "ink", GRID: "grid"}
STYLE = {
    "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "text.color": INK, "axes.edgecolor": GREY,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.grid": True, "grid.color": GRID,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "svg.fonttype": "none",
    "axes.formatter.useoffset": False, "axes.titleweight": "bold", "axes.titlesize": 10,
}  # fmt: skip
OUTCOME_COLOURS = {"better": BLUE, "worse": ORANGE, "not distinguishable": GREY}


@dataclass(frozen=True)
class Line:
    """One series: ``steps`` and ``values`` alike in length, all finite. style: ``-``, ``--``, ``o`` (points)."""

    label: str
    colour: str
    steps: list[int]
    values: list[float]
    style: str = "-"
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """One set of axes. levels: labelled horizontal lines; band: shaded from, to; mark: a labelled step."""

    title: str
    step: str
    unit: str
    lines: tuple[Line, ...]
    levels: tuple[tuple[float, str], ...] = ()
    band: tuple[float, float] | None = None
    mark: tuple[int, str] | None = None

    def __bool__(self) -> bool:
        return any(line.values for line in self.lines)


@dataclass(frozen=True)
class Effect:
    """Ours minus theirs with its interval; lower is better."""

    label: str
    unit: str
    value: float
    low: float
    high: float

    @property
    def outcome(self) -> str:
        if self.high < 0:
            return "better"
        return "worse" if self.low > 0 else "not distinguishable"

    @property
    def figures(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]".replace("-", "−")


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def series(metrics: Metrics, phase: str, key: str) -> tuple[list[int], list[float]]:
    """Steps at which ``key`` was measured in ``phase``, and its values, without null and missing ones."""
    points = [(r["step"], r[key]) for r in metrics if r.get("phase") == phase and finite(r.get(key))]
    return [int(step) for step, _ in points], [float(value) for _, value in points]


def kept_round(metrics: Metrics, phase: str = "adversarial") -> int | None:
    """The round whose averaged weights had the best validation score; 0 is the pre-trained generator."""
    steps, values = _measured(metrics, phase, "score")
    return min(zip(values, steps, strict=True))[1] if steps else None


def game_panels(metrics: Metrics, config: Config, phase: str = "adversarial") -> list[Panel]:
    """What there is to see of one game, the most telling first. phase: ``adversarial`` or ``control``."""

    def line(label: str, colour: str, key: str, style: str = "-") -> Line:
        return Line(label, colour, *series(rounds, phase, key), style)

    def floor(key: str, share: float) -> tuple[tuple[float, str], ...]:
        return tuple((share * value, "floor") for value in _first(metrics, phase, key))

    # What is measured before the first round is the averaged generator, on other samples.
    rounds = [record for record in metrics if record["step"] > 0]
    steps, accuracy = series(rounds, phase, "heldout_accuracy")
    window, kept = config.equilibrium.window, kept_round(metrics, phase)
    panels = [
        Panel(
            "What the discriminator says", "round", "probability of real",
            (line("D(x)", BLUE, "d_real"), line("D(G(z))", ORANGE, "d_fake")), ((0.5, ""),),
        ),
        Panel(
            "Can it tell?", "round", "balanced accuracy",
            (
                Line("held-out", BLUE, steps, accuracy, faint=True),
                Line(f"its mean of {window} rounds", BLUE, steps, _moving_mean(accuracy, window)),
                line("training batch", ORANGE, "train_accuracy"),
                line("new discriminator", GREEN, "fresh_accuracy", "o"),
            ),
            band=_band(config),
        ),
        Panel(
            "Validation measures", "round", "change, nats a token",
            (
                _change("NLL", BLUE, *_measured(metrics, phase, "nll")),
                _change("n-gram gap", GREEN, *_measured(metrics, phase, "gap"), style="--"),
                _change("score", ORANGE, *_measured(metrics, phase, "score")),
            ),
            mark=None if kept is None else (kept, f"kept: round {kept}"),
        ),
        Panel(
            "Entropy", "round", "nats a token",
            (
                line("samples of the round", BLUE, "entropy"),
                Line("averaged", ORANGE, *_measured(metrics, phase, "entropy"), "--"),
            ),
            floor("entropy", config.collapse.entropy),
        ),
        Panel(
            "Distinct-2", "round", "share of token pairs",
            (
                line("samples of the round", BLUE, "distinct_2"),
                Line("averaged", ORANGE, *_measured(metrics, phase, "distinct_2"), "--"),
            ),
            floor("distinct_2", config.collapse.distinct),
        ),
        Panel(
            "KL to the pre-trained generator", "round", "nats a text",
            (line("KL(G || pre-trained G)", BLUE, "kl"),), ((0.0, ""),),
        ),
        Panel(
            "Discriminator's loss", "round", "nats a prefix",
            (line("d_loss", BLUE, "d_loss"),), ((2 * math.log(2), "guessing"),),
        ),
        Panel("Generator's loss", "round", "nats a text", (line("g_loss", BLUE, "g_loss"),)),
    ]  # fmt: skip
    return [panel for panel in panels if panel]


def fit_panels(metrics: Metrics, config: Config) -> list[Panel]:
    """The phases without a game: pre-training, the baseline, the discriminator's warm-up."""

    def likelihood(title: str, phase: str) -> Panel:
        loss = Line("training loss", BLUE, *series(metrics, phase, "loss"), faint=True)
        held = Line("validation NLL", ORANGE, *series(metrics, phase, "validation_nll"))
        return Panel(title, "update", "nats a token", (loss, held))

    held_out = Line("held-out", BLUE, *series(metrics, "warmup", "heldout_accuracy"))
    trained = Line("training batch", ORANGE, *series(metrics, "warmup", "train_accuracy"))
    panels = (
        likelihood("Pre-training", "pretrain"),
        likelihood("MLE at equal compute", "baseline"),
        Panel("Discriminator's warm-up", "update", "balanced accuracy", (held_out, trained), band=_band(config)),
    )
    return [panel for panel in panels if panel]


def effects(results: dict[str, Any]) -> list[Effect]:
    """Every comparison of a run: ours with MLE, the pair with MLE, ours with the control."""
    verdict = results.get("verdict", {})
    pair = verdict.get("pair", {})
    rows = [
        *(("ours − MLE: " + c["measure"], c["unit"], c["difference"]) for c in verdict.get("comparisons", [])),
        ("pair − MLE: NLL bound", "nats a token", pair.get("against_mle")),
        ("pair − pair of MLE: NLL bound", "nats a token", pair.get("against_mle_pair")),
        *(
            ("ours − control: " + c["measure"], c["unit"], c["difference"])
            for c in verdict.get("control", {}).get("comparisons", [])
        ),
    ]
    return [
        Effect(label.replace("fresh discriminator", "fresh D"), unit, e["value"], e["low"], e["high"])
        for label, unit, e in rows
        if e and all(finite(e.get(k)) for k in ("value", "low", "high"))
    ]


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
    figure = _figure(3.9, 2.6)
    with _style():
        draw(panel, figure.add_subplot(), titled=False)
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
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8, borderaxespad=0.2,
        handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip
    if titled:
        axes.set_title(panel.title, loc="left", pad=6 + 13 * math.ceil(len(labels) / 2))


def svg(figure: Figure, name: str) -> str:
    """``figure`` as an <svg> element for a page, its colours CSS variables that default to the light ones.

    name: distinct within the page; read out in the picture's place.
    """
    buffer = io.StringIO()
    with _style(**{"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
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


def _first(metrics: Metrics, phase: str, key: str) -> list[float]:
    """``key`` as measured before the first step of ``phase``: one value, or none."""
    return [r[key] for r in metrics if r.get("phase") == phase and r["step"] == 0 and finite(r.get(key))][:1]


def _measured(metrics: Metrics, phase: str, key: str) -> tuple[list[int], list[float]]:
    """Validation ``key`` of the averaged generator: prefixed in the rounds, under its own name before them."""
    first = _first(metrics, phase, key)
    steps, values = series(metrics, phase, f"validation_{key}")
    return [0 for _ in first] + steps, first + values


def _change(label: str, colour: str, steps: list[int], values: list[float], style: str = "-") -> Line:
    start = f"{label} (from {values[0]:.3f})" if values else label
    return Line(start, colour, steps, [value - values[0] for value in values], style)


def _moving_mean(values: list[float], window: int) -> list[float]:
    """The mean of each value and up to ``window - 1`` before it."""
    sums = [0.0, *accumulate(values)]
    return [(sums[i] - sums[max(0, i - window)]) / min(i, window) for i in range(1, len(sums))]


def _band(config: Config) -> tuple[float, float]:
    return 0.5 - config.equilibrium.band, 0.5 + config.equilibrium.band


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style(**more: Any) -> AbstractContextManager[None]:
    import matplotlib

    settings: Any = STYLE | more
    return matplotlib.rc_context(settings)
