"""MAUVE against the authors' package: exactly where histograms are given, closely where k-means decides."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.metrics.mauve import area_under_divergence_curve, mauve

needs_package = pytest.mark.skipif(importlib.util.find_spec("mauve") is None, reason="mauve-text is not installed")


def clouds(n: int, m: int, seed: int = 0, shift: float = 0.0, modes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of ``modes`` Gaussians in 20 dimensions; a shift gives the second set other weights."""
    draw = np.random.default_rng(seed)
    centres = 3 * draw.standard_normal((modes, 20))
    weights = np.exp(-shift * np.arange(modes))
    x, y = (
        centres[draw.choice(modes, size, p=p / p.sum())] + draw.standard_normal((size, 20))
        for size, p in [(n, np.ones(modes)), (m, weights)]
    )
    return x, y


def packages_curve(p: np.ndarray, q: np.ndarray, scaling: float) -> float:
    from mauve.compute_mauve import get_divergence_curve_for_multinomials
    from sklearn.metrics import auc

    x, y = get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 25), scaling).T
    across, up = np.argsort(x), np.argsort(y)
    return float(auc(x[across], y[across]) + auc(y[up], x[up])) / 2


@needs_package
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.integers(0, 999), st.sampled_from([1.0, 5.0, 10.0]), st.floats(0, 0.9))
def test_the_curve_is_the_packages(clusters: int, seed: int, scaling: float, empty: float) -> None:
    draw = np.random.default_rng(seed)
    p, q = draw.dirichlet(np.ones(clusters), 2) * (draw.random((2, clusters)) >= empty)
    assume(p.any() and q.any())
    p, q = p / p.sum(), q / q.sum()
    # The package sorts the ties of equal histograms in any order, and then says 0.75 for 1.
    assume(not np.allclose(p, q))
    assert area_under_divergence_curve(p, q, scaling) == pytest.approx(packages_curve(p, q, scaling), abs=1e-9)


def test_the_curve_at_its_ends() -> None:
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.3, 0.7])
    assert area_under_divergence_curve(p, p) == pytest.approx(1)
    # Disjoint supports: the curve is (w')^c against (1 - w')^c, whose area is the Beta function c B(c, c + 1).
    assert area_under_divergence_curve(p, q) == pytest.approx(5 / 1_260, abs=5e-4)
    assert area_under_divergence_curve(p, q) == pytest.approx(area_under_divergence_curve(q, p))


@needs_package
@pytest.mark.parametrize(
    ("n", "m", "shift"), [(1_000, 1_000, 0.0), (1_000, 1_000, 0.2), (800, 1_200, 0.6), (1_000, 1_000, 2)]
)
def test_it_agrees_with_the_package(n: int, m: int, shift: float) -> None:
    from mauve import compute_mauve

    x, y = clouds(n, m, shift=shift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [float(compute_mauve(p_features=x, q_features=y, seed=seed).mauve) for seed in (25, 26)]
    ours = np.mean([mauve(x, y, seed=seed) for seed in (25, 26)])
    assert ours == pytest.approx(np.mean(theirs), abs=0.03)


def test_it_falls_as_the_sets_part() -> None:
    scores = [mauve(*clouds(1_000, 1_000, shift=shift)) for shift in (0, 0.1, 0.3, 1)]
    assert 1 > scores[0] > 0.9 and scores == sorted(scores, reverse=True) and scores[-1] < 0.4


def test_it_is_nothing_but_its_arguments() -> None:
    x, y = clouds(300, 200, shift=0.3)
    assert mauve(x, y) == mauve(x, y) == mauve(7 * x, 3 * y)
    assert mauve(x, y) != mauve(x, y, seed=1)
    assert mauve(x, y, clusters=20) == mauve(x, y)
    assert mauve(x, y, scaling=1) > mauve(x, y) > mauve(x, y, scaling=10)


def test_copies_and_collapse() -> None:
    x, y = clouds(200, 200)
    assert mauve(x, x) == pytest.approx(1)
    one, other = np.tile([[1.0, 0.0]], (30, 1)), np.tile([[0.0, 1.0]], (50, 1))
    assert mauve(one, one) == pytest.approx(1)
    # Two texts are two clusters however often each occurs.
    assert mauve(one, other) < 0.01
    collapsed = np.repeat(y[:1], 200, axis=0)
    assert mauve(x, collapsed) < 0.05
    assert mauve(np.zeros((20, 4)), np.zeros((20, 4))) == pytest.approx(1)


def test_chinese_and_emoji() -> None:
    draw = np.random.default_rng(0)
    poems = ["".join(draw.choice(list("春眠不覺曉處處聞啼鳥夜來風雨聲花落知多少🎉"), 5)) for _ in range(600)]
    strangers = ["".join(draw.choice(list("床前明月光疑是地上霜舉頭望明月低頭思故鄉"), 5)) for _ in range(300)]
    embed = CharacterNGrams()
    same = mauve(embed(poems[:300]), embed(poems[300:]))
    assert same > 0.85 > 0.3 > mauve(embed(poems[:300]), embed(strangers))


@pytest.mark.parametrize("wrong", [{"clusters": 1}, {"scaling": 0}])
def test_impossible_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 clusters and a positive scaling"):
        mauve(*clouds(20, 20), **wrong)


def test_no_embeddings_at_all() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        mauve(np.zeros((0, 3)), np.zeros((5, 3)))
