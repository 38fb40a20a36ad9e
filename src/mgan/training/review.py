"""A finished run looked at again: every system's frontier on held-out text, and the report."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mgan.data.tokenizers import Tokenizer, is_spaced
from mgan.evaluation import overlay
from mgan.evaluation.metrics.embedders import embedder
from mgan.evaluation.metrics.words import words
from mgan.evaluation.report import render
from mgan.evaluation.scorecard import Scorecard
from mgan.evaluation.sweep import Decoding, Halves, Sweep, Sweeper, Text, as_json
from mgan.evaluation.tables import page
from mgan.evaluation.trained import Trained
from mgan.files import write_json, write_text
from mgan.models.build import load_player
from mgan.models.protocols import Generator
from mgan.sampling.uniforms import stream
from mgan.training import checkpoint, synthetic
from mgan.training.publish import write_cards
from mgan.training.run import Run
from mgan.training.runner import locked
from mgan.training.setup import Setup, same_text, set_up
from mgan.types import Batch, Progress, Silent, UserError

DRAW = 75
FEWEST, FEWEST_TRAINED = 7, 40
"""Real texts on the samples' side below which neighbours, or a fresh discriminator, have too little to go by.

Of training texts it takes twice as many: the bound's discriminator is fitted on one half against the other."""
FORMAT = 1
"""Raised whenever a measure changes its definition: older points cannot stand beside new ones."""
SYSTEMS = ("adversarial", "mle", "constant", "random", "frozen")


def evaluate(path: Path | str, sweep: Sweep = Sweep(), progress: Progress | None = None) -> dict[str, Any]:
    """Every system of a run along its decoding settings, on test text, with real text measured beside it.

    Written to ``evaluation.json`` point by point: stopped, it goes on where it was; asked for further settings, it adds
    them; asked for another number of samples or another embedder, it begins anew.
    """
    run = Run.open(path)
    results = run.results
    with locked(run):
        found = _evaluate(run, results["data"]["fingerprint"], sweep, progress or Silent())
    return {"run": run.name, "verdict": results["verdict"]["sentence"], **found.tree}


def _evaluate(run: Run, fingerprint: str, sweep: Sweep, progress: Progress) -> _Found:
    setup = set_up(run, progress, Tokenizer.load(run.generator))
    same_text(fingerprint, setup.corpus.fingerprint, run.config.data.path)
    generators = _generators(run, setup)
    sweeper = _sweeper(setup, sweep)
    trained = Trained(sweeper)
    found = _Found(run, _asked(setup, sweep), [*generators])
    work = [(name, decoding, False) for name in generators for decoding in sweep.decodings]
    if sweep.trained:
        work += [(name, decoding, True) for name in generators for decoding in sweep.middle]
    progress.start("evaluate", len(work) + 1, 0)
    if "real" not in found.tree:
        found.tree |= _about(sweeper) | {"real": {name: as_json(value) for name, value in sweeper.real().items()}}
        found.save()
    if sweep.trained and not trained.measured(found.tree["real"]):
        found.tree["real"] |= trained.real()
        found.save()
    seed = stream(run.config.seed, DRAW)
    for step, (name, decoding, trains) in enumerate(work, 1):
        if not found.has(name, decoding, trains):
            generator = generators[name].to(setup.world.hardware.device)
            if trains:
                measures = trained.point(generator, decoding, seed)
            else:
                measures = {k: as_json(v) for k, v in sweeper.point(generator, decoding, seed).items()}
            found.add(name, decoding, trains, measures)
        progress.advance("evaluate", step, {})
    _present(run, found)
    progress.advance("evaluate", len(work) + 1, {})
    return found


def _asked(setup: Setup, sweep: Sweep) -> dict[str, Any]:
    """What must be the same for two points to stand in one table."""
    return {
        "format": FORMAT,
        "sweep": {"samples": sweep.samples, "embedder": sweep.embedder},
        "data": setup.corpus.fingerprint,
        "tokens": hashlib.blake2b(setup.tokenizer.fingerprint.encode(), digest_size=8).hexdigest(),
    }


def _present(run: Run, found: _Found) -> None:
    """Who dominates whom, the pictures, the tables and the report."""
    field = overlay.entrants("", {run.config.seed: found.tree})
    compared = overlay.comparisons(field, run.config.evaluation.confidence)
    found.tree["comparisons"] = [comparison.as_json() for comparison in compared]
    found.save()
    overlay.save(field, run.path / "frontier")
    write_text(run.path / "evaluation.md", page(run.name, found.tree))
    report(run.path)


