"""Did adversarial training help on an embedded corpus? Three seeds of a recipe, compared (one seed: its verdict).

    python benchmarks/verdict.py --data tang --recipe mgan [section.field=value ...]

Resumable: finished runs are kept, unfinished ones go on. Writes benchmarks/results/NAME.json, and with --figure
the README's picture (the first seed's game and verdict).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
from importlib.metadata import version
from pathlib import Path

import mgan
from mgan.cli.display import display
from mgan.evaluation.plots import figure_game, figure_verdict, save_png
from mgan.training import compare
from mgan.training.run import Run

HERE = Path(__file__).parent


def run_of(folder: Path, data: str, recipe: str, seed: int, overrides: list[str]) -> Run:
    with display(False) as progress:
        if (folder / "config.yaml").exists():
            return mgan.resume(folder, progress=progress)
        return mgan.train(data, recipe, folder, overrides, seed=seed, progress=progress)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="tang")
    parser.add_argument("--recipe", default="mgan")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs are kept")
    parser.add_argument("--name", default=None, help="of the result; default: DATA-RECIPE-verdict")
    parser.add_argument("--figure", type=Path, default=None, help="folder for the pictures")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    name = options.name or f"{options.data}-{options.recipe}-verdict"
    runs, seconds = [], {}
    for seed in options.seeds:
        folder = options.runs / f"{name}-seed{seed}"
        runs.append(run_of(folder, options.data, options.recipe, seed, options.overrides))
        logged = runs[-1].metrics.read()
        seconds[seed] = round(logged[-1]["time"] - logged[0]["time"])
    if len(runs) < 2:
        print(runs[0].results["verdict"]["sentence"])
        return
    found = compare([run.path for run in runs])
    for entry in found["runs"]:
        del entry["run"]
    systems = {run.config.seed: run.results["systems"] for run in runs}
    outcomes = {run.config.seed: run.results["outcomes"] for run in runs}
    record = {
        "command": f"python benchmarks/verdict.py --data {options.data} --recipe {options.recipe} "
        + shlex.join(options.overrides),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "torch": version("torch")},
        "seconds": seconds,
        "comparison": found,
        "systems": systems,
        "outcomes": outcomes,
        "samples": {seed: run.results["samples"] for seed, run in zip(options.seeds[:1], runs, strict=False)},
    }
    target = HERE / "results" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if options.figure:
        save_png(figure_game(runs[0].metrics.read(), runs[0].config), options.figure / "game.png")
        save_png(figure_verdict(runs[0].results), options.figure / "verdict.png")
    print(found["sentence"])


if __name__ == "__main__":
    main()
