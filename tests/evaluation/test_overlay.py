"""From trees of measures to curves, tables, sentences and pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgan.evaluation import overlay, report_frontier, tables, tradeoff
from mgan.evaluation.overlay import Entrant, comparisons, entrants, measured_pairs
from mgan.evaluation.published.published import published

Tree = dict[str, Any]
PAIR = ("ngram_score", "nll")
REAL = {"ngram_score": 5.0, "bleu_5": 0.3, "self_bleu_5": 0.3, "precision": 0.9, "recall": 0.9}


def measure(value: float | None, error: float | None = 0.01, seed: int = 0) -> Tree:
    if error is None or value is None:
        return {"value": value, "error": error}
    steps = np.random.default_rng(seed).normal(size=10)
    steps = (steps - steps.mean()) / steps.std() * error / 3
    return {"value": value, "error": error, "replicates": (value + steps).tolist()}


def point(label: str, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, **measures: Any) -> Tree:
    return {"label": label, "temperature": temperature, "top_k": top_k, "top_p": top_p, "measures": measures}


def swept(shift: float = 0.0, error: float | None = 0.01, seed: int = 0) -> list[Tree]:
    """shift: how much more of the quality cost a system pays at the same diversity."""
    found = []
    for k, t in enumerate((0.8, 1.0, 1.2)):
        q, d = 5.3 + shift + 2 * (t - 0.8), 3.9 - 1.5 * (t - 0.8)
        found.append(
            point(
                f"T {t:g}", t, ngram_score=measure(q, error, 100 * seed + 2 * k),
                nll=measure(d + shift, error, 100 * seed + 2 * k + 1), entropy_2=measure(3.0), length=measure(9.0),
            )
        )  # fmt: skip
    return found


def tree(**systems: list[Tree]) -> Tree:
    return {
        "texts": {"reference": 100, "real": 100, "training": 500},
        "embedder": None,
        "real": {name: measure(value) for name, value in REAL.items()},
        "systems": {name: {"points": points, "trained": []} for name, points in systems.items()},
        "comparisons": [],
    }


TWO = tree(adversarial=swept(), mle=swept(0.4))


# --- which points make which curve


def test_pairs_are_those_that_every_system_has() -> None:
    assert measured_pairs(entrants("", {0: TWO})) == [PAIR]
    lacking = tree(adversarial=swept(), mle=[point("T 1", ngram_score=measure(5.0))])
    assert measured_pairs(entrants("", {0: lacking})) == []


def test_nats_a_token_of_different_tokens_are_not_compared() -> None:
    ours = entrants("a", {0: tree(pretrained=swept()) | {"tokens": "words"}})
    same = entrants("b", {0: tree(pretrained=swept(0.4)) | {"tokens": "words"}})
    other = entrants("b", {0: tree(pretrained=swept(0.4)) | {"tokens": "characters"}})
    assert measured_pairs([*ours, *same]) == [PAIR] and "nll" in PAIR
    assert measured_pairs([*ours, *other]) == []


def test_trained_points_pair_too() -> None:
    found = tree(adversarial=swept())
    trained = [
        point(f"T {t:g}", t, lm_score={"value": 4.0 + t, "real": 4.5}, reverse_lm_score={"value": 5.5 - t, "real": 4.4})
        for t in (0.9, 1.1)
    ]
    found["systems"]["adversarial"]["trained"] = trained
    pair = ("lm_score", "reverse_lm_score")
    assert measured_pairs(entrants("", {0: found})) == [PAIR, pair]
    assert [axis.real for axis in tradeoff.axes(found, pair)] == [4.5, 4.4]
    curve = tradeoff.temperature_curve("ours", found["systems"]["adversarial"], pair, 3)
    assert curve.values.tolist() == [[4.9, 4.6], [5.1, 4.4]] and math.isnan(curve.points[0].quality_error)
    assert comparisons(entrants("", {0: found}), 0.95) == [], "nothing to compare with"


def test_one_seed_says_nothing_of_models_trained_on_samples() -> None:
    """Their errors hold neither the draw of the samples nor the training: only seeds show these."""
    pair = ("lm_score", "reverse_lm_score")

    def found(shift: float) -> Tree:
        trained = [
            point(
                f"T {t:g}", t,
                lm_score={"value": 4.0 + t + shift, "error": 0.01, "real": 4.5},
                reverse_lm_score={"value": 5.5 - t + shift, "error": 0.01, "real": 4.4},
            )
            for t in (0.9, 1.1)
        ]  # fmt: skip
        whole = tree(adversarial=swept())
        whole["systems"]["adversarial"]["trained"] = trained
        return whole

    for seeds, told in ((1, False), (3, True)):
        field = [
            *entrants("a", {seed: found(0.0) for seed in range(seeds)}),
            *entrants("b", {seed: found(0.3) for seed in range(seeds)}),
        ]
        assert pair in measured_pairs(field)
        assert (
            ["LM score", "reverse LM score"] in [one.as_json()["measures"] for one in comparisons(field, 0.95)]
        ) == told


def test_a_temperature_curve_holds_no_truncated_point() -> None:
    """Under top-p held-out text has no likelihood, and a curve of temperatures is about one knob."""
    points = [*swept(), point("top-p 0.9", top_p=0.9, ngram_score=measure(4.8), nll=measure(None, None)),
              point("top-k 5", top_k=5, ngram_score=measure(4.7), entropy_2=measure(3.0))]  # fmt: skip
    found = tree(adversarial=points)["systems"]["adversarial"]
    curve = tradeoff.temperature_curve("ours", found, PAIR)
    assert [p.label for p in curve.points] == ["0.8", "1", "1.2"] and curve.finite.all()
    (top_p,) = tradeoff.truncated_curves("ours", found, PAIR)
    assert (top_p.system, [p.label for p in top_p.points]) == ("ours, top-p", ["top-p 0.9"])
    assert math.isinf(top_p.points[0].diversity) and not top_p.finite.any()


def test_points_stand_in_the_order_of_their_temperature() -> None:
    found = {"points": swept()[::-1], "trained": []}
    assert [p.label for p in tradeoff.temperature_curve("x", found, PAIR).points] == ["0.8", "1", "1.2"]


def test_replicates_say_the_errors_where_both_are_of_the_same_texts() -> None:
    found = {"points": [point("T 1", bleu_5=measure(0.3), self_bleu_5=measure(0.2, seed=1))], "trained": []}
    (first,) = tradeoff.temperature_curve("x", found, ("bleu_5", "self_bleu_5")).points
    assert first.replicates is not None and first.replicates.shape == (10, 2)
    assert first.errors == pytest.approx([0.01, 0.01], rel=1e-6)
    (other, *_) = tradeoff.temperature_curve("x", TWO["systems"]["adversarial"], PAIR).points
    assert other.replicates is None, "the likelihood is of the test texts, the n-gram score of the samples"
    assert other.spread == pytest.approx(np.diag([1e-4, 1e-4]))


def test_real_text_is_the_target_where_it_has_a_value() -> None:
    quality, diversity = tradeoff.axes(TWO, PAIR)
    assert (quality.real, diversity.real) == (5.0, None)
    assert quality.real_error == TWO["real"]["ngram_score"]["error"] > 0


def test_an_uncertain_target_widens_a_comparison() -> None:
    """Two systems as far from real text, one above and one below: only an exact target could tell them apart."""

    def system(sign: int) -> list[Tree]:
        return [
            point(f"T {t:g}", t, ngram_score=measure(5.0 + sign * gap), nll=measure(nll, seed=1))
            for t, gap, nll in ((0.8, 0.1, 4.0), (1.0, 0.3, 3.8))
        ]

    found = tree(adversarial=system(1), mle=system(-1))
    areas = [
        comparisons(entrants("", {0: found | {"real": {"ngram_score": measure(5.0, error)}}}), 0.95)[0].area
        for error in (1e-6, 0.1)
    ]
    widths = [area.high - area.low for area in areas]
    assert widths[1] > 2 * widths[0]


# --- who dominates


def test_one_seed_is_compared_by_its_texts() -> None:
    (found,) = comparisons(entrants("", {0: TWO}), 0.95)
    assert found.method == "parametric bootstrap" and found.seeds == (1, 1)
    assert (found.ours, found.theirs) == ("adversarial", "MLE, equal compute")
    assert found.sentence.startswith("adversarial dominates MLE, equal compute where")
    assert found.area.low > 0
    json.dumps(found.as_json(), allow_nan=False)


def test_three_seeds_are_compared_over_seeds() -> None:
    trees = {s: tree(adversarial=swept(0.01 * s, seed=s), mle=swept(0.4 + 0.012 * s, seed=9 + s)) for s in range(3)}
    (found,) = comparisons(entrants("", trees), 0.95)
    assert (found.method, found.seeds) == ("paired by seed", (3, 3))
    assert "dominates MLE, equal compute" in found.sentence and found.area.low > 0
    apart = [Entrant("a", "adversarial", trees), Entrant("b", "mle", {s + 5: t for s, t in trees.items()})]
    assert comparisons(apart, 0.95)[0].method == "Welch"


def test_seeds_that_disagree_decide_nothing() -> None:
    trees = {s: tree(adversarial=swept(), mle=swept(shift, seed=s)) for s, shift in enumerate((0.4, -0.35, 0.02))}
    (found,) = comparisons(entrants("", trees), 0.95)
    assert found.sentence.startswith("Undecided") and found.area.low < 0 < found.area.high


def test_without_errors_there_is_no_comparison_but_a_picture() -> None:
    bare = tree(adversarial=swept(error=None), mle=swept(0.4, error=None))
    field = entrants("", {0: bare})
    assert comparisons(field, 0.95) == []
    assert list(overlay.figures(field)) == ["ngram_score-nll"]


def test_errors_unknown_on_the_other_side_are_no_crash() -> None:
    field = entrants("", {0: tree(adversarial=swept(), mle=swept(0.4, error=None))})
    assert comparisons(field, 0.95) == []


def test_three_seeds_need_no_errors_of_their_points() -> None:
    trees = {s: tree(adversarial=swept(0.01 * s, None), mle=swept(0.4 + 0.013 * s, None)) for s in range(3)}
    (found,) = comparisons(entrants("", trees), 0.95)
    assert found.method == "paired by seed" and "dominates MLE" in found.sentence


def test_what_is_infinite_everywhere_is_said() -> None:
    nowhere = [point("T 1", ngram_score=measure(5.0), nll=measure(None, None))]
    (found,) = comparisons(entrants("", {0: tree(adversarial=swept(), mle=nowhere)}), 0.95)
    assert found.method == "none" and "no finite point" in found.sentence
    json.dumps(found.as_json(), allow_nan=False)


def test_entrants_are_named_after_their_configuration() -> None:
    assert [e.name for e in entrants("", {0: TWO})] == ["adversarial", "MLE, equal compute"]
    assert [e.name for e in entrants("mine", {0: TWO})] == ["mine", "MLE, equal compute of mine"]
    assert [e.system for e in entrants("mine", {0: TWO})] == ["adversarial", "mle"]


@pytest.mark.parametrize("whole", [0, 1])
def test_a_seed_without_its_checkpoints_has_fewer_systems(whole: int) -> None:
    trees = {seed: TWO if seed == whole else tree(adversarial=swept(seed=seed)) for seed in (0, 1)}
    ours, theirs = field = entrants("", trees)
    assert ([*ours.trees], [*theirs.trees]) == ([0, 1], [whole])
    (found,) = comparisons(field, 0.95)
    assert found.seeds == (2, 1) and found.method == "parametric bootstrap"


def test_a_field_has_the_pairs_of_all_its_trees() -> None:
    poor = tree(pretrained=[point("T 1", ngram_score=measure(5.0))])
    field = [*entrants("a", {0: TWO}), *entrants("b", {0: poor})]
    assert measured_pairs(field) == [] and comparisons(field, 0.95) == []
    assert measured_pairs(field[:2]) == [PAIR]


# --- pictures


def test_pictures_are_written_as_svg_and_png(tmp_path: Path) -> None:
    paths = overlay.save(entrants("", {0: TWO}), tmp_path / "new" / "plots")
    assert sorted(path.name for path in paths) == ["ngram_score-nll.png", "ngram_score-nll.svg"]
    svg, png = sorted(paths, key=lambda path: path.suffix, reverse=True)
    assert "<svg" in svg.read_text(encoding="utf-8") and png.read_bytes()[1:4] == b"PNG"


def test_published_curves_are_drawn_where_they_speak_of_the_same_pair(tmp_path: Path) -> None:
    points = [
        point(f"T {t:g}", t, bleu_5=measure(0.4 - t / 5), self_bleu_5=measure(0.6 - t / 5), ngram_score=measure(5.0),
              nll=measure(4.0))
        for t in (0.8, 1.2)
    ]  # fmt: skip
    field = entrants("", {0: tree(adversarial=points)})
    coco = published("coco")

    def said(beside: Any) -> dict[str, str]:
        return {
            name: " ".join(text.get_text() for axes in figure.axes for text in axes.texts) + str(figure.texts)
            for name, figure in overlay.figures(field, beside).items()
        }

    alone, beside = said(None), said(coco)
    assert set(alone) == {"bleu_5-self_bleu_5", "ngram_score-nll"}
    assert beside["ngram_score-nll"] == alone["ngram_score-nll"]
    assert beside["bleu_5-self_bleu_5"] != alone["bleu_5-self_bleu_5"]


# --- tables


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


def test_real_text_stands_first_and_what_is_not_there_is_a_dash() -> None:
    found = tree(adversarial=[*swept(), point("top-p 0.9", top_p=0.9, nll=measure(None, None))])
    head, rule, *rows = rows_of(tables.system_table([found], "adversarial"))
    assert head == ["measure", "real text", "T 0.8", "T 1", "T 1.2", "top-p 0.9"]
    assert rule == ["---", *["--:"] * 5]
    table = {row[0].split(",")[0]: row[1:] for row in rows}
    assert table["n-gram score"] == ["5.000 ± 0.01", "5.300 ± 0.01", "5.700 ± 0.01", "6.100 ± 0.01", "–"]
    assert table["held-out NLL"][0] == "–" and table["held-out NLL"][-1] == "∞"
    assert [row[0] for row in rows] == ["n-gram score, nats a word", "bigram entropy, nats", "length, words",
                                        "held-out NLL, nats a token"]  # fmt: skip


def test_over_seeds_the_error_is_their_deviation() -> None:
    trees = [tree(adversarial=swept(shift)) for shift in (0.0, 0.1, 0.2)]
    rows = rows_of(tables.system_table(trees, "adversarial"))
    assert next(row for row in rows if row[0].startswith("n-gram score"))[2] == "5.400 ± 0.1"


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ([], "–"),
        ([None], "–"),
        ([{"value": 0.51234, "error": None}], "0.512"),
        ([{"value": 12.34567, "error": 0.123}], "12.346 ± 0.12"),
        ([{"value": 1234.5, "error": 0.0}], "1234"),
        ([{"value": None, "error": None}], "∞"),
        ([{"value": None, "error": None}, {"value": 1.0, "error": 0.1}], "∞"),
        ([None, {"value": 1.0, "error": 0.1}], "1.000 ± 0.1"),
        ([{"value": 1.0}, {"value": 3.0}], "2.000 ± 1.4"),
    ],
)
def test_figures(measured: list[Tree | None], said: str) -> None:
    assert tables.figure(measured) == said


def test_trained_measures_bring_their_own_target() -> None:
    found = tree(adversarial=swept())
    assert tables.trained_table([found], "adversarial") == ""
    found["real"]["two_sample"] = {"value": 0.5, "p_value": 0.7}
    found["systems"]["adversarial"]["trained"] = [
        point("T 1", two_sample={"value": 0.8, "p_value": 0.01}, lm_score={"value": 4.7, "real": 4.8},
              kl_bound={"value": 0.3, "lower": 0.2, "effective_share": 0.25, "samples": 2000})
    ]  # fmt: skip
    rows = {row[0].split(",")[0]: row[1:] for row in rows_of(tables.trained_table([found], "adversarial"))}
    assert rows["two-sample accuracy"] == ["0.5 (p 0.7)", "0.8 (p 0.01)"]
    assert rows["LM score"] == ["4.800", "4.700"]
    assert rows["bound on KL(real‖G)"] == ["–", "0.3 (≥ 0.2; ESS 25% of 2,000)"]


def test_the_page_says_what_was_found_before_its_tables() -> None:
    found = tree(adversarial=swept(), mle=swept(0.4))
    found["comparisons"] = [c.as_json() for c in comparisons(entrants("", {0: found}), 0.95)]
    page = tables.page("mine", found)
    assert page.startswith("# mine\n") and "100 texts a setting against 100 real ones" in page
    assert "Embeddings: none" in page
    assert page.index("adversarial dominates MLE, equal compute") < page.index("## adversarial") < page.index("## MLE")


def test_the_reports_section_has_pictures_sentences_and_tables() -> None:
    found = tree(adversarial=swept(), mle=swept(0.4))
    found["comparisons"] = [c.as_json() for c in comparisons(entrants("", {0: found}), 0.95)]
    html = report_frontier.section(0, found)
    assert html.count("<svg") == 1 and html.count("<details>") == 2 and "adversarial dominates MLE" in html
    assert "<td>5.000 ± 0.01</td>" in html and "T 0.8" in html
    assert report_frontier.section(0, None) == ""


def test_a_name_cannot_break_the_report() -> None:
    found = tree(adversarial=swept())
    found["comparisons"] = [{"sentence": "a<script>b", "measures": ["x", "y"]}]
    found["systems"]["<b>"] = found["systems"]["adversarial"]
    assert "<script>" not in report_frontier.section(0, found) and "<b>" not in report_frontier.section(0, found)
