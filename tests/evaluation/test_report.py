"""The report: the verdict first, nothing of the user's taken for markup, and no figure that is not there."""

from __future__ import annotations

import copy
import html.parser
import json
from typing import Any

import pytest

from mgan.config import Config
from mgan.evaluation import curves, plots
from mgan.evaluation.curves import CAPTIONS
from mgan.evaluation.report import render

CONFIG = Config.model_validate({"equilibrium": {"window": 2}})
SENTENCE = "Verdict: worse than MLE: NLL +0.099 [+0.088, +0.109] & the fresh discriminator's <accuracy> (one seed)."


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def system(nll: float) -> dict[str, Any]:
    return {
        "temperatures": {"likelihood": 1.0, "sampling": 0.9},
        "nll_per_token": estimate(nll), "nll_per_text": estimate(25 * nll),
        "fresh_discriminator_accuracy": estimate(0.75), "ngram_gap": 0.21, "entropy": 5.1, "distinct_2": 0.8,
        "pair": {
            "candidates": 8, "nll_per_token": estimate(nll - 0.05), "gain_per_text": estimate(0.4),
            "energy": {"gain": 0.6, "effective_share": 0.3, "samples": 16, "per_prompt": True},
        },
    }  # fmt: skip


def comparisons() -> list[dict[str, Any]]:
    told = {"measure": "fresh discriminator's accuracy above chance", "unit": "", "outcome": "not distinguishable"}
    return [
        {
            "measure": "held-out NLL",
            "unit": "nats a token",
            "difference": estimate(0.099),
            "outcome": "worse",
        },
        told | {"difference": estimate(0.0)},
    ]


RESULTS: dict[str, Any] = {
    "verdict": {
        "outcome": "worse", "sentence": SENTENCE, "comparisons": comparisons(),
        "pair": {"against_mle": estimate(-0.05), "against_mle_pair": estimate(0.3)},
    },
    "outcomes": {"adversarial": {"reason": "budget", "sentence": "the budget ended the game", "rounds": "4"}},
    "systems": {"adversarial": system(5.2), "mle": system(5.1)},
    "real": {"ngram_score": 4.438, "texts": 16},
    "data": {"description": "tang: 199 distinct texts", "fingerprint": "c11624"},
    "compute": {"adversarial": {"flops": 2.5e12, "generated_tokens": 1152}, "baseline": {"flops": 2.6e12}},
    "samples": {"adversarial": ["床前明月光"], "mle": ["疑是地上霜"], "real": ["舉頭望明月"]},
    "versions": {"python": "3.11.7", "torch": "2.8"},
}  # fmt: skip


def game(phase: str = "adversarial") -> curves.Metrics:
    start = {f"validation_{k}": v for k, v in {"nll": 5.0, "gap": 0.3, "score": 5.3, "entropy": 5.0}.items()}
    start |= {"validation_distinct_2": 0.8, "entropy_floor": 1.5, "distinct_2_floor": 0.24}
    rounds = [
        {
            "phase": phase, "step": i, "d_real": 0.5 + 0.01 * i, "d_fake": 0.5 - 0.01 * i, "kl": 0.1 * i,
            "heldout_accuracy": 0.5 + 0.1 * i, "train_accuracy": 0.6, "entropy": 5.0 - 0.1 * i, "distinct_2": 0.7,
            "d_loss": 1.3, "g_loss": 0.2, "throughput": 0.5,
        }
        for i in range(1, 5)
    ]  # fmt: skip
    rounds[1] |= {"validation_nll": 5.1, "validation_gap": 0.1, "validation_score": 5.2, "validation_entropy": 4.9}
    rounds[3] |= {"validation_nll": 5.2, "validation_gap": 0.2, "validation_score": 5.4, "fresh_accuracy": 0.52}
    return [{"phase": phase, "step": 0, "throughput": 1.0, **start}, *rounds]


FIT = [
    {"phase": phase, "step": i, "loss": 6.0 - i, "validation_nll": 6.1 - i, "throughput": 2.0}
    for phase in ("pretrain", "baseline")
    for i in range(3)
]
METRICS = [*FIT, *game()]


class Page(html.parser.HTMLParser):
    """What a reader sees, in order, and the names of the tags."""

    def __init__(self, page: str):
        super().__init__()
        self.seen: list[str] = []
        self.tags: list[str] = []
        self.within: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br"):
            self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"style", "title"} & set(self.within):
            self.seen.append(data.strip())

    @property
    def text(self) -> str:
        return "\n".join(self.seen)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(CONFIG, RESULTS, METRICS))


def test_the_first_visible_line_is_the_verdict_exactly(page: Page) -> None:
    assert page.seen[0] == SENTENCE
    assert page.within == []


@pytest.mark.parametrize(
    ("outcome", "tone"),
    [("better", "better"), ("worse", "worse"), ("not distinguishable", "undecided"), ("none", "none")],
)
def test_the_verdict_is_coloured_by_its_outcome(outcome: str, tone: str) -> None:
    results = RESULTS | {"verdict": {"outcome": outcome, "sentence": SENTENCE}}
    assert f'<h1 class="{tone}">' in render(CONFIG, results, [])


