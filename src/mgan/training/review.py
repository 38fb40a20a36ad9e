"""A finished run looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mgan.data.tokenizers import Tokenizer
from mgan.evaluation import verdict
from mgan.evaluation.report import render
from mgan.files import write_text
from mgan.models.build import load_player
from mgan.sampling.uniforms import stream
from mgan.training import checkpoint
from mgan.training.run import Run
from mgan.training.setup import same_text, set_up
from mgan.training.trial import court
from mgan.types import Progress, Silent, UserError


def evaluate(path: Path | str, progress: Progress | None = None) -> dict[str, Any]:
    """The held-out measures of the saved generator, computed afresh: temperatures, fresh discriminators and all."""
    run, progress = Run.open(path), progress or Silent()
    results = run.results
    generator, _, _ = load_player(run.generator)
    setup = set_up(run, progress, Tokenizer.load(run.generator))
    same_text(results["data"]["fingerprint"], setup.corpus.fingerprint, run.config.data.path)
    world = setup.world
    # The fresh discriminators start from what this run's own started from, so the figures come out again.
    newest = checkpoint.numbers(run.checkpoints)
    if not newest:
        raise UserError(f"{run.name} has no checkpoint left: its measures cannot be computed again")
    world.load_state_dict(checkpoint.load(run.checkpoints, newest[-1])["world"])
    progress.start("evaluate", 1, 0)
    trial = court(world).trial("generator", generator.to(world.hardware.device))
    evaluation = run.config.evaluation
    drawn = verdict.Resamples.of(trial, evaluation.bootstrap, stream(world.settings.seed, 74))
    measures = verdict.summary(trial, drawn, evaluation.confidence, evaluation.candidates)
    progress.advance("evaluate", 1, {"nll": measures["nll_per_token"]["value"]})
    return {"run": run.name, "verdict": results["verdict"]["sentence"], **measures}


def report(path: Path | str) -> Path:
    """Render report.html again from results.json and metrics.jsonl."""
    run = Run.open(path)
    write_text(run.report, render(run.config, run.results, run.metrics.read()))
    return run.report
