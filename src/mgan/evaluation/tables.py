"""What was measured as Markdown: a row a measure, a column a decoding setting, real text first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from mgan.evaluation.scorecard import METRICS
from mgan.evaluation.tradeoff import NAMES

Tree = dict[str, Any]
DASH = "–"


def system_table(trees: Sequence[Tree], system: str) -> str:
    """One system's untrained measures over the runs of one study: value ± error.

    The error is over seeds where there are two or more (standard deviation), else the standard error over texts.
    """
    labels = [point["label"] for point in trees[0]["systems"][system]["points"]]
    columns = [[_labelled(tree["systems"][system]["points"], label) for tree in trees] for label in labels]
    names = [name for name in METRICS if any(name in measures for column in columns for measures in column)]
    rows = []
    for name in names:
        real = figure([tree["real"].get(name) for tree in trees])
        rows.append([_title(name), real, *(figure([m.get(name) for m in column]) for column in columns)])
    return markdown(["measure", "real text", *labels], rows)


def trained_table(trees: Sequence[Tree], system: str) -> str:
    """One system's trained measures, of the runs that have them; "" if none were taken."""
    trees = [tree for tree in trees if tree["systems"][system]["trained"]]
    if not trees:
        return ""
    points = [tree["systems"][system]["trained"] for tree in trees]
    labels = [point["label"] for point in points[0]]
    columns = [[_labelled(found, label) for found in points] for label in labels]
    rows = []
    for name in columns[0][0]:
        known = [tree["real"].get(name) for tree in trees]
        if not any(known) and "real" in columns[0][0][name]:
            known = [{"value": measures[name]["real"]} for measures in columns[0]]
        rows.append([_title(name), figure(known), *(figure([m[name] for m in column]) for column in columns)])
    return markdown(["trained measure", "real text", *labels], rows)


def page(title: str, tree: Tree) -> str:
    """Everything one run was measured at, for people: sentences first, then tables."""
    texts = tree["texts"]
    parts = [
        f"# {title}\n",
        f"{texts['real']} texts a setting against {texts['reference']} real ones; the same number of other real texts "
        f"stands in the column *real text*: that is the target, and passing it is not better. "
        f"Embeddings: {tree['embedder'] or 'none'}.\n",
        *(
            f"- {found['measures'][0]} against {found['measures'][1]}: {found['sentence']}"
            for found in tree["comparisons"]
        ),
        "",
    ]
    for system in tree["systems"]:
        parts += [f"## {NAMES.get(system, system)}\n", system_table([tree], system), trained_table([tree], system)]
    return "\n".join(parts)


def figure(measured: Sequence[Tree | None]) -> str:
    """``value ± error`` of one measure over seeds."""
    found = [m for m in measured if m]
    if not found:
        return DASH
    values = [math.inf if m["value"] is None else float(m["value"]) for m in found]
    mean = fmean(values)
    if not math.isfinite(mean):
        return "∞"
    # Real text's value is one measurement whatever the seeds: its error is over texts.
    spread = stdev(values) if len(values) > 1 else 0.0
    error = spread or found[0].get("error")
    return number(mean) + (f" ± {error:.2g}" if error else "") + _rests_on(found[0] if len(found) == 1 else {})


def _rests_on(measured: Tree) -> str:
    """What a trained measure is not to be cited without."""
    if "p_value" in measured:
        return f" (p {measured['p_value']:.2g})"
    if "lower" in measured:
        share, n = measured["effective_share"], measured["samples"]
        return f" (≥ {number(measured['lower'])}; ESS {share:.0%} of {n:,})"
    return ""


def number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _title(name: str) -> str:
    metric = METRICS[name]
    return metric.title + (f", {metric.unit}" if metric.unit else "")


def _labelled(points: Sequence[Tree], label: str) -> Tree:
    measures: Tree = next(point["measures"] for point in points if point["label"] == label)
    return measures
