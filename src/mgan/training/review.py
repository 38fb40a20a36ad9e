"""A finished run looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mgan.evaluation import verdict
from mgan.evaluation.report import render
from mgan.models.build import load_player
from mgan.sampling.uniforms import stream
from mgan.training.files import write_text
from mgan.training.run import Run
from mgan.training.setup import same_text, set_up, tokenizer_files
from mgan.training.trial import court
from mgan.types import Progress, Silent


def evaluate(path: Path | str, progress: Progress | None = None) -> dict[str, Any]:
    """The held-out measures of the saved pair, computed afresh from its files and the test split."""
    run, progress = Run.open(path), progress or Silent()
    results = run.results
    generator, _, facts = load_player(run.generator)
    discriminator, _, _ = load_player(run.discriminator)
    setup = set_up(run, progress, tokenizer_files(run.generator))
    same_text(results["data"]["fingerprint"], setup.corpus.fingerprint, run.config.data.path)
    world, device = setup.world, setup.world.hardware.device
    temperature = float(facts["temperature"])
    progress.start("evaluate", 1, 0)
    trial = court(world).try_system("generator", generator.to(device), temperature, discriminator.to(device))
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