def test_the_page_needs_nothing_but_itself(page: Page) -> None:
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)


def test_shows_the_figures_the_samples_and_the_cost(page: Page) -> None:
    for expected in ("5.200", "[5.190, 5.210]", "4.438", "床前明月光", "舉頭望明月", "2.5 TFLOP", "1,152", "9.0 s"):
        assert expected in page.text
    assert "prompt by prompt from few candidates" in page.text


def test_says_which_round_was_kept(page: Page) -> None:
    assert "those after round 2," in page.text
    no_better = [record for record in game() if record["step"] == 0]
    assert "No round improved the validation score" in render(CONFIG, RESULTS, no_better)


def test_what_the_user_wrote_is_never_markup() -> None:
    evil = "<script>alert(1)</script> $verdict ${body} \ud800"
    results = RESULTS | {
        "samples": {"adversarial": [evil], "real": [evil]},
        "data": {"description": evil, "fingerprint": "0"},
    }
    config = Config.model_validate({"data": {"path": "<script>x</script>"}})
    text = render(config, results, [])
    text.encode("utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script> $verdict ${body} ?") == 3
    assert "<script>x</script>" in page.text


def without_game() -> dict[str, Any]:
    sentence = "Verdict: none, this recipe plays no game; MLE alone has a held-out NLL of 5.100 nats a token."
    return RESULTS | {
        "verdict": {"outcome": "none", "sentence": sentence},
        "outcomes": {},
        "systems": {"pretrained": system(5.1)},
        "samples": {"pretrained": ["a"], "real": ["b"]},
        "compute": {"pretrain": {"flops": 0.0, "generated_tokens": 0}},
    }


def test_a_recipe_without_a_game() -> None:
    page = Page(render(Config.model_validate({"recipe": "mle"}), without_game(), FIT))
    assert page.seen[0].startswith("Verdict: none")
    assert "plays no game" in page.text
    assert "Ours minus MLE" not in page.text
    assert "round by round" not in page.text
    assert "Pre-training" in page.text


CONTROLS = {
    "constant": "Control: constant reward",
    "random": "Control: random reward",
    "frozen": "Control: frozen discriminator",
}


def with_controls() -> dict[str, Any]:
    results = copy.deepcopy(RESULTS)
    for name in CONTROLS:
        results["systems"][name] = system(5.3)
        results["samples"][name] = [f"{name}'s text"]
        results["outcomes"][name] = {"reason": "collapse", "sentence": f"{name} collapsed", "rounds": "4"}
    outcomes = {"constant": "worse", "random": "better", "frozen": "not distinguishable"}
    results["verdict"]["controls"] = {n: {"outcome": o, "comparisons": comparisons()} for n, o in outcomes.items()}
    return results


def test_every_control_is_shown_beside() -> None:
    config = Config.model_validate({"evaluation": {"controls": tuple(CONTROLS)}})
    played = [record for name in CONTROLS for record in game(name)[:2]]
    text = render(config, with_controls(), [*METRICS, *played])
    page = Page(text)
    for name, title in CONTROLS.items():
        assert page.seen.count(title) == 4  # two tables, its samples, its curves
        assert f"{title}, 4 rounds:" in page.seen and f"{name} collapsed." in page.text
        assert f"{title}, round by round" in page.seen
        assert f"ours − {name}: held-out NLL" in page.text
        assert f'aria-label="{name}: Entropy"' in text
    assert "Against the control (random reward), ours is\nbetter" in page.text
    assert "Against the control (frozen discriminator), ours is\nnot distinguishable" in page.text


def test_the_controls_are_drawn_with_the_verdict() -> None:
    found = [effect.label for effect in curves.effects(with_controls())]
    assert [label.partition(":")[0] for label in found if "held-out NLL" in label] == [
        "ours − MLE", "ours − constant", "ours − random", "ours − frozen"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("adversarial", "said"),
    [({"reward": "random"}, "random reward"), ({"discriminator_steps": 0}, "frozen discriminator")],
)
def test_a_run_that_is_itself_a_control_says_so(adversarial: dict[str, Any], said: str) -> None:
    page = Page(render(Config.model_validate({"adversarial": adversarial}), RESULTS, METRICS))
    assert f"Ours is itself a control's game here: {said}." in page.seen


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_what_is_not_a_number_is_a_dash(nothing: float | None) -> None:
    results = json.loads(json.dumps(RESULTS), parse_float=lambda _: nothing)
    results["outcomes"]["adversarial"] |= {"reason": "divergence", "sentence": "the game diverged"}
    metrics = [{k: nothing if isinstance(v, float) else v for k, v in r.items()} for r in METRICS]
    page = Page(render(CONFIG, results, metrics))
    assert page.seen[0] == SENTENCE
    assert "the game diverged." in page.text
    figures = {line for line in page.seen if line in ("None", "nan", "inf", "[nan, nan]")}
    assert not figures
    assert "–" in page.seen


def test_every_panel_is_explained() -> None:
    panels = curves.game_panels(METRICS, CONFIG) + curves.fit_panels(
        [*METRICS, {"phase": "warmup", "step": 1, "heldout_accuracy": 0.5}], CONFIG
    )
    assert {panel.title for panel in panels} == set(CAPTIONS)


