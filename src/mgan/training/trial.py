"""The last phase: every system is tried on test text, the pair is saved, the report written."""

from __future__ import annotations

import platform
from typing import Any

import torch

from mgan.config import Config
from mgan.evaluation import verdict
from mgan.evaluation.label_consistency import LabelConsistency
from mgan.evaluation.report import render
from mgan.evaluation.system import Court, Trial
from mgan.files import write_text
from mgan.models import serving
from mgan.models.build import Architecture, save_player
from mgan.models.protocols import Generator
from mgan.sampling.uniforms import stream
from mgan.training import task
from mgan.training.events import Events
from mgan.training.phases import shortened
from mgan.training.publish import write_cards
from mgan.training.run import Run
from mgan.training.setup import Setup, messages, prompt_ending, prompted
from mgan.training.world import World
from mgan.types import Batch

SHOWN = 10
SUBJECTS = {
    "game": "the adversarially trained generator is",
    "reward": "the generator that BLEU paid is",
    "self_play": "the adversarially trained generator is",
    "cooperative": "the cooperatively trained generator is",
    "closed_form": "the generator that a formula judged is",
    "residual": "the pair, at {candidates} candidates a text, is",
}
"""What stands against maximum likelihood, by ``Config.contest``."""


def court(world: World) -> Court:
    alphabet = world.alphabet
    return Court(
        world.settings,
        (world.train, world.validation, world.test),
        alphabet.size,
        alphabet.eos,
        alphabet.pad,
        world.hardware,
        world.new_discriminator,
    )


def conclude(run: Run, setup: Setup, events: Events) -> None:
    """Try the systems, save the players, write results.json and report.html."""
    world = setup.world
    played = [name for name in ("adversarial", "mle", *world.settings.evaluation.controls) if name in world.kept]
    names = played or ["pretrained"]
    bench = court(world)
    trials: dict[str, Trial] = {}
    events.start("verdict", len(names), 0)
    for step, name in enumerate(names, 1):
        generator = world.restored(name)
        partner = world.discriminator if world.settings.contest == "residual" and name == "adversarial" else None
        trial = trials[name] = bench.trial(name, generator, partner)
        if name == names[0]:
            _save_pair(run, setup, generator, trial)
        metrics = {
            "likelihood_temperature": trial.temperatures.likelihood,
            "sampling_temperature": trial.temperatures.sampling,
            "nll": float(trial.nll.sum() / trial.tokens.sum()),
        }
        events.log("verdict", step, metrics, trial.samples)
    sampled = {name: trial.temperatures.sampling for name, trial in trials.items()}
    results = _results(setup, bench, trials) | _labels(setup, bench, trials) | task.measured(setup, sampled)
    if caution := results.get("labels", {}).get("caution"):
        events.say(caution)
    write_text(run.report, render(run.config, results, run.metrics.read()))
    write_cards(run, results)
    run.save_results(results)


def _save_pair(run: Run, setup: Setup, generator: Generator, trial: Trial) -> None:
    """The generator with the temperature to write at, its discriminator with the one it was fitted at."""
    settings, alphabet = setup.world.settings, setup.world.alphabet
    writer = Architecture.in_run("generator", settings, alphabet.size, alphabet.labels)
    judge = Architecture.in_run("discriminator", settings, alphabet.size, alphabet.labels)
    facts = {
        "temperature": trial.temperatures.sampling,
        "prompted": prompted(setup.corpus),
        "lowercase": settings.data.lowercase,
        "chats": messages(setup.corpus),
        "ending": prompt_ending(setup.corpus),
    }
    save_player(run.generator, generator, writer, **facts)
    save_player(
        run.discriminator, trial.discriminator, judge, temperature=trial.temperatures.likelihood,
        lowercase=settings.data.lowercase,
    )  # fmt: skip
    if settings.discriminator.pretrained is None:
        setup.tokenizer.save(run.discriminator)
    serving.finish_generator(run.generator, generator, setup.tokenizer, trial.temperatures.sampling)
    serving.finish_discriminator(run.discriminator, trial.discriminator)


