"""The frontier's picture: what stands on it, and that it is the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgan.evaluation.curves import GREY
from mgan.evaluation.frontier import Axes, Axis, Curve, Frontier, Point
from mgan.evaluation.frontier_plots import COLOURS, figure_frontier, save_svg_png
from mgan.evaluation.published.published import published

AXES = Axes(Axis("BLEU-5", "", "higher", 0.279), Axis("Self-BLEU-5", "", "lower", 0.291))
SWEEP = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)


def curve(system: str, shift: float = 0.0, seed: int = 0, error: float = 0.004) -> Curve:
    points = [Point(f"{t:g}", 0.19 + (1 - t) * 0.27, 0.3 + shift + (1.2 - t) ** 1.3 * 0.5, error, error) for t in SWEEP]
    return Curve(system, seed, tuple(points))


def words(figure) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in figure.axes[0].texts]


def boxes(figure):  # type: ignore[no-untyped-def]
    figure.canvas.draw()
    return [text.get_window_extent() for text in figure.axes[0].texts]


SYSTEMS = [curve("mgan"), curve("MLE", 0.02), curve("SeqGAN", 0.08), curve("MaliGAN", 0.15)]


def test_every_system_is_named_beside_its_curve_and_nothing_overlaps() -> None:
    figure = figure_frontier(SYSTEMS, AXES, published=published("coco").overlay(), resamples=50)
    found = words(figure)
    assert {"mgan", "real text", "LeakGAN", "RankGAN"} <= set(found)
    assert found.count("MLE") == found.count("SeqGAN") == found.count("MaliGAN") == 2
    assert "1.2" in found
    drawn = boxes(figure)
    frame = figure.axes[0].get_window_extent()
    for i, box in enumerate(drawn):
        assert not any(box.overlaps(other) for other in drawn[i + 1 :])
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1


def test_the_words_on_the_canvas_fit_it() -> None:
    figure = figure_frontier(SYSTEMS, AXES, note="A long caveat about somebody's protocol. " * 6)
    figure.canvas.draw()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    assert not any(
        text.get_window_extent().overlaps(figure.axes[0].xaxis.label.get_window_extent()) for text in figure.texts
    )


def test_the_thick_line_is_the_pareto_optimal_part() -> None:
    alone = curve("mgan")
    figure = figure_frontier([alone], AXES, resamples=20)
    thick = np.concatenate([line.get_xydata() for line in figure.axes[0].get_lines() if line.get_linewidth() == 2.2])
    thick = thick[np.isfinite(thick).all(axis=1)]
    frontier = Frontier(alone, AXES)
    cost = AXES.costs(thick)
    assert cost[:, 1] == pytest.approx(frontier.diversity_at(cost[:, 0] + 1e-9), abs=1e-6)
    # Past real text's BLEU it is as wrong as before it, and less diverse.
    assert thick[:, 0].max() == pytest.approx(0.279, abs=1e-6)


def test_the_band_is_drawn_where_errors_are_known_and_one_curve_is_a_systems() -> None:
    def bands(curves: list[Curve]) -> int:
        figure = figure_frontier(curves, AXES, resamples=20)
        return sum(bool(len(c.get_paths())) for c in figure.axes[0].collections if "Poly" in type(c).__name__)

    assert bands([curve("mgan")]) == 1
    assert bands([curve("mgan", error=float("nan"))]) == 0
    assert bands([curve("mgan", seed=s) for s in range(3)]) == 0


def test_real_text_is_a_star_with_its_error_or_nothing() -> None:
    from matplotlib.container import ErrorbarContainer

    def stars(axes: Axes) -> list[ErrorbarContainer]:
        figure = figure_frontier([curve("a")], axes, real_error=(0.002, 0.003), resamples=20)
        return [
            c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer) and c.lines[0].get_marker() == "*"
        ]

    (star,) = stars(AXES)
    assert star.lines[0].get_xydata().tolist() == [[0.279, 0.291]]
    # 95 %, as the key below the picture says of every bar.
    for k, (bar, error) in enumerate(zip(star.lines[2], (0.002, 0.003), strict=True)):
        (ends,) = bar.get_segments()
        assert np.ptp(ends[:, k]) == pytest.approx(2 * 1.96 * error, rel=1e-3)
    assert not stars(Axes(Axis("LM score", "nats a token", "lower"), AXES.diversity))


def test_which_way_is_better_is_said() -> None:
    def head(axes: Axes) -> str:
        return figure_frontier([curve("a")], axes, resamples=20).texts[0].get_text()

    low, high = Axis("NLL", "", "lower"), Axis("BLEU-5", "", "higher")
    assert head(AXES) == "Better: nearer to real text, from whichever side."
    assert head(Axes(low, low)) == "↙ Better: NLL lower, NLL lower."
    assert head(Axes(high, low)) == "↘ Better: BLEU-5 higher, NLL lower."
    assert head(Axes(low, AXES.diversity)) == "Better: NLL lower, Self-BLEU-5 nearer to real text’s."


def test_published_curves_are_grey_and_dashed() -> None:
    suite = published("emnlp_news")
    figure = figure_frontier([], suite.axes, published=suite.overlay())
    lines = [line for line in figure.axes[0].get_lines() if line.get_gid()]
    assert len(lines) == 3
    assert all(line.get_color() == GREY and line.is_dashed() for line in lines)
    assert {"MLE", "RL-GAN", "CoT"} <= set(words(figure))


def test_our_colours_are_apart_from_each_other() -> None:
    assert len(set(COLOURS)) == len(COLOURS) == 6
    assert GREY not in COLOURS


@pytest.mark.parametrize(
    "curves",
    [
        [],
        [Curve("alone", 0, (Point("1", 0.2, 0.4, 0.01, 0.01),))],
        [Curve("one value", 0, (Point("1", 0.2, 0.4, 0.0, 0.0), Point("2", 0.2, 0.4, 0.0, 0.0)))],
        [Curve("top-p", 0, (Point("0.9", float("inf"), 0.4), Point("1", 0.2, 0.4)))],
        [Curve("nothing", 0, (Point("0.9", float("nan"), 0.4),))],
        [Curve("$x_$ <名> 😀", 0, (Point("$", 0.2, 0.4, 0.01, 0.01), Point("€", 0.25, 0.5, 0.01, 0.01)))],
    ],
    ids=lambda curves: curves[0].system if curves else "none",
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_odd_curves_are_drawn(curves: list[Curve], tmp_path: Path) -> None:
    for axes in (AXES, Axes(Axis("LM score", "", "lower"), Axis("distinct", "", "higher"))):
        vector, raster = save_svg_png(figure_frontier(curves, axes, resamples=20), tmp_path / "f")
        drawn = vector.read_text(encoding="utf-8")
        assert raster.read_bytes().startswith(b"\x89PNG") and drawn.rstrip().endswith("</svg>")
        empty, _ = save_svg_png(figure_frontier([], axes, resamples=20), tmp_path / "empty")
        if any(curve.finite.any() for curve in curves):
            assert empty.read_text(encoding="utf-8") != drawn, "a point was left out"


def test_the_files_are_the_same_every_time(tmp_path: Path) -> None:
    paths = [save_svg_png(figure_frontier(SYSTEMS[:2], AXES, resamples=20), tmp_path / name) for name in ("v0.1", "b")]
    assert [path.name for path in paths[0]] == ["v0.1.svg", "v0.1.png"]
    assert paths[0][0].read_bytes() == paths[1][0].read_bytes()
    assert paths[0][1].read_bytes() == paths[1][1].read_bytes()
    assert b"dc:date" not in paths[0][0].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "b.svg", "v0.1.png", "v0.1.svg"]