def report(path: Path | str) -> Path:
    """Render report.html again from results.json, metrics.jsonl and, if the run was evaluated, evaluation.json; and
    the players' cards.
    """
    run = Run.open(path)
    write_text(run.report, render(run.config, run.results, run.metrics.read(), run.evaluation))
    write_cards(run, run.results)
    return run.report


class _Found:
    """evaluation.json as far as it goes; begun anew if what it holds cannot stand beside what is asked."""

    def __init__(self, run: Run, asked: dict[str, Any], names: list[str]):
        self.path = run.path / "evaluation.json"
        before = run.measured
        same = all(before.get(key) == value for key, value in asked.items()) and [*before.get("systems", [])] == names
        self.tree = before if same else asked | {"systems": {name: {"points": [], "trained": []} for name in names}}

    def has(self, system: str, decoding: Decoding, trained: bool) -> bool:
        return any(point["label"] == decoding.label for point in self._points(system, trained))

    def add(self, system: str, decoding: Decoding, trained: bool, measures: dict[str, Any]) -> None:
        points = self._points(system, trained)
        points.append({"label": decoding.label, **asdict(decoding), "measures": measures})
        points.sort(key=lambda p: (p["top_p"] < 1, p["top_k"], p["temperature"], p["top_p"]))
        # Until it is compared again, the run counts as not evaluated.
        self.tree.pop("comparisons", None)
        self.save()

    def save(self) -> None:
        write_json(self.path, self.tree)

    def _points(self, system: str, trained: bool) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = self.tree["systems"][system]["trained" if trained else "points"]
        return points


def _generators(run: Run, setup: Setup) -> dict[str, Generator]:
    """Every system whose weights the newest checkpoint still has; without one, the saved generator alone."""
    newest = checkpoint.numbers(run.checkpoints)
    if not newest:
        return {next(iter(run.results["systems"])): load_player(run.generator)[0]}
    world = setup.world
    world.load_state_dict(checkpoint.load(run.checkpoints, newest[-1])["world"])
    names = [name for name in SYSTEMS if name in world.kept] or ["pretrained"]
    return {name: world.restored(name) for name in names}


def _sweeper(setup: Setup, sweep: Sweep) -> Sweeper:
    world, corpus, tokenizer = setup.world, setup.corpus, setup.tokenizer
    context, never = world.settings.generator.context, tokenizer.never
    text = Text(world.test, context, tokenizer.eos, tokenizer.pad, never, world.hardware)

    def decode(batch: Batch) -> list[str]:
        rows = zip(*(tensor.tolist() for tensor in (batch.tokens, batch.lengths, batch.prompt_length)), strict=True)
        return [tokenizer.completion(tokens[:length], given) for tokens, length, given in rows]

    if world.test.texts < 2 * FEWEST:
        raise UserError(
            f"the frontier needs {2 * FEWEST} test texts or more, and this run has {world.test.texts}: train on more "
            "text, with a larger data.test, or with a test file of its own (data.test_path)"
        )
    known, held = ([example.text for example in texts] for texts in (corpus.train, corpus.test))
    halves = Halves.of(world.train, world.test, (known, held), decode, sweep.samples)
    _enough(len(halves.real), len(halves.training), sweep)
    spaced = tokenizer.kind == "ids" or is_spaced(known[:2000])
    space = None if sweep.embedder == "none" else embedder(sweep.embedder)
    scorecard = Scorecard(halves.reference, halves.training, space, str.split if spaced else words)
    truth = None
    if tokenizer.kind == "ids":
        truth = synthetic.Truth.of_run(world.settings.data.oracle, world.test, world.hardware.device)
    return Sweeper(text, halves, scorecard, decode, truth)


def _enough(real: int, training: int, sweep: Sweep) -> None:
    if real < FEWEST:
        raise UserError(f"the frontier needs {2 * FEWEST} test texts or more, and here are twice {real}: ask for more")
    if sweep.trained and real < FEWEST_TRAINED:
        raise UserError(
            f"the measures that train a model need {FEWEST_TRAINED} samples and {2 * FEWEST_TRAINED} test texts or "
            f"more, and here are {real} samples: ask for --no-trained, or for more"
        )
    if sweep.trained and training < 2 * FEWEST_TRAINED:
        raise UserError(
            f"the measures that train a model need {2 * FEWEST_TRAINED} training texts or more, and this run has "
            f"{training}: ask for --no-trained"
        )


def _about(sweeper: Sweeper) -> dict[str, Any]:
    halves, scorecard = sweeper.halves, sweeper.scorecard
    return {
        "texts": {"reference": len(halves.reference), "real": len(halves.real), "training": len(halves.training)},
        "embedder": scorecard.embedder.name if scorecard.embedder else None,
    }
