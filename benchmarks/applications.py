"""Does an application's game beat maximum likelihood at equal compute? Three seeds, held-out text, its own measures.

    python benchmarks/applications.py quatrains                  a corpus that ships with mgan
    python benchmarks/applications.py trivia --data FOLDER       files of FOLDER, as SETS names them
    python benchmarks/applications.py quatrains --smoke          the same in a minute; measures nothing
    python benchmarks/applications.py trivia --data FOLDER --model MODEL --device cuda

Every command takes half an hour to an hour of one core; it is resumable. With --model the generator is a pretrained
causal language model (a folder, a .gguf file or a hub name, such as HuggingFaceTB/SmolLM2-135M-Instruct) and the game
is that of the recipe gad: for an accelerator.

1. Maximum likelihood is tuned on the first seed: one run a rate and dropout, chosen by validation text.
2. From the pre-training chosen there the recipe plays on the first seed, one run a pair of a rate for the generator and
   a weight of its anchor, chosen by validation text. Beside each game stands more maximum likelihood at its cost.
3. The other seeds are run with what was chosen. What is reported comes from test text alone.

Writes benchmarks/results/application-SET.json, with --model application-SET-gad.json; docs/make_applications.py makes
the pages of it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import mgan
from mgan import presets, threads
from mgan.cli.display import display
from mgan.evaluation.seeds import t_interval
from mgan.files import write_json
from mgan.settings import load_config
from mgan.training.run import Run

RESULTS = Path(__file__).parent / "results"
CONFIDENCE = 0.95
PAUSE = 600
"""Seconds without a word in which a run was stopped."""
SEEDS = (0, 1, 2)
Fields = tuple[str, ...]


@dataclass(frozen=True)
class Set:
    """A recipe on one set of texts. data: a corpus that ships with mgan, or a file of the folder given."""

    recipe: str
    data: str
    fields: Fields = ()


ENCODER = ("generator.hidden=128", "generator.layers=2")
SETS = {
    "quatrains": Set("story", "tang", ("generator.context=40",)),
    "shakespeare": Set("story", "shakespeare", ("data.max_texts=6000", "generator.context=64")),
    "french": Set(
        "translation", "pairs/enfr_bible.tsv", (*ENCODER, "data.max_texts=6000", "generator.context=160")
    ),
    "chinese": Set("translation", "pairs/enzh_hsk.tsv", (*ENCODER, "generator.context=48")),
    "trivia": Set("answering", "qa/red_trivia_qa.json", ("data.max_texts=6000", "generator.context=64")),
    "riddles": Set("answering", "qa/zh_xiehouyu.tsv", ("data.max_texts=6000", "generator.context=32")),
    "exchanges": Set(
        "dialogue", "dialogue/chatterbot_english.json", ("generator.context=64", "data.test=0.2", "pretrain.epochs=30")
    ),
    "exchanges-chinese": Set(
        "dialogue", "dialogue/chatterbot_chinese.json",
        ("generator.context=48", "data.test=0.3", "pretrain.epochs=40", "pretrain.evaluate_every=50"),
    ),
}  # fmt: skip
SHARED = (
    "evaluation.samples=400", "evaluation.temperatures=[0.7,0.8,0.9,1.0,1.1]", "evaluation.discriminator_steps=75",
    "evaluation.candidates=2",
)  # fmt: skip
LIKELIHOOD: tuple[Fields, ...] = (
    ("pretrain.learning_rate=0.01", "generator.dropout=0.4"),
    ("pretrain.learning_rate=0.003", "generator.dropout=0.4"),
    ("pretrain.learning_rate=0.01", "generator.dropout=0.2"),
    ("pretrain.learning_rate=0.003", "generator.dropout=0.2"),
)
TRANSFORMER: tuple[Fields, ...] = (
    ("pretrain.learning_rate=0.003", "generator.dropout=0.3"),
    ("pretrain.learning_rate=0.001", "generator.dropout=0.3"),
    ("pretrain.learning_rate=0.003", "generator.dropout=0.1"),
    ("pretrain.learning_rate=0.001", "generator.dropout=0.1"),
)
PRETRAINED: tuple[Fields, ...] = (
    ("pretrain.learning_rate=0.0001", "pretrain.epochs=1"),
    ("pretrain.learning_rate=3e-05", "pretrain.epochs=2"),
)
GAME: tuple[Fields, ...] = (
    ("adversarial.generator_rate=0.001", "game.kl=0.05"),
    ("adversarial.generator_rate=0.0003", "game.kl=0.05"),
    ("adversarial.generator_rate=0.001", "game.kl=0.2"),
)
GAD: tuple[Fields, ...] = (("adversarial.generator_rate=1e-06",), ("adversarial.generator_rate=5e-06",))
LIKELIHOODS = {"translation": TRANSFORMER, "gad": PRETRAINED}
NO_GAME = ("adversarial.steps=0", "warmup.steps=0", "evaluation.task=none", "evaluation.discriminator_steps=1")


def by_gad(of: Set, model: str) -> Set:
    """The same texts and measures, of a pretrained model that plays gad."""
    recipe = load_config(of.recipe)
    kept = (field for field in of.fields if field.startswith(("data.", "generator.context=")))
    task, turns = recipe.evaluation.task, recipe.data.turns
    added = f"generator.pretrained={model}", f"evaluation.task={task}", f"data.turns={turns}"
    return Set("gad", of.data, (*kept, *added))


@dataclass(frozen=True)
class Study:
    """One set's folder of runs: finished ones are found as they are."""

    name: str
    folder: Path
    options: argparse.Namespace

    @property
    def set(self) -> Set:
        model = self.options.model
        return SETS[self.name] if model is None else by_gad(SETS[self.name], model)

    def record(self) -> dict[str, Any]:
        first, *others = SEEDS[:2] if self.options.smoke else SEEDS
        trials = LIKELIHOODS.get(self.set.recipe, LIKELIHOOD)
        games = GAD if self.set.recipe == "gad" else GAME
        tried = [self._run(f"mle-trial{k}", (*NO_GAME, *fields), first) for k, fields in self._few(trials)]
        likelihood = trials[best(tried)]
        played = [self._run(f"game-trial{k}", (*likelihood, *fields), first) for k, fields in self._few(games)]
        game = games[best(played)]
        runs = {first: played[best(played)]}
        runs |= {seed: self._run(f"seed{seed}", (*likelihood, *game), seed) for seed in others}
        seeds = {str(seed): of_seed(run) for seed, run in runs.items()}
        return {
            "set": self.name,
            "recipe": self.set.recipe,
            "data": self.set.data,
            "smoke": self.options.smoke,
            "model": None if self.options.model is None else Path(self.options.model).name,
            "task": runs[first].results["task"]["name"],
            "settings": [*(f for f in self.set.fields if not f.startswith("generator.pretrained=")), *SHARED],
            "trials": {
                "mle": [[*fields, score(run)] for run, fields in zip(tried, trials, strict=False)],
                "game": [[*fields, score(run)] for run, fields in zip(played, games, strict=False)],
            },
            "chosen": {"mle": likelihood, "game": game},
            "texts": runs[first].results["data"]["description"].partition(": ")[2],
            "examples": runs[first].results["task"]["examples"],
            "seeds": seeds,
            "summary": summary(list(seeds.values())),
        }

    def _few(self, trials: tuple[Fields, ...]) -> list[tuple[int, Fields]]:
        return list(enumerate(trials))[: 2 if self.options.smoke else None]

    def _run(self, name: str, fields: Fields, seed: int) -> Run:
        folder, smoke = self.folder / name, self.options.smoke
        fields = (*SHARED, *self.set.fields, *fields)
        if smoke:
            # What makes a run small wins over what the study asks for.
            small = {*presets.SMOKE_VALUES, *presets.SMOKE_LIMITS} - {"generator.context"}
            fields = tuple(f for f in fields if f in NO_GAME or f.partition("=")[0] not in small)
        with display(self.options.quiet) as progress:
            if (folder / "config.yaml").exists():
                return mgan.resume(folder, progress=progress)
            progress.say(f"{self.name}: {name}")
            return mgan.train(
                self._data(), self.set.recipe, folder, fields,
                smoke=smoke, seed=seed, device=self.options.device, progress=progress,
            )  # fmt: skip

    def _data(self) -> str:
        if "/" not in self.set.data:
            return self.set.data
        return str(self.options.data / self.set.data)


