"""One method through one suite: tune on validation text, train every seed with what was chosen, measure on test text.

Everything lies in one folder and is found there again: a study that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mgan.bench.suite import Settings, Suite, SweepSettings, candidates
from mgan.config import Config
from mgan.evaluation import overlay
from mgan.evaluation.domination import FrontierComparison
from mgan.evaluation.sweep import Sweep
from mgan.files import write_json, write_text
from mgan.settings import SMOKE_LIMITS, SMOKE_VALUES, load_config
from mgan.training import evaluate, resume, train
from mgan.training.run import Run
from mgan.types import Progress, UserError

CONFIDENCE = 0.95
SMOKE_SWEEP = SweepSettings(temperatures=(0.9, 1.1), top_k=(), top_p=(0.9,), samples=20, trained=False)


@dataclass(frozen=True)
class Study:
    """folder: where the runs are. data: where the suite's files are. smoke: a whole study in seconds."""

    name: str
    suite: Suite
    folder: Path
    data: Path | None
    smoke: bool
    progress: Progress

    def seeds(self, method: str) -> tuple[int, ...]:
        """Of the method's final runs."""
        seeds = self.suite.method(method).seeds or self.suite.seeds
        return seeds[:1] if self.smoke else seeds

    def play(self, method: str) -> dict[str, Any]:
        """The method's whole record: what was tried, what was chosen, what every seed measured."""
        chosen, tried = self.tuned(method)
        runs, measured, seeds = {}, {}, self.seeds(method)
        for seed in seeds:
            self.progress.say(f"{self.name}: {method}, seed {seed}")
            run = self._run(f"{method}-seed{seed}", method, chosen, seed)
            # The measures that train a model cost as much as the run: the first seed has them.
            sweep = replace(self._sweep(), trained=self._sweep().trained and seed == seeds[0])
            measured[str(seed)] = evaluate(run.path, sweep, progress=self.progress)
            runs[str(seed)] = _of_seed(run, measured[str(seed)])
        return {
            "suite": self.name,
            "method": method,
            "smoke": self.smoke,
            "settings": {name: value for name, value in chosen.items() if name not in self.suite.files},
            "trials": tried,
            "seeds": runs,
            "comparisons": [found.as_json() for found in contest({method: {"seeds": measured}})],
        }

    def tuned(self, method: str, trials: int | None = None) -> tuple[Settings, list[dict[str, Any]]]:
        """The settings with the best validation score on the first seed, and every trial. Nothing here is tested.

        trials: of the first so many; None: of as many as the suite gives.
        """
        known = self.suite.method(method)
        base = self.suite.settings | self.suite.located(self.data)
        if known.after:
            base |= self.tuned(known.after, known.inherits)[0]
        base |= known.settings
        own = (self.suite.trials if trials is None else trials) - known.inherits
        space = candidates(known.search, 1 if self.smoke else own, seed=0)
        if len(space) < 2:
            return base | space[0], []
        tried = []
        for k, settings in enumerate(space):
            self.progress.say(f"{self.name}: {method}, trial {k + 1} of {len(space)}: {_said(settings)}")
            run = self._run(f"{method}-trial{k}", method, base | self.suite.tuning | settings, self.suite.seeds[0])
            tried.append({"settings": settings, **_primary(run)["validation"]})
        best = min(range(len(tried)), key=lambda k: tried[k]["score"] if math.isfinite(tried[k]["score"]) else math.inf)
        return base | space[best], tried

    def _run(self, name: str, method: str, settings: Settings, seed: int) -> Run:
        """The finished run of this name: found, resumed or trained."""
        path, config = self.folder / name, self._config(method, settings, seed)
        if not (path / "config.yaml").exists():
            return train(config, path, progress=self.progress)
        if Run.open(path).config != config:
            raise UserError(
                f"{path} holds a run with other settings than the suite now asks for: move it, or give another --out"
            )
        return resume(path, progress=self.progress)

    def _config(self, method: str, settings: Settings, seed: int) -> Config:
        alike = self.suite.method(method).alike.items()
        settings = settings | {field: settings[other] for field, other in alike if other in settings}
        if self.smoke:
            # What makes a run small wins over what the suite asks for.
            settings = {k: v for k, v in settings.items() if k not in SMOKE_VALUES | SMOKE_LIMITS} | self.suite.smoke
        return load_config(self.suite.method(method).recipe, smoke=self.smoke, seed=seed, **settings)

    def _sweep(self) -> Sweep:
        if self.smoke:
            return replace(SMOKE_SWEEP.sweep(), embedder=self.suite.sweep.embedder)
        return self.suite.sweep.sweep()


def contest(records: dict[str, Any]) -> list[FrontierComparison]:
    """The first method's system against every other system of these records, by method."""
    field = [
        entrant
        for method, record in records.items()
        for entrant in overlay.entrants(method, {int(seed): tree for seed, tree in record["seeds"].items()})
    ]
    return overlay.comparisons(field, CONFIDENCE)


def _primary(run: Run) -> dict[str, Any]:
    """The figures of the system a run is about."""
    found: dict[str, Any] = next(iter(run.results["systems"].values()))
    return found


def _of_seed(run: Run, measured: dict[str, Any]) -> dict[str, Any]:
    """What a result file keeps of one seed: everything but the replicates its errors came from."""
    logged = run.metrics.read()
    return {
        "verdict": run.results["verdict"]["sentence"],
        "outcomes": run.results["outcomes"],
        "data": run.results["data"]["fingerprint"],
        "training_seconds": round(logged[-1]["time"] - logged[0]["time"]),
        "compute": run.results["compute"],
        "validation": _primary(run)["validation"],
        **_without_replicates({name: measured[name] for name in ("texts", "embedder", "real", "systems")}),
    }


def _without_replicates(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _without_replicates(value) for name, value in tree.items() if name != "replicates"}
    if isinstance(tree, list):
        return [_without_replicates(value) for value in tree]
    return float(f"{tree:.5g}") if isinstance(tree, float) else tree


def _said(settings: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "the defaults"


def write(record: dict[str, Any], path: Path, command: str) -> None:
    """A result file: the record, and what it was made with."""
    versions = {name: version(name) for name in ("mgan", "torch", "numpy", "scipy", "rapidfuzz", "transformers")}
    machine = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.machine()}
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"command": command, "versions": versions | {"python": platform.python_version()}, "machine": machine}
    write_text(path, json.dumps(about | record, ensure_ascii=False, indent=1) + "\n")


def alike(records: dict[str, Any]) -> dict[str, Any]:
    """Those of a suite's records, by method, that were measured against the same texts as the last of them.

    Real text scores the same in them: it is the target, and one comparison has one target.
    """

    def target(record: dict[str, Any]) -> tuple[Any, ...]:
        tree = next(iter(record["seeds"].values()))
        return (*tree["texts"].items(), tree["embedder"], tree["real"]["bleu_5"]["value"])

    *_, last = ["", *records]
    return {name: one for name, one in records.items() if name == last or target(one) == target(records[last])}


def compare_methods(folder: Path, name: str, suite: Suite) -> list[dict[str, Any]]:
    """The method built on the others against each that was played, now or before; kept as NAME-comparisons.json."""
    paths = {method: folder / f"{name}-{method}.json" for method in suite.methods}
    records = {method: json.loads(path.read_text("utf-8")) for method, path in paths.items() if path.exists()}
    records = dict(reversed(alike(records).items()))
    if len(records) < 2:
        return []
    found = [comparison.as_json() for comparison in contest(records)]
    write_json(folder / f"{name}-comparisons.json", found)
    return found
