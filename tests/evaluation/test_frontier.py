"""Frontiers and who dominates: against brute force and closed forms, and simulated error rates."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation import domination
from mgan.evaluation.domination import FrontierComparison, compare_frontiers, where
from mgan.evaluation.frontier import Axes, Axis, Curve, Frontier, Point, band, redraw

PLAIN = Axes(Axis("NLL", "nats a token", "lower"), Axis("reverse NLL", "nats a token", "lower"))
REAL = Axes(Axis("BLEU-5", "", "higher", 0.5), Axis("Self-BLEU-5", "", "lower", 0.4))
EXACT = 1e-9


def curve(*values: tuple[float, float], error: float = 0.0, system: str = "ours", seed: int | None = 0) -> Curve:
    points = (Point(str(i), q, d, error, error) for i, (q, d) in enumerate(values))
    return Curve(system, seed, tuple(points))


def brute(found: Curve, axes: Axes, grid: np.ndarray) -> np.ndarray:
    """F from 20,001 places on every line, by definition."""
    share = np.linspace(0, 1, 20001)[:, None]
    values = found.values
    finite = np.isfinite(values).all(axis=1)
    places = [values[finite]]
    for i in range(len(values) - 1):
        if finite[i] and finite[i + 1]:
            places.append((1 - share) * values[i] + share * values[i + 1])
    cost = np.concatenate([axes.costs(place) for place in places])
    return np.array([cost[cost[:, 0] <= q, 1].min(initial=np.inf) for q in grid])


def test_costs() -> None:
    values = np.array([0.3, 0.5, 0.7])
    assert Axis("", "", "higher", 0.5).cost(values) == pytest.approx([0.2, 0.0, 0.2])
    assert Axis("", "", "lower", 0.5).cost(values) == pytest.approx([0.2, 0.0, 0.2])
    assert Axis("", "", "lower").cost(values) == pytest.approx(values)
    assert Axis("", "", "higher").cost(values) == pytest.approx(-values)


coordinate = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.4, 0.5, float("inf"), float("nan")]))
sweeps = st.lists(st.tuples(coordinate, coordinate), max_size=6)


@settings(max_examples=60, deadline=None)
@given(sweeps, st.sampled_from([PLAIN, REAL]))
def test_the_envelope_is_the_definitions(values: list[tuple[float, float]], axes: Axes) -> None:
    found = curve(*values)
    grid = np.linspace(0, 1, 23) + 1e-3
    expected, actual = brute(found, axes, grid), Frontier(found, axes).diversity_at(grid)
    # Between two places of the brute force a steep line may reach, or fall, further.
    nearby = brute(found, axes, grid + 1e-4)
    assert (actual <= expected + 1e-6).all()
    assert (actual >= nearby - 1e-4).all()


@settings(max_examples=60, deadline=None)
@given(sweeps, st.sampled_from([PLAIN, REAL]), st.tuples(st.floats(0, 1.2), st.floats(0, 1.2)))
def test_the_dominated_area_is_the_integral(
    values: list[tuple[float, float]], axes: Axes, corner: tuple[float, float]
) -> None:
    frontier = Frontier(curve(*values), axes)
    steps = 40000
    mids = (np.arange(steps) + 0.5) / steps * corner[0]
    expected = np.maximum(0, corner[1] - frontier.diversity_at(mids)).mean() * corner[0]
    assert frontier.dominated_area(corner) == pytest.approx(expected, abs=1e-4)


def test_areas_in_closed_form() -> None:
    assert Frontier(curve((0.2, 0.3)), PLAIN).dominated_area((1, 1)) == pytest.approx(0.8 * 0.7)
    assert Frontier(curve((0, 1), (1, 0)), PLAIN).dominated_area((1, 1)) == pytest.approx(0.5)
    # Falling lines that cross at (1/3, 1/3): F is (1 − q) / 2, then 1 − 2 q, then 0; 5/36 + 1/36 lie below it.
    crossed = curve((0, 1), (0.5, 0), (1, 0), (0, 0.5))
    assert Frontier(crossed, PLAIN).dominated_area((1, 1)) == pytest.approx(5 / 6, abs=EXACT)
    assert Frontier(curve((0.2, 0.3)), PLAIN).dominated_area((0.1, 1)) == 0
    assert Frontier(curve((0.2, 0.3)), PLAIN).dominated_area((1, 0.1)) == 0
    assert Frontier(curve(), PLAIN).dominated_area((1, 1)) == 0


def test_a_line_that_passes_real_texts_value_touches_cost_zero() -> None:
    frontier = Frontier(curve((0.4, 0.6), (0.7, 0.9)), REAL)
    assert frontier.reach[0] == pytest.approx(0, abs=EXACT)
    assert frontier.diversity_at(np.array([1e-9]))[0] == pytest.approx(0.3, abs=1e-6)
    assert frontier.trace(np.array([1e-9]))[0] == pytest.approx([0.5, 0.7], abs=1e-6)


def test_passing_real_text_is_as_wrong_as_missing_it() -> None:
    before, past = (Frontier(curve((q, 0.6)), REAL) for q in (0.45, 0.55))
    assert before.reach == pytest.approx(past.reach)


def test_no_line_is_drawn_across_a_point_that_is_not_finite() -> None:
    broken = Frontier(curve((0, 1), (float("inf"), 0.2), (1, 0)), PLAIN)
    assert broken.dropped == ("1",)
    assert broken.diversity_at(np.array([-0.1, 0.0, 0.5, 1.0])) == pytest.approx([np.inf, 1, 1, 0])
    nothing = Frontier(curve((float("nan"), 1)), PLAIN)
    assert not nothing
    assert np.isinf(nothing.diversity_at(np.array([0.5]))).all()
    assert np.isnan(nothing.trace(np.array([0.5]))).all()


@given(sweeps.filter(bool), st.sampled_from([PLAIN, REAL]))
def test_what_is_traced_costs_what_the_envelope_says(values: list[tuple[float, float]], axes: Axes) -> None:
    frontier = Frontier(curve(*values), axes)
    grid = np.linspace(0, 1, 9)
    here = np.isfinite(frontier.diversity_at(grid))
    cost = axes.costs(frontier.trace(grid)[here])
    assert cost[:, 1] == pytest.approx(frontier.diversity_at(grid)[here], abs=1e-7)
    assert (cost[:, 0] <= grid[here] + 1e-7).all()


def test_redrawn_points_have_the_covariance_of_their_replicates() -> None:
    rng = np.random.default_rng(0)
    replicates = rng.normal(size=(30, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])
    point = Point("1", 5.0, 7.0, 99.0, 99.0, replicates)
    drawn = redraw(Curve("s", 0, (point, Point("p", float("inf"), 1.0, 1, 1))), 40000, rng)
    assert np.isnan(drawn[:, 1]).all()
    # Student's t of 29 degrees of freedom is 29 / 27 as wide as a normal, in variance.
    assert np.cov(drawn[:, 0].T) == pytest.approx(point.spread * 29 / 27, rel=0.05)
    assert drawn[:, 0].mean(axis=0) == pytest.approx([5, 7], abs=0.1)
    assert point.errors == pytest.approx(np.sqrt(29 / 30 * 30 * replicates.var(axis=0)))


def test_the_band_of_one_point_is_the_points_interval() -> None:
    found = band(curve((1.0, 2.0), (3.0, 1.0), error=0.01), PLAIN, 4000, steps=5)
    # The middle of a line between two points has half their variance, in the direction across it too.
    half = (found.high - found.low)[2] / 2
    assert half == pytest.approx(1.96 * 0.01 * np.sqrt(0.5 * (1 + 0.25)), rel=0.06)
    assert np.isnan(found.high[0])
    assert (found.low[1:] < [1.75, 1.5, 1.25, 1.0]).all()
    assert len(band(curve(), PLAIN).grid) == 0


def test_a_band_without_errors_is_refused() -> None:
    with pytest.raises(ValueError, match="ours at 0 has no standard errors"):
        band(curve((1, 2), error=float("nan")), PLAIN)


LINE = [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0)]


def shifted(by: float, tilt: float = 0.0, **more):  # type: ignore[no-untyped-def]
    return curve(*((q, d + by + tilt * (q - 0.5)) for q, d in LINE), **more)


def against(ours: list[Curve], theirs: list[Curve], axes: Axes = PLAIN, **more) -> FrontierComparison:  # type: ignore[no-untyped-def]
    return compare_frontiers(ours, theirs, axes, **({"resamples": 200} | more))


def seeds(by: float, tilt: float = 0.0, count: int = 3, system: str = "mgan", jitter: float = 0.002) -> list[Curve]:
    return [shifted(by + jitter * (-1) ** s, tilt, system=system, seed=s, error=float("nan")) for s in range(count)]


@pytest.mark.parametrize("method", ["paired by seed", "Welch", "parametric bootstrap"])
def test_a_known_difference_is_found_everywhere(method: str) -> None:
    count = {"paired by seed": (3, 3), "Welch": (3, 4), "parametric bootstrap": (1, 1)}[method]
    if method == "parametric bootstrap":
        found = against([shifted(-0.1, error=0.003, system="mgan")], [shifted(0, error=0.003, system="MLE")])
    else:
        found = against(seeds(-0.1, count=count[0], jitter=1e-4), seeds(0, count=count[1], system="MLE", jitter=1e-4))
    assert found.method == method
    assert [s.winner for s in found.stretches] == ["ours"]
    assert found.difference == pytest.approx(np.full(len(found.grid), -0.1), abs=0.01)
    assert found.area.low > 0
    assert "dominates MLE where NLL is between" in found.sentence
    assert "is dominated nowhere" in found.sentence
    assert "elsewhere" not in found.sentence
    mirrored = against(seeds(0, system="MLE", jitter=1e-4), seeds(-0.1, jitter=1e-4))
    assert [s.winner for s in mirrored.stretches] == ["theirs"]
    assert mirrored.sentence.startswith("MLE is dominated by mgan where")
    json.dumps(found.as_json())


def test_crossing_frontiers_are_told_apart() -> None:
    found = against(seeds(0, 0.4, jitter=1e-4), seeds(0, -0.0, system="MLE", jitter=1e-4))
    assert [s.winner for s in found.stretches] == ["ours", "undecided", "theirs"]
    assert found.stretches[0].high < 0.5 < found.stretches[-1].low
    assert "mgan dominates MLE where NLL is between 0 and" in found.sentence
    assert ", and is dominated where NLL is between" in found.sentence
    assert "elsewhere undecided (95%, 3 seeds)" in found.sentence


def test_seeds_by_pairs_see_what_seeds_apart_do_not() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(0, 0.2, 4)
    ours, theirs = (
        [shifted(c + by + 1e-3 * rng.normal(), system=name, seed=s) for s, c in enumerate(common)]
        for by, name in ((-0.05, "mgan"), (0.0, "MLE"))
    )
    assert [s.winner for s in against(ours[::-1], theirs).stretches] == ["ours"]
    apart = [Curve(c.system, None, c.points) for c in theirs]
    assert [s.winner for s in against(ours, apart).stretches] == ["undecided"]


def test_students_intervals_are_scipys() -> None:
    from scipy import stats

    rng = np.random.default_rng(5)
    ours, theirs = ([curve((0.5, x), seed=None) for x in rng.normal(size=n)] for n in (4, 6))
    found = against(ours, theirs, confidence=0.9)
    a, b = ([c.points[0].diversity for c in side] for side in (ours, theirs))
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(expected))


def test_identical_curves_never_dominate() -> None:
    for error in (0.0, 0.01):
        same = shifted(0, error=error)
        assert {s.winner for s in against([same], [same]).stretches} == {"undecided"}
    assert {s.winner for s in against(seeds(0), seeds(0)).stretches} == {"undecided"}
    assert against(seeds(0), seeds(0)).sentence.startswith("Undecided: where NLL is between")


def test_quality_that_one_side_alone_reaches_is_told_and_not_compared() -> None:
    near, far = curve((0.0, 0.9), (0.1, 0.8), error=0.001), curve((0.3, 0.5), (0.5, 0.2), error=0.001, system="theirs")
    found = against([near], [far])
    assert found.grid[0] >= 0.3
    assert found.only == {"ours": (0.0, 0.3)}
    assert "only ours gets to where NLL is between 0 and 0.3" in found.sentence
    assert [s.winner for s in found.stretches] == ["theirs"]


def test_single_points() -> None:
    better, worse = curve((0.1, 0.2), error=0.01), curve((0.3, 0.4), error=0.01, system="theirs")
    assert [s.winner for s in against([better], [worse]).stretches] == ["ours"]
    assert {s.winner for s in against([better], [curve((0.1, 0.2), error=0.01)]).stretches} == {"undecided"}
    line = shifted(0, error=0.01, system="theirs")
    assert against([curve((0.5, 0.3), error=0.01)], [line]).stretches[0].winner == "ours"
    assert against([curve((0.5, 0.8), error=0.01)], [line]).stretches[0].winner == "theirs"


def test_points_that_are_not_finite_are_left_out_and_named() -> None:
    points = (*shifted(-0.1, error=0.002).points, Point("top-p 0.9", float("inf"), 0.1, 1, 1))
    found = against([Curve("mgan", 2, points)], [shifted(0, error=0.002, system="MLE")])
    assert [s.winner for s in found.stretches] == ["ours"]
    assert "left out of mgan (seed 2), not finite: top-p 0.9" in found.sentence
    nothing = against([curve((float("nan"), 1))], [shifted(0, system="MLE")])
    assert nothing.stretches == []
    assert nothing.sentence.startswith("Nothing to compare")
    assert "ours has no finite point" in nothing.sentence
    assert "ours has no finite point" in against([], [shifted(0)]).sentence
    json.dumps(nothing.as_json())


def test_fewer_than_three_seeds_claim_no_more_than_sampling() -> None:
    one = against([shifted(0, error=0.01)], [shifted(0, error=0.01)])
    assert "one seed: sampling error only, not training's" in one.sentence
    two = against([shifted(0, error=0.01, seed=s) for s in range(2)], [shifted(0, error=0.01)])
    assert "fewer than 3 seeds: sampling error only" in two.sentence
    with pytest.raises(ValueError, match="no standard errors"):
        against([shifted(0, error=float("nan"))], [shifted(0, error=0.01)])


def test_costs_in_words() -> None:
    assert where(REAL.quality, 0.0, 0.08) == "BLEU-5 is 0 to 0.08 from real text's 0.5"
    assert where(Axis("BLEU-5", "", "higher"), -0.26, -0.2) == "BLEU-5 is between 0.2 and 0.26"
    assert where(Axis("LM score", "", "lower"), 2.3, 2.3) == "LM score is 2.3"


def wrong(simulations: int, draw) -> float:  # type: ignore[no-untyped-def]
    """How often a difference is claimed between systems that have none."""
    claims = 0
    for i in range(simulations):
        rng = np.random.default_rng(i)
        found = compare_frontiers(draw(rng), draw(rng), REAL, resamples=500, seed=i)
        claims += any(stretch.winner != "undecided" for stretch in found.stretches)
    return claims / simulations


def noisy(rng: np.random.Generator, seed: int | None, error: float = 0.01) -> Curve:
    at = np.linspace(0, 1, 5)
    values = np.stack([0.2 + 0.4 * at, 0.42 + 0.3 * at**1.5], axis=1) + error * rng.normal(size=(5, 2))
    return curve(*map(tuple, values), error=error, seed=seed)


# 0.05 is promised, and 0.1 is three standard errors above it. Areas have no part in it, and take most of the time.


def test_false_claims_are_as_rare_as_promised_with_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domination, "area_up_to", lambda costs, corner: 0.0)
    assert 0 < wrong(200, lambda rng: [noisy(rng, 0)]) <= 0.1


def test_false_claims_are_as_rare_as_promised_over_seeds() -> None:
    assert wrong(200, lambda rng: [noisy(rng, seed) for seed in range(3)]) <= 0.1
    assert wrong(200, lambda rng: [noisy(rng, None) for _ in range(3)]) <= 0.1
