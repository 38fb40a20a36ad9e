"""What the report's pictures show: the series of a run, and the effects its verdict rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from mgan.config import Config

Metrics = list[dict[str, Any]]

# Okabe & Ito (2008): told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, GREY, INK, GRID = "#0072b2", "#d55e00", "#009e73", "#69717a", "#24292f", "#d8dce1"


CAPTIONS = {
    "What the discriminator says": "Mean probability of being real that the discriminator gives to held-out real "
    "texts, D(x), and to fresh samples, D(G(z)): where the two meet, it cannot tell them apart.",
    "Can it tell?": "Balanced accuracy: the mean of the share of real texts called real and the share of samples "
    "called generated. 0.5 is guessing, the shaded band counts as undecided; training accuracy above held-out "
    "accuracy is memorisation.",
    "Validation measures": "Change of the averaged generator since before the first round, on validation text, in "
    "nats a token, lower is better: NLL, n-gram gap and their sum, the score by which the kept round is chosen.",
    "Entropy": "How undecided the generator is at each token it writes, in nats a token. No value is best; a steep "
    "fall is the way to a collapse, and below the dotted floor the game is stopped.",
    "Distinct-2": "Share of different token pairs among all pairs in the samples; 1 means that none is repeated. No "
    "value is best; below the dotted floor the game is stopped.",
    "KL to the pre-trained generator": "How far the game has moved the generator from where it began, estimated "
    "from its samples, in nats a text; 0 is not at all.",
    "Discriminator's loss": "On the batch it trains on, lower is better for the discriminator. With game.loss=binary "
    "cross-entropy, real and generated added, in nats a judged prefix: guessing costs 2 log 2 = 1.386. Of pairs "
    "(bradley_terry) guessing costs log 2 = 0.693.",
    "Generator's loss": "In a game of rewards the policy-gradient loss in nats a text, of which only the gradient "
    "counts: its height says nothing about quality. In self-play the loss of telling real text from the opponent's, "
    "which begins with each opponent at guessing: log 2 for pairs, 2 log 2 for the binary loss.",
    "Pre-training": "Maximum likelihood on the training texts, with dropout, in nats a token, lower is better; the "
    "weights with the lowest validation NLL are kept.",
    "MLE, continued": "The same fit, from the pre-trained generator on, with as many operations as the game had unless "
    "evaluation.baseline_updates ended it before; lower is better.",
    "Discriminator's warm-up": "Balanced accuracy of the discriminator against the pre-trained generator, before the "
    "game; 0.5 is guessing.",
}


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
    steps, values = series(metrics, phase, "validation_score")
    return min(zip(values, steps, strict=True))[1] if steps else None


def game_panels(metrics: Metrics, config: Config, phase: str = "adversarial") -> list[Panel]:
    """What there is to see of one game, the most telling first. phase: ``adversarial`` or a control's name."""

    def line(label: str, colour: str, key: str, style: str = "-") -> Line:
        return Line(label, colour, *series(rounds, phase, key), style)

    def floor(key: str) -> tuple[tuple[float, str], ...]:
        return tuple((value, "floor") for value in series(metrics, phase, key)[1])

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
                _change("NLL", BLUE, *series(metrics, phase, "validation_nll")),
                _change("n-gram gap", GREEN, *series(metrics, phase, "validation_gap"), style="--"),
                _change("score", ORANGE, *series(metrics, phase, "validation_score")),
            ),
            mark=None if kept is None else (kept, f"kept: round {kept}"),
        ),
        Panel(
            "Entropy", "round", "nats a token",
            (
                line("samples of the round", BLUE, "entropy"),
                Line("averaged", ORANGE, *series(metrics, phase, "validation_entropy"), "--"),
            ),
            floor("entropy_floor"),
        ),
        Panel(
            "Distinct-2", "round", "share of token pairs",
            (
                line("samples of the round", BLUE, "distinct_2"),
                Line("averaged", ORANGE, *series(metrics, phase, "validation_distinct_2"), "--"),
            ),
            floor("distinct_2_floor"),
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
        likelihood("MLE, continued", "baseline"),
        Panel("Discriminator's warm-up", "update", "balanced accuracy", (held_out, trained), band=_band(config)),
    )
    return [panel for panel in panels if panel]


def effects(results: dict[str, Any]) -> list[Effect]:
    """Every comparison of a run: ours with MLE, the pair with MLE, ours with each control."""
    verdict = results.get("verdict", {})
    pair = verdict.get("pair", {})
    rows = [
        *(("ours − MLE: " + c["measure"], c["unit"], c["difference"]) for c in verdict.get("comparisons", [])),
        ("pair − MLE: NLL bound", "nats a token", pair.get("against_mle")),
        ("pair − pair of MLE: NLL bound", "nats a token", pair.get("against_mle_pair")),
        *(
            (f"ours − {name}: {c['measure']}", c["unit"], c["difference"])
            for name, against in verdict.get("controls", {}).items()
            for c in against["comparisons"]
        ),
    ]
    return [
        Effect(label.replace("fresh discriminator", "fresh D"), unit, e["value"], e["low"], e["high"])
        for label, unit, e in rows
        if e and all(finite(e.get(k)) for k in ("value", "low", "high"))
    ]


def _change(label: str, colour: str, steps: list[int], values: list[float], style: str = "-") -> Line:
    start = f"{label} (from {values[0]:.3f})" if values else label
    return Line(start, colour, steps, [value - values[0] for value in values], style)


def _moving_mean(values: list[float], window: int) -> list[float]:
    """The mean of each value and up to ``window - 1`` before it."""
    sums = [0.0, *accumulate(values)]
    return [(sums[i] - sums[max(0, i - window)]) / min(i, window) for i in range(1, len(sums))]


def _band(config: Config) -> tuple[float, float]:
    return 0.5 - config.equilibrium.band, 0.5 + config.equilibrium.band
