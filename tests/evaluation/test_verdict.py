"""Intervals and what is concluded from them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch

from mgan.evaluation.bootstrap import Estimate, balanced, mean, ratio, resample
from mgan.evaluation.pair import EnergyGain
from mgan.evaluation.system import Temperatures, Trial
from mgan.evaluation.verdict import (
    ENOUGH,
    Comparison,
    Resamples,
    compare,
    compare_pair,
    decide,
    pair_comparison,
    sentence,
    summary,
)
from mgan.models.protocols import Discriminator
from mgan.types import Batch

TEXTS = 200


def trial(seed: int = 0) -> Trial:
    source = np.random.default_rng(seed)
    one = torch.ones(1, 1, dtype=torch.long)
    return Trial(
        name="a",
        temperatures=Temperatures(likelihood=1.0, sampling=0.9, nll=4.0, score=4.1),
        discriminator=cast(Discriminator, None),
        nll=source.gamma(20, 2, TEXTS),
        tokens=source.integers(5, 20, TEXTS).astype(float),
        real_right=(source.random(TEXTS) < 0.7).astype(float),
        fake_right=(source.random(TEXTS) < 0.7).astype(float),
        pair_gain=source.normal(0.5, 0.1, TEXTS),
        energy=EnergyGain(0.5, 0.3, 10, False),
        gap=0.1,
        entropy=3.0,
        distinct_2=0.5,
        samples=Batch(one, one.bool(), one[0]),
    )


def drawn(of: Trial) -> Resamples:
    return Resamples.of(of, 500, 3)


# --- the bootstrap


def test_a_resample_is_as_large_as_the_sample_and_is_the_same_for_the_same_seed() -> None:
    weights = resample(50, 200, 1)
    assert weights.shape == (200, 50) and (weights.sum(1) == 50).all()
    assert np.array_equal(weights, resample(50, 200, 1))
    assert not np.array_equal(weights, resample(50, 200, 2))
    assert weights.mean(0) == pytest.approx(np.ones(50), abs=0.35)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_covers_the_truth_as_often_as_it_says(confidence: float) -> None:
    """Two thousand samples; a few hundred would move by chance as far as a wrong interval would."""
    source, repeats = np.random.default_rng(0), 2000
    weights, others = resample(100, 500, 1), resample(80, 500, 2)
    hits = {"mean": 0, "ratio": 0, "balanced": 0}
    for _ in range(repeats):
        found = mean(source.gamma(2, 1, 100), weights, confidence)
        hits["mean"] += found.low <= 2 <= found.high
        tokens = source.integers(3, 12, 100).astype(float)
        found = ratio(1.5 * tokens + source.normal(size=100), tokens, weights, confidence)
        hits["ratio"] += found.low <= 1.5 <= found.high
        right, caught = (source.random(100) < 0.8).astype(float), (source.random(80) < 0.6).astype(float)
        found = Estimate.of(*balanced(right, caught, weights, others), confidence)
        hits["balanced"] += found.low <= 0.7 <= found.high
    assert {name: count / repeats for name, count in hits.items()} == pytest.approx(
        dict.fromkeys(hits, confidence), abs=0.03
    )


def test_the_value_is_the_statistic_of_the_sample_and_lies_in_its_interval() -> None:
    source = np.random.default_rng(1)
    a, b = source.random(60), 1 + source.random(60)
    weights = resample(60, 400, 0)
    found = ratio(a, b, weights, 0.9)
    assert found.value == pytest.approx(a.sum() / b.sum()) and found.low < found.value < found.high
    assert mean(a, weights, 0.9).value == pytest.approx(a.mean())
    wide = ratio(a, b, weights, 0.99)
    assert wide.low < found.low and wide.high > found.high


def test_pairing_sees_a_difference_that_two_intervals_apart_would_not() -> None:
    source = np.random.default_rng(2)
    theirs = source.gamma(20, 2, TEXTS)
    ours = theirs - 0.3 + source.normal(scale=0.5, size=TEXTS)
    weights = resample(TEXTS, 500, 0)
    paired = mean(ours - theirs, weights, 0.95)
    assert paired.high < 0
    assert mean(ours, weights, 0.95).high > mean(theirs, weights, 0.95).low


# --- the verdict


def comparison(outcome: str) -> Comparison:
    low, high = {"better": (-2.0, -1.0), "worse": (1.0, 2.0), "not distinguishable": (-1.0, 1.0)}[outcome]
    return Comparison("m", "", Estimate((low + high) / 2, low, high))


TIE = "not distinguishable"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("better", "better", "better"),
        ("better", TIE, "better"),
        ("better", "worse", TIE),
        (TIE, TIE, TIE),
        (TIE, "worse", "worse"),
        ("worse", "worse", "worse"),
    ],
)
def test_the_verdict_in_every_case(first: str, second: str, expected: str) -> None:
    for outcomes in ((first, second), (second, first)):
        comparisons = [comparison(outcome) for outcome in outcomes]
        assert [c.outcome for c in comparisons] == list(outcomes)
        assert decide(comparisons) == expected
        said = sentence(expected, comparisons, 0.95, ENOUGH)  # type: ignore[arg-type]
        assert said.startswith("Verdict:") and f"is {expected}" in said and "\n" not in said
        assert "95%" in said
        assert ("better at one measure, worse at one" in said) == ({first, second} == {"better", "worse"})


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (0.0, 0.0)])
def test_an_interval_that_touches_zero_decides_nothing(low: float, high: float) -> None:
    assert Comparison("m", "", Estimate(0.0, low, high)).outcome == TIE


def test_a_system_is_not_distinguishable_from_itself() -> None:
    system = trial()
    comparisons = compare(system, system, drawn(system), 0.95)
    assert all((c.difference.low, c.difference.high) == (0, 0) for c in comparisons)
    assert decide(comparisons) == TIE


@pytest.mark.parametrize(("change", "expected"), [(-0.5, "better"), (0.5, "worse")])
def test_lower_nll_is_better(change: float, expected: str) -> None:
    theirs = trial()
    ours = replace(theirs, nll=theirs.nll + change + np.random.default_rng(0).normal(scale=0.5, size=TEXTS))
    nll, told = compare(ours, theirs, drawn(theirs), 0.95)
    assert (nll.outcome, told.outcome) == (expected, TIE)
    assert nll.difference.value == pytest.approx((ours.nll.sum() - theirs.nll.sum()) / theirs.tokens.sum())
    assert nll.unit == "nats a token"


@pytest.mark.parametrize("outcome", ["better", TIE, "worse"])
def test_too_few_texts_are_no_verdict_but_figures(outcome: str) -> None:
    comparisons = [comparison(outcome), comparison(TIE)]
    few = sentence(outcome, comparisons, 0.95, ENOUGH - 1)  # type: ignore[arg-type]
    assert few.startswith(f"Verdict: none, {ENOUGH - 1} test texts are too few") and f"({ENOUGH} at least)" in few
    assert str(comparisons[0].difference) in few and "than MLE" not in few


@pytest.mark.parametrize(("share", "expected"), [(0.5, "better"), (0.95, "worse"), (0.3, TIE), (0.05, "worse")])
def test_being_told_less_often_is_better_down_to_chance_but_not_below(share: float, expected: str) -> None:
    theirs, source = trial(), np.random.default_rng(5)
    ours = replace(
        theirs,
        real_right=(source.random(TEXTS) < share).astype(float),
        fake_right=(source.random(TEXTS) < share).astype(float),
    )
    nll, told = compare(ours, theirs, drawn(theirs), 0.95)
    assert (nll.outcome, told.outcome) == (TIE, expected)
    above = [abs((t.real_right.mean() + t.fake_right.mean()) / 2 - 0.5) for t in (ours, theirs)]
    assert told.difference.value == pytest.approx(above[0] - above[1])


def test_two_intervals_that_hold_together_are_wider_than_one() -> None:
    theirs, ours = trial(0), replace(trial(1), tokens=trial(0).tokens)
    weights = drawn(theirs)
    joint = compare(ours, theirs, weights, 0.9)[0].difference
    alone = ratio(ours.nll - theirs.nll, ours.tokens, weights.texts, 0.9)
    assert joint.low < alone.low and joint.high > alone.high
    assert joint == ratio(ours.nll - theirs.nll, ours.tokens, weights.texts, 0.95)


def test_by_chance_alone_a_verdict_is_rare() -> None:
    """Two systems that differ by noise: at most about one in twenty comparisons says otherwise."""
    source, decided = np.random.default_rng(0), 0
    for i in range(200):
        theirs = trial(i)
        ours = replace(
            theirs,
            nll=theirs.nll + source.normal(size=TEXTS),
            real_right=(source.random(TEXTS) < 0.7).astype(float),
            fake_right=(source.random(TEXTS) < 0.7).astype(float),
        )
        decided += decide(compare(ours, theirs, Resamples.of(theirs, 300, i), 0.95)) != TIE
    assert decided / 200 < 0.1


def test_the_summary_counts_the_pairs_gain_as_likelihood() -> None:
    system = trial()
    found = summary(system, drawn(system), 0.95, 8)
    total = system.tokens.sum()
    assert found["nll_per_token"]["value"] == pytest.approx(system.nll.sum() / total)
    assert found["nll_per_text"]["value"] == pytest.approx(system.nll.mean())
    assert found["pair"]["nll_per_token"]["value"] == pytest.approx((system.nll - system.pair_gain).sum() / total)
    assert found["pair"]["gain_per_text"]["value"] == pytest.approx(system.pair_gain.mean())
    accuracy = (system.real_right.mean() + system.fake_right.mean()) / 2
    assert found["fresh_discriminator_accuracy"]["value"] == pytest.approx(accuracy)


def test_the_pair_is_compared_with_a_pair_and_without() -> None:
    ours, theirs = trial(0), replace(trial(1), tokens=trial(0).tokens)
    found = pair_comparison(ours, theirs, drawn(ours), 0.95)
    total = ours.tokens.sum()
    mine = (ours.nll - ours.pair_gain).sum()
    assert found["against_mle"]["value"] == pytest.approx((mine - theirs.nll.sum()) / total)
    assert found["against_mle_pair"]["value"] == pytest.approx((mine - (theirs.nll - theirs.pair_gain).sum()) / total)


def test_where_the_generator_stood_still_the_pair_is_what_is_compared() -> None:
    ours, theirs = trial(), trial()
    (found,) = compare_pair(ours, theirs, drawn(ours), 0.95)
    assert found.difference.value == pytest.approx(-ours.pair_gain.sum() / ours.tokens.sum())
    assert found.outcome == decide([found]) == "better"
    assert compare_pair(replace(ours, pair_gain=np.zeros(TEXTS)), theirs, drawn(ours), 0.95)[0].difference.value == 0
    said = sentence("better", [found], 0.95, TEXTS, "the pair is")
    assert said.startswith("Verdict: in this run the pair is better than MLE at equal compute")
