"""The task of a run at its end: every system answers the same held-out prompts, once each, and is measured by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mgan.data.corpus import Texts
from mgan.data.readers import Example
from mgan.evaluation import tasks
from mgan.evaluation.bootstrap import Intervals
from mgan.evaluation.tasks import Asked, Decoding
from mgan.models.protocols import Generator
from mgan.sampling.beam import Beam, search, searchable
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds, stream
from mgan.training.setup import Setup

SHOWN = 10
CHUNK = 256


def measured(setup: Setup, temperatures: Mapping[str, float]) -> dict[str, Any]:
    """``task`` of results.json, if the run has one: its measures of each system, and the first prompts' outputs.

    temperatures: the systems, and the temperature that each is sampled at.
    """
    world, evaluation = setup.world, setup.world.settings.evaluation
    if evaluation.task == "none":
        return {}
    seed, measures = stream(world.settings.seed, 76), tasks.named(evaluation.task)
    asked, texts = held_out(setup.corpus.test, bool(setup.corpus.labels), evaluation.samples)
    outputs = {
        name: answers(setup, world.restored(name), texts, measures.DECODING, temperature, seed)
        for name, temperature in temperatures.items()
    }
    measurable = outputs | ({"real": [one.references[0] for one in asked]} if measures.REAL else {})
    intervals = Intervals.over(len(asked), evaluation.bootstrap, evaluation.confidence, stream(seed, 1))
    found = {name: measures.measure(asked, written, intervals) for name, written in measurable.items()}
    examples = [
        asdict(one) | {"outputs": {name: written[i] for name, written in outputs.items()}}
        for i, one in enumerate(asked[:SHOWN])
    ]
    return {
        "task": {
            "name": evaluation.task,
            "prompts": len(asked),
            "measures": {
                name: {measure: asdict(estimate) for measure, estimate in estimates.items()}
                for name, estimates in found.items()
            },
            "examples": examples,
        }
    }


def held_out(texts: Texts | Sequence[Example], labelled: bool, most: int) -> tuple[list[Asked], list[int]]:
    """What is asked of the first ``most`` texts and which text each is the first of: a prompt stands once, with all
    its real texts; a label or no prompt stands once a text.
    """
    references: dict[int | str, list[str]] = {}
    first: dict[int | str, int] = {}
    for i, example in enumerate(texts):
        name: int | str = i if labelled or not example.prompt else example.prompt
        if name not in first and len(first) == most:
            continue
        first.setdefault(name, i)
        references.setdefault(name, []).append(example.text)
    asked = []
    for name, i in first.items():
        given, label = ("", texts[i].prompt) if labelled else (texts[i].prompt, None)
        asked.append(Asked(given, tuple(references[name]), label))
    return asked, list(first.values())


def answers(
    setup: Setup, generator: Generator, texts: Sequence[int], decoding: Decoding, temperature: float, seed: int
) -> list[str]:
    """A completion of each test text's prompt; the system's own numbers are those of every other system.

    temperature: of draws. Where a beam cannot be searched, what is likeliest token by token stands for it.
    """
    world, tokenizer = setup.world, setup.tokenizer
    rows = np.searchsorted(world.test.text_index, texts)
    drawn = Sampling(temperature, suppress=tokenizer.never)
    settings = drawn if decoding == "sample" else Sampling(top_k=1, suppress=tokenizer.never)
    room: dict[str, Any] = {
        "max_length": world.settings.generator.context, "eos": world.alphabet.eos, "pad": world.alphabet.pad
    }  # fmt: skip
    beam = Beam(suppress=tokenizer.never) if decoding == "beam" and searchable(generator) else None
    count = CHUNK // beam.width if beam else CHUNK
    seeds = row_seeds(seed, len(texts))
    written = []
    for start in range(0, len(rows), count):
        part = slice(start, start + count)
        prompts = world.test.batch(rows[part].tolist()).to(world.hardware.device)
        if beam:
            batch = search(generator, prompts, beam, **room)
        else:
            batch = sample(generator, prompts, seeds=seeds[part], sampling=settings, **room)
        columns = (batch.tokens.tolist(), batch.lengths.tolist(), batch.prompt_length.tolist())
        written += [tokenizer.completion(row[:length], given) for row, length, given in zip(*columns, strict=True)]
    return written