def _results(setup: Setup, bench: Court, trials: dict[str, Trial]) -> dict[str, Any]:
    world = setup.world
    evaluation = world.settings.evaluation
    first = next(iter(trials.values()))
    drawn = verdict.Resamples.of(first, evaluation.bootstrap, stream(world.settings.seed, 74))
    systems = {
        name: verdict.summary(trial, drawn, evaluation.confidence, evaluation.candidates)
        for name, trial in trials.items()
    }
    return {
        "verdict": _verdict(trials, world.settings, drawn, shortened(world) if "mle" in trials else None),
        "outcomes": world.outcomes,
        "systems": systems,
        "real": {"ngram_score": bench.test.real_score, "texts": bench.test.texts},
        "data": {"description": setup.corpus.description, "fingerprint": setup.corpus.fingerprint},
        "compute": {name: {"flops": ledger.flops, "generated_tokens": ledger.tokens}
                    for name, ledger in world.ledgers.items()},
        "samples": {name: texts(setup, trial.samples) for name, trial in trials.items()}
        | {"real": texts(setup, bench.test.real)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }  # fmt: skip


def _labels(setup: Setup, bench: Court, trials: dict[str, Trial]) -> dict[str, Any]:
    """How often a system's samples are of the label they were asked for, if the texts have labels."""
    world, settings = setup.world, setup.world.settings
    if not world.alphabet.labels:
        return {}
    judge = LabelConsistency(
        (world.train, world.validation, world.test), world.alphabet.size, world.alphabet.labels, world.hardware,
        seed=stream(settings.seed, 75), steps=settings.evaluation.discriminator_steps,
    )  # fmt: skip
    found = {name: judge.found(trial.samples) for name, trial in trials.items()}
    by_label = {"real": judge.held_out} | found
    return {
        "labels": {
            "names": setup.corpus.labels,
            "classifier_accuracy": judge.held_out.share,
            "caution": judge.caution,
            "consistency": {name: one.share for name, one in found.items()},
            "by_label": {
                name: [{"texts": texts, "share": one.of(label)} for label, texts in enumerate(one.asked)]
                for name, one in by_label.items()
            },
            "samples": [setup.tokenizer.label_of(row) for row in bench.test.real.tokens[:SHOWN].tolist()],
        }
    }


def _verdict(
    trials: dict[str, Trial], settings: Config, drawn: verdict.Resamples, unequal: str | None
) -> dict[str, Any]:
    """unequal: what to say of a baseline that had less than the game's operations."""
    confidence = settings.evaluation.confidence
    if "mle" not in trials:
        return {
            "outcome": "none",
            "sentence": _without_baseline(trials),
            "controls": _controls(trials, settings, drawn),
        }
    ours, theirs = trials["adversarial"], trials["mle"]
    still = settings.contest == "residual"
    comparisons = (verdict.compare_pair if still else verdict.compare)(ours, theirs, drawn, confidence)
    outcome = verdict.decide(comparisons)
    assert settings.contest is not None
    subject = SUBJECTS[settings.contest].format(candidates=settings.evaluation.candidates)
    if unequal:
        said = f"Verdict: none, {unequal}: {verdict.figures(comparisons)} (ours minus MLE, lower is better)."
    else:
        said = verdict.sentence(outcome, comparisons, confidence, len(ours.nll), subject)
    return {
        "outcome": "none" if unequal or len(ours.nll) < verdict.ENOUGH else outcome,
        "sentence": said,
        "unequal": unequal,
        "comparisons": [verdict.as_json(c) for c in comparisons],
        "pair": verdict.pair_comparison(ours, theirs, drawn, confidence),
        "controls": _controls(trials, settings, drawn),
    }


def _without_baseline(trials: dict[str, Trial]) -> str:
    first = next(iter(trials.values()))
    nll = f"a held-out NLL of {first.nll.sum() / first.tokens.sum():.3f} nats a token."
    if "adversarial" not in trials:
        return f"Verdict: none, this recipe plays no game; MLE alone has {nll}"
    return f"Verdict: none, no MLE was trained beside the game (evaluation.baseline=false), which has {nll}"


def _controls(trials: dict[str, Trial], settings: Config, drawn: verdict.Resamples) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in settings.evaluation.controls:
        comparisons = verdict.compare(trials["adversarial"], trials[name], drawn, settings.evaluation.confidence)
        compared = [verdict.as_json(comparison) for comparison in comparisons]
        found[name] = {"outcome": verdict.decide(comparisons), "comparisons": compared}
    return found


def texts(setup: Setup, batch: Batch) -> list[str]:
    """The first test rows as text, with what was given; an ellipsis stands for the beginning of one that was cut."""
    some = batch.rows(slice(SHOWN))
    rows = list(zip(*(tensor.tolist() for tensor in (some.tokens, some.lengths, some.prompt_length)), strict=True))
    whole = [setup.tokenizer.whole(tokens[:length], given) for tokens, length, given in rows]
    # A source that was cut, or stands before every window, keeps its beginning.
    if setup.tokenizer.sources or setup.tokenizer.labels or setup.tokenizer.blanks or not prompted(setup.corpus):
        return whole
    examples = [setup.corpus.test[i] for i in setup.world.test.text_index[: len(rows)].tolist()]
    prompts = setup.tokenizer.prompts(examples)
    begin = (tokens[:given] == prompt for (tokens, _, given), prompt in zip(rows, prompts, strict=True))
    return [text if begins else f"…{text}" for text, begins in zip(whole, begin, strict=True)]
