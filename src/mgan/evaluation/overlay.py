"""Systems side by side: who dominates whom where, in words, numbers and pictures."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mgan.evaluation.domination import ENOUGH, FrontierComparison, compare_frontiers
from mgan.evaluation.frontier import Curve
from mgan.evaluation.frontier_plots import figure_frontier, save_svg_png
from mgan.evaluation.published.published import Published
from mgan.evaluation.scorecard import PAIRS
from mgan.evaluation.tradeoff import NAMES, Tree, axes, temperature_curve, truncated_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pair = tuple[str, str]
COMPARABLE = {
    "coco": ("bleu_5", "self_bleu_5"),
    "emnlp_news": ("lm_score", "reverse_lm_score"),
    "oracle_20": ("nll_oracle", "nll_gen"),
}
"""Which of our pairs the published curves of a suite are about."""


@dataclass(frozen=True)
class Entrant:
    """One system, over the seeds it was measured with. name: shown; system: as in the trees; trees: by seed."""

    name: str
    system: str
    trees: dict[int, Tree]

    def curves(self, pair: Pair) -> list[Curve]:
        """A curve a seed that was measured so."""
        found = [
            temperature_curve(self.name, tree["systems"][self.system], pair, seed) for seed, tree in self.trees.items()
        ]
        return [curve for curve in found if curve.points]

    def truncated(self, pair: Pair) -> list[Curve]:
        """Of the first of its seeds."""
        seed, tree = next(iter(self.trees.items()))
        return truncated_curves(self.name, tree["systems"][self.system], pair, seed)


def entrants(name: str, trees: dict[int, Tree]) -> list[Entrant]:
    """Every system of one configuration, the one it is about first. name: in place of "adversarial", or "".

    A run without its checkpoints was measured at its saved generator alone: then a system has fewer seeds than another.
    """
    systems = list(dict.fromkeys(system for tree in trees.values() for system in tree["systems"]))
    named = [NAMES.get(system, system) for system in systems]
    if name:
        named = [name, *(f"{other} of {name}" for other in named[1:])]
    return [
        Entrant(shown, system, {seed: tree for seed, tree in trees.items() if system in tree["systems"]})
        for shown, system in zip(named, systems, strict=True)
    ]


def measured_pairs(field: Sequence[Entrant]) -> list[Pair]:
    """The pairs every system was measured at; likelihood a token only where all count the same tokens."""
    tokens = {tree.get("tokens") for entrant in field for tree in entrant.trees.values()}
    return [
        pair
        for pair in PAIRS
        if all(entrant.curves(pair) for entrant in field) and (len(tokens) == 1 or "nll" not in pair)
    ]


def comparisons(
    field: Sequence[Entrant], confidence: float, pairs: Container[Pair] | None = None
) -> list[FrontierComparison]:
    """The first against every other, on every pair of measures with known errors or enough seeds to see them.

    pairs: on these alone.
    """
    found = []
    for pair in measured_pairs(field):
        if pairs is not None and pair not in pairs:
            continue
        ours, *others = (entrant.curves(pair) for entrant in field)
        for theirs in others:
            # The error of a model trained on the samples holds neither their draw nor its training: seeds show both.
            known = "reverse_lm_score" not in pair and _errors_known([*ours, *theirs])
            if known or min(len(ours), len(theirs)) >= ENOUGH:
                found.append(compare_frontiers(ours, theirs, _axes(field, pair), confidence))
    return found


def _errors_known(curves: Sequence[Curve]) -> bool:
    return all(
        np.isfinite(point.errors).all()
        for curve in curves
        for point, finite in zip(curve.points, curve.finite, strict=True)
        if finite
    )


def figures(field: Sequence[Entrant], published: Published | None = None) -> dict[str, Figure]:
    """A picture a pair of measures, by a name for its file."""
    drawn = {}
    for pair in measured_pairs(field):
        curves = [curve for entrant in field for curve in entrant.curves(pair)]
        if len(field) == 1:
            curves += field[0].truncated(pair)
        beside = published.overlay() if published and COMPARABLE.get(published.suite) == pair else []
        real = [_first(field)["real"].get(name, {}).get("error") for name in pair]
        drawn["-".join(pair)] = figure_frontier(
            curves,
            _axes(field, pair),
            published=beside,
            real_error=(real[0], real[1]) if all(error is not None for error in real) else None,
            note=" ".join(published.caveats) if published and beside else "",
        )
    return drawn


def save(field: Sequence[Entrant], folder: Path, published: Published | None = None) -> list[Path]:
    """Every picture as SVG and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in figures(field, published).items() for path in save_svg_png(figure, folder / name)]


def _axes(field: Sequence[Entrant], pair: Pair) -> Any:
    return axes(_first(field), pair)


def _first(field: Sequence[Entrant]) -> Tree:
    return next(iter(field[0].trees.values()))
