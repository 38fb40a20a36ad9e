"""Fréchet distance, MMD and PRDC against scipy, brute force and closed forms, and on text."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from mgan.evaluation.metrics.distances import row_blocks, squared_distances, two_clouds
from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.metrics.frechet import frechet_distance
from mgan.evaluation.metrics.mmd import mmd2
from mgan.evaluation.metrics.neighbours import PRDC, expected_coverage, prdc

SHAPES = [(30, 40, 5), (700, 513, 3), (6, 7, 20), (50, 50, 1)]


def gaussians(n: int, m: int, e: int, seed: int = 0, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((n, e)) * np.linspace(0.5, 2, e), draw.standard_normal((m, e)) + shift


def captions(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    who, what, where = (
        ["a man", "a woman", "two dogs", "a cat", "some children", "an old horse", "三只猫"],
        ["riding", "sitting", "standing", "playing", "sleeping", "eating lunch", "跑步"],
        ["on a bench", "in the snow", "near a lake", "under a tree", "on the beach", "in a kitchen", "在公园里"],
    )
    more = ["today", "at night", "with friends", "alone", "in the rain", "for a while", "again"]
    return [" ".join(draw.choice(part) for part in (who, what, where, more, more)) for _ in range(count)]


def shuffled(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


EMBED = CharacterNGrams()
REAL, FRESH = EMBED(captions(800, 0)), EMBED(captions(800, 1))
DRAW = random.Random(5)
SHUFFLED = EMBED([shuffled(text, DRAW) for text in captions(800, 1)])
NOISE = EMBED(["".join(DRAW.sample(text, len(text))) for text in captions(800, 1)])
MODES = EMBED([captions(20, 1)[i % 20] for i in range(800)])


# Distances.


def test_squared_distances_and_exact_zeros() -> None:
    x, y = two_clouds(*gaussians(20, 30, 7))
    assert squared_distances(x, y) == pytest.approx(cdist(x, y) ** 2, rel=1e-4, abs=1e-4)
    far = np.repeat(np.random.default_rng(0).standard_normal((5, 384)) + 1_000, 3, axis=0)
    x, _ = two_clouds(far, far)
    assert np.array_equal(squared_distances(x, x) == 0, np.kron(np.eye(5), np.ones((3, 3))) == 1)


def test_row_blocks_cover_every_row_once() -> None:
    for count in (0, 1, 511, 512, 513, 2_000):
        assert [i for rows in row_blocks(count) for i in range(rows.start, rows.stop)] == list(range(count))


@pytest.mark.parametrize("metric", [frechet_distance, mmd2, prdc])
def test_what_is_not_two_clouds_is_refused(metric: object) -> None:
    good = np.random.default_rng(0).standard_normal((20, 3))
    bad = good.copy()
    bad[3, 1] = np.nan
    for wrong, why in [(good[:, :2], "one E"), (good[0], "one E"), (good[:0], "at least"), (bad, "finite")]:
        for pair in [(good, wrong), (wrong, good)]:
            with pytest.raises(ValueError, match=why):
                metric(*pair)  # type: ignore[operator]


# Fréchet.


@pytest.mark.parametrize("shape", SHAPES)
def test_frechet_is_scipys(shape: tuple[int, int, int]) -> None:
    x, y = gaussians(*shape)
    cx, cy = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-5)


def test_frechet_closed_forms() -> None:
    x, _ = gaussians(100, 2, 6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x + 2) == pytest.approx(6 * 4, rel=1e-5)
    # N(0, C) against N(0, 4 C): tr(C + 4 C - 2 * 2 C) = tr C.
    middle = x - x.mean(0)
    assert frechet_distance(middle, 2 * middle) == pytest.approx(np.cov(x.T).trace(), rel=1e-5)
    same, other = np.tile([[1.0, 0.0]], (9, 1)), np.tile([[0.0, 1.0]], (5, 1))
    assert frechet_distance(same, same) == 0 and frechet_distance(same, other) == pytest.approx(2)


def test_frechet_is_biased_upward_at_small_n() -> None:
    many = [np.mean([frechet_distance(*gaussians_like(n, seed)) for seed in range(5)]) for n in (100, 400, 1_600)]
    assert many[0] > 2 * many[1] > 4 * many[2] > 0


def gaussians_like(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((n, 10)), draw.standard_normal((n, 10))


# MMD.


def brute_mmd2(x: np.ndarray, y: np.ndarray, bandwidths: list[float]) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return sum(float(np.exp(-((a - b) ** 2).sum() / (2 * s**2))) for s in bandwidths)

    within = [
        np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])  #
        for z in (x, y)
    ]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 4), st.integers(0, 99))
def test_mmd_is_brute_force(n: int, m: int, e: int, seed: int) -> None:
    x, y = gaussians(n, m, e, seed)
    assert mmd2(x, y, [0.5, 2.0]) == pytest.approx(brute_mmd2(x, y, [0.5, 2.0]), abs=1e-5)


def test_mmd_over_several_blocks_and_its_default_bandwidths() -> None:
    x, y = gaussians(1_100, 600, 4)
    widths = np.median(cdist(y, y)[np.triu_indices(600, 1)]) * np.array([0.5, 1, 2])

    def mean(a: np.ndarray, b: np.ndarray, pairs: int, loops: int) -> float:
        squared = cdist(a, b) ** 2
        return float(sum(np.exp(-squared / (2 * s**2)).sum() - loops for s in widths) / pairs)

    expected = mean(x, x, 1_100 * 1_099, 1_100) + mean(y, y, 600 * 599, 600) - 2 * mean(x, y, 1_100 * 600, 0)
    assert mmd2(x, y) == pytest.approx(expected, abs=2e-6)


def test_mmd_is_unbiased() -> None:
    values = [mmd2(*gaussians_like(40, seed), [1.0, 3.0]) for seed in range(200)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_mmd_of_gaussians_has_a_closed_form() -> None:
    x, y = (np.random.default_rng(i).standard_normal((4_000, 1)) + i for i in (0, 1))
    # E k = s / sqrt(s^2 + 2) exp(-d^2 / (2 (s^2 + 2))) for unit variances and means d apart.
    expected = 2 / np.sqrt(3) * (1 - np.exp(-1 / 6))
    assert mmd2(x, y, [1.0]) == pytest.approx(expected, abs=0.02)


def test_mmd_of_one_repeated_text() -> None:
    same, other = np.tile([[1.0, 0.0]], (9, 1)), np.tile([[0.0, 1.0]], (5, 1))
    assert mmd2(same, same) == pytest.approx(0)
    # The median of nothing is 1, and the texts are sqrt(2) apart.
    assert mmd2(same, other) == pytest.approx(6 - 2 * sum(np.exp(-1 / s**2) for s in (0.5, 1, 2)), rel=1e-5)


@pytest.mark.parametrize("bandwidths", [[], [0.0], [1.0, -1.0], [float("nan")]])
def test_mmd_refuses_impossible_bandwidths(bandwidths: list[float]) -> None:
    with pytest.raises(ValueError, match="bandwidths"):
        mmd2(*gaussians(5, 5, 2), bandwidths)


# Precision, recall, density, coverage.


def brute_prdc(real: np.ndarray, samples: np.ndarray, k: int) -> PRDC:
    def radii(z: np.ndarray) -> list[float]:
        return [sorted(float(np.linalg.norm(a - b)) for j, b in enumerate(z) if i != j)[k - 1] for i, a in enumerate(z)]

    r, s = radii(real), radii(samples)
    inside = [[float(np.linalg.norm(x - y)) <= r[i] for i, x in enumerate(real)] for y in samples]
    held = [[float(np.linalg.norm(x - y)) <= s[j] for j, y in enumerate(samples)] for x in real]
    return PRDC(
        precision=sum(map(any, inside)) / len(samples),
        recall=sum(map(any, held)) / len(real),
        density=sum(map(sum, inside)) / (k * len(samples)),
        coverage=sum(any(row[i] for row in inside) for i in range(len(real))) / len(real),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 25), st.integers(5, 25), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_prdc_is_brute_force(n: int, m: int, e: int, k: int, seed: int) -> None:
    real, samples = gaussians(n, m, e, seed)
    assert prdc(real, samples, k) == brute_prdc(real, samples, k)


def test_prdc_over_several_blocks() -> None:
    real, samples = gaussians(1_100, 700, 3)
    between, inner = cdist(real, samples), [np.sort(cdist(z, z))[:, 5] for z in (real, samples)]
    expected = PRDC(
        precision=(between <= inner[0][:, None]).any(0).mean(),
        recall=(between <= inner[1]).any(1).mean(),
        density=(between <= inner[0][:, None]).sum() / (5 * 700),
        coverage=(between <= inner[0][:, None]).any(1).mean(),
    )
    found = prdc(real, samples)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=2e-3), name


def test_prdc_counts_duplicates_at_radius_zero() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 384))
    real = np.array([a] * 8 + [b] * 8)
    assert prdc(real, np.array([a] * 7)) == PRDC(precision=1, recall=0.5, density=8 / 5, coverage=0.5)
    assert prdc(real, np.array([a + 0.01] * 7)) == PRDC(precision=0, recall=0, density=0, coverage=0)


def test_prdc_of_a_copy_and_of_strangers() -> None:
    x, _ = gaussians(60, 2, 4)
    assert prdc(x, x) == PRDC(precision=1, recall=1, density=pytest.approx(6 / 5), coverage=1)
    assert prdc(x, x + 100) == PRDC(precision=0, recall=0, density=0, coverage=0)


def test_one_outlier_lends_precision() -> None:
    """The known trap: it is why density exists."""
    x, _ = gaussians(60, 2, 4)
    outlier = np.concatenate([x, [[50.0] * 4]])
    samples = np.random.default_rng(1).uniform(0, 60, (40, 4))
    assert prdc(x, samples).precision < 0.2 < 0.7 < prdc(outlier, samples).precision
    assert prdc(outlier, samples).density < 0.3


@pytest.mark.parametrize(
    ("n", "m", "k", "e"), [(300, 300, 5, 2), (300, 300, 1, 8), (200, 400, 3, 4), (400, 200, 5, 30)]
)
def test_real_against_real_has_density_one_and_the_expected_coverage(n: int, m: int, k: int, e: int) -> None:
    found = [prdc(*gaussians_pair(n, m, e, seed), k) for seed in range(30)]
    for name, expected in [("density", 1.0), ("coverage", expected_coverage(n, m, k))]:
        values = [getattr(one, name) for one in found]
        assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(30), name


def gaussians_pair(n: int, m: int, e: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((n, e)), draw.standard_normal((m, e))


def test_expected_coverage() -> None:
    assert expected_coverage(10_000, 10_000) == pytest.approx(1 - 2**-5, abs=1e-3)
    assert expected_coverage(2, 1, 1) == pytest.approx(1 / 2)
    assert expected_coverage(3, 2, 2) == pytest.approx(1 - (2 / 4) * (1 / 3))


def test_prdc_needs_k_neighbours() -> None:
    x, y = gaussians(5, 6, 2)
    with pytest.raises(ValueError, match="at least 6"):
        prdc(x, y)
    with pytest.raises(ValueError, match="at least 1"):
        prdc(x, y, 0)


# Text.


@pytest.mark.parametrize("metric", [frechet_distance, mmd2])
def test_distances_order_corruptions(metric: object) -> None:
    fresh, shuffled_words, noise = (metric(x, REAL) for x in (FRESH, SHUFFLED, NOISE))  # type: ignore[operator]
    modes = metric(MODES, REAL)  # type: ignore[operator]
    assert fresh < shuffled_words < noise and 2 * fresh < modes


def test_prdc_tells_quality_from_diversity() -> None:
    fresh, shuffled_words, noise, modes = (prdc(REAL, x) for x in (FRESH, SHUFFLED, NOISE, MODES))
    assert fresh.precision > shuffled_words.precision > noise.precision
    assert fresh.density > shuffled_words.density > noise.density
    # Twenty real sentences are as good as all of them, and far fewer.
    assert modes.precision > 0.9 * fresh.precision
    assert modes.recall < 0.3 * fresh.recall and modes.coverage < 0.5 * fresh.coverage


def test_large_sets_take_seconds() -> None:
    x, y = (np.random.default_rng(i).standard_normal((4_000, 384)).astype(np.float32) for i in (0, 1))
    start = time.process_time()
    frechet_distance(x, y), mmd2(x, y), prdc(x, y)
    assert time.process_time() - start < 10