def drawn(figure: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {
        f"{axes.get_title(loc='left')}: {line.get_label()}": (list(line.get_xdata()), list(line.get_ydata()))
        for axes in figure.axes
        for line in axes.lines
    }


def test_the_game_is_drawn_as_it_was_measured() -> None:
    lines = drawn(plots.figure_game(METRICS, CONFIG))
    rounds = [1, 2, 3, 4]
    assert lines["What the discriminator says: D(x)"] == (rounds, pytest.approx([0.51, 0.52, 0.53, 0.54]))
    assert lines["What the discriminator says: D(G(z))"] == (rounds, pytest.approx([0.49, 0.48, 0.47, 0.46]))
    assert lines["Can it tell?: held-out"] == (rounds, pytest.approx([0.6, 0.7, 0.8, 0.9]))
    assert lines["Can it tell?: its mean of 2 rounds"] == (rounds, pytest.approx([0.6, 0.65, 0.75, 0.85]))
    assert lines["Can it tell?: training batch"] == (rounds, [0.6] * 4)
    assert lines["Can it tell?: new discriminator"] == ([4], [0.52])
    assert lines["Validation measures: score (from 5.300)"] == ([0, 2, 4], pytest.approx([0, -0.1, 0.1]))
    assert lines["Validation measures: kept: round 2"][0] == [2, 2]
    assert lines["Entropy: samples of the round"] == (rounds, pytest.approx([4.9, 4.8, 4.7, 4.6]))
    assert lines["Entropy: averaged"] == ([0, 2], [5.0, 4.9])
    assert lines["Entropy: floor"][1] == pytest.approx([1.5, 1.5])


def test_null_points_are_left_out() -> None:
    metrics = [*game(), {"phase": "adversarial", "step": 5, "d_loss": None, "d_real": float("nan")}]
    assert curves.series(metrics, "adversarial", "d_loss")[0] == [1, 2, 3, 4]
    assert curves.series(metrics, "adversarial", "d_real")[0] == [1, 2, 3, 4]
    assert curves.series(metrics, "adversarial", "absent") == ([], [])


def test_the_verdict_is_drawn_as_it_was_found(tmp_path: Any) -> None:
    figure = plots.figure_verdict(RESULTS)
    points = [line.get_xdata()[0] for axes in figure.axes for line in axes.lines if line.get_marker() == "o"]
    assert points == pytest.approx([0.099, -0.05, 0.3, 0.0])
    assert [e.outcome for e in curves.effects(RESULTS)] == ["worse", "not distinguishable", "better", "worse"]
    plots.save_png(figure, tmp_path / "verdict.png")
    assert (tmp_path / "verdict.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_still_a_figure() -> None:
    assert plots.figure_verdict(without_game()).axes == []
    assert plots.figure_game([], CONFIG).axes == []
    assert len(plots.figure_game(FIT, CONFIG).axes) == 2


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    name = "twice"
    first, second = (plots.svg(plots.figure_verdict(RESULTS), name) for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before


def test_labels_stand_beside_the_samples_and_in_a_table_of_their_own() -> None:
    labels = {
        "names": ["good", "坏"], "classifier_accuracy": 0.75, "caution": "the classifier of labels is no good",
        "consistency": {"adversarial": 0.5, "mle": 0.625}, "samples": ["坏"],
        "by_label": {
            "real": [{"texts": 3, "share": 1.0}, {"texts": 1, "share": 0.0}],
            "adversarial": [{"texts": 2, "share": 0.111}, {"texts": 0, "share": None}],
            "mle": [{"texts": 2, "share": 0.222}, {"texts": 2, "share": 0.333}],
        },
    }  # fmt: skip
    text = Page(render(CONFIG, RESULTS | {"labels": labels}, METRICS)).text
    for shown in ("1 [坏]", "Label consistency", "0.750", "0.111", "0.625", "0.333", "2 texts", "0 texts"):
        assert shown in text
    assert "The classifier of labels is no good." in text
    older = {name: labels[name] for name in ("names", "classifier_accuracy", "consistency")}
    assert "0.625" in Page(render(CONFIG, RESULTS | {"labels": older}, METRICS)).text


def test_what_a_page_cannot_show_is_spelled_out() -> None:
    page = render(CONFIG, RESULTS | {"samples": {"adversarial": ["a\x1b\ufffdb\nc"], "real": ["y"]}}, METRICS)
    assert "a\\x1b\\ufffdb\nc" in page and "\x1b" not in page and "\ufffd" not in page


def test_a_baseline_that_was_cut_short_is_not_called_equal() -> None:
    said = "the comparison with MLE is not at equal compute: it is short"
    cut = RESULTS | {"verdict": RESULTS["verdict"] | {"unequal": said}}
    whole, short = (Page(render(CONFIG, results, METRICS)).text for results in (RESULTS, cut))
    assert "was given the operations of the discriminator" in whole and "equal compute" in whole
    assert "was given the operations" not in short and f"T{said[1:]}." in short
    assert "equal compute" not in short.replace(said[1:], "")