def score(run: Run) -> float:
    """What validation text says of the run's first system, lower is better."""
    return float(next(iter(run.results["systems"].values()))["validation"]["score"])


def best(runs: list[Run]) -> int:
    scores = [score(run) for run in runs]
    return min(range(len(runs)), key=lambda k: scores[k] if math.isfinite(scores[k]) else math.inf)


def of_seed(run: Run) -> dict[str, Any]:
    """What test text says of both systems, and what they cost."""
    results, times = run.results, [record["time"] for record in run.metrics.read()]
    measures = results["task"]["measures"]
    systems = {
        name: {
            "nll": results["systems"][name]["nll_per_token"]["value"],
            "two_sample": results["systems"][name]["fresh_discriminator_accuracy"]["value"],
            "temperature": results["systems"][name]["temperatures"]["sampling"],
            "task": {measure: estimate["value"] for measure, estimate in measures[name].items()},
        }
        for name in ("adversarial", "mle")
    }
    real = {measure: estimate["value"] for measure, estimate in measures.get("real", {}).items()}
    return {
        "systems": systems,
        "real": real,
        "verdict": results["verdict"]["sentence"],
        "outcome": results["outcomes"]["adversarial"]["sentence"],
        "flops": {phase: spent["flops"] for phase, spent in results["compute"].items()},
        "seconds": round(sum(gap for gap in np.diff(times) if gap < PAUSE)),
    }


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """[mean, low, high] of every measure, Student's interval over seeds: each system's, and their difference's.

    farther: how much farther from real text's own value the game lies than maximum likelihood, seed by seed, where
    there is such a value. All seeds share the test texts, and the intervals hold for these.
    """

    def interval(values: list[float]) -> list[float]:
        found = t_interval(np.array(values), CONFIDENCE)
        return [round(x, 5) for x in (found.value, found.low, found.high)]

    def figures(seed: dict[str, Any], name: str) -> dict[str, float]:
        system = seed["systems"][name]
        return {"nll": system["nll"], "two_sample": system["two_sample"], **system["task"]}

    tables = {name: [figures(seed, name) for seed in seeds] for name in ("adversarial", "mle")}
    shared = [m for m in tables["mle"][0] if all(m in table for tree in tables.values() for table in tree)]
    targets = {"two_sample": 0.5} | seeds[0]["real"]
    pairs = list(zip(tables["adversarial"], tables["mle"], strict=True))
    return {
        "confidence": CONFIDENCE,
        **{name: {m: interval([t[m] for t in tree]) for m in shared} for name, tree in tables.items()},
        "difference": {m: interval([a[m] - b[m] for a, b in pairs]) for m in shared},
        "farther": {
            m: interval([abs(a[m] - targets[m]) - abs(b[m] - targets[m]) for a, b in pairs])
            for m in shared
            if m in targets
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the files are that mgan does not ship")
    parser.add_argument("--model", help="a causal language model to begin with; default: a network from scratch")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--work", type=Path, default=Path("runs/applications"), help="where the runs are kept")
    parser.add_argument("--save", type=Path, default=RESULTS, help="the folder of records")
    parser.add_argument("--smoke", action="store_true", help="in a minute, to see that it runs")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    if "/" in SETS[options.set].data and options.data is None:
        parser.error(f"{options.set} needs --data: the folder that {SETS[options.set].data} is in")
    threads.use()
    name = options.set + "-gad" * (options.model is not None)
    record = Study(options.set, options.work / name, options).record()
    versions = {name: version(name) for name in ("mgan", "torch", "numpy", "transformers")}
    about = {
        "command": f"python benchmarks/applications.py {options.set}"
        + f" --model {record['model']} --device {options.device}" * (options.model is not None)
        + " --smoke" * options.smoke,
        "machine": {"cores": os.cpu_count(), "threads": threads.use().count, "device": options.device},
        "versions": versions | {"python": platform.python_version()},
    }
    write_json(options.save / f"application-{name}.json", about | record)
    print(json.dumps(record["summary"]["difference"], indent=1))


if __name__ == "__main__":
    main()
