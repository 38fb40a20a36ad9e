"""From what ``mgan evaluate`` wrote to frontiers: which pairs were measured, on which axes, along which curves."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mgan.evaluation.frontier import Axes, Axis, Curve, Point
from mgan.evaluation.scorecard import METRICS

Tree = dict[str, Any]
NAMES = {
    "adversarial": "adversarial",
    "mle": "MLE, equal compute",
    "pretrained": "MLE",
    "constant": "control: constant reward",
    "random": "control: random reward",
    "frozen": "control: frozen discriminator",
}
"""What systems are called where people read."""


def axes(tree: Tree, pair: tuple[str, str]) -> Axes:
    """Real text's own values are the targets, where real text has one."""
    return Axes(*(_axis(tree, name) for name in pair))


def _axis(tree: Tree, name: str) -> Axis:
    metric = METRICS[name]
    real = tree["real"].get(name, {})
    if "value" not in real:
        measured = [p["measures"].get(name, {}) for system in tree["systems"].values() for p in system["trained"]]
        real = next(({"value": m["real"]} for m in measured if "real" in m), {})
    better: Literal["lower", "higher"] = "higher" if metric.better == "higher" else "lower"
    return Axis(metric.title, metric.unit, better, real.get("value"), real.get("error") or 0.0)


def temperature_curve(system: str, found: Tree, pair: tuple[str, str], seed: int | None = None) -> Curve:
    """A system over its temperatures: what a comparison rests on. found: what was measured of it."""
    return Curve(system, seed, tuple(_point(point, pair) for point in _points(found, pair)))


def truncated_curves(system: str, found: Tree, pair: tuple[str, str], seed: int | None = None) -> list[Curve]:
    """The top-k and the top-p settings, each a curve of its own, shown beside the temperatures."""
    curves = []
    for kind in ("top_k", "top_p"):
        points = [p for p in found["points"] if not plain(p) and (p["top_k"] > 0) == (kind == "top_k")]
        if points and all(set(pair) <= set(p["measures"]) for p in points):
            name = f"{system}, {kind.replace('_', '-')}"
            curves.append(Curve(name, seed, tuple(_point(point, pair) for point in points)))
    return curves


def plain(point: Tree) -> bool:
    return bool(point["top_k"] == 0 and point["top_p"] == 1)


def _points(found: Tree, pair: tuple[str, str]) -> list[Tree]:
    """The plain settings at which both were measured, in the order of their temperature."""
    known = [p for p in (*found["points"], *found["trained"]) if plain(p) and set(pair) <= set(p["measures"])]
    return sorted(known, key=lambda point: float(point["temperature"]))


def _point(point: Tree, pair: tuple[str, str]) -> Point:
    quality, diversity = (point["measures"][name] for name in pair)
    replicates = None
    # The likelihood is of the test texts, the others of the samples: their groups have nothing to do with each other.
    if quality.get("replicates") and diversity.get("replicates") and "nll" not in pair:
        replicates = np.array([quality["replicates"], diversity["replicates"]], dtype=float).T
    return Point(
        f"{point['temperature']:g}" if plain(point) else point["label"],
        _number(quality["value"]),
        _number(diversity["value"]),
        _error(quality),
        _error(diversity),
        replicates,
    )


def _number(value: float | None) -> float:
    """What JSON cannot say is infinite."""
    return float("inf") if value is None else value


def _error(measured: Tree) -> float:
    error = measured.get("error")
    return float("nan") if error is None else float(error)
