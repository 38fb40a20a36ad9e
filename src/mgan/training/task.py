"""The task of a run at its end: every system answers the same held-out prompts, once each, and is measured by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mgan.data.corpus import Texts
from mgan.data.readers import Example
from mgan.data.rows import Rows, whole
from mgan.evaluation import tasks
from mgan.evaluation.bootstrap import Intervals
from mgan.evaluation.tasks import Asked, Decoding
from mgan.models.protocols import Generator
from mgan.sampling import sliding
from mgan.sampling.beam import Beam, search, searchable
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds, stream
from mgan.training.setup import Setup, alone

SHOWN = 10
CHUNK = 256


def measured(setup: Setup, temperatures: Mapping[str, float]) -> dict[str, Any]:
    """``task`` of results.json, if the run has one: its measures of each system, and the first prompts' outputs.

    Nothing where no prompt's real text fits the context with it, as was said when the run began.

    temperatures: the systems, and the temperature that each is sampled at.
    """
    world, evaluation = setup.world, setup.world.settings.evaluation
    if evaluation.task == "none":
        return {}
    seed, measures = stream(world.settings.seed, 76), tasks.named(evaluation.task)
    fit: Iterable[bool] = itertools.repeat(True)
    if not alone(setup.corpus, setup.tokenizer):
        fit = whole(setup.corpus.test, setup.tokenizer, world.settings.generator.context)
    asked, texts, left_out = held_out(setup.corpus.test, bool(setup.corpus.labels), evaluation.samples, fit)
    if not asked:
        return {}
    decoding: Decoding = measures.DECODING
    if decoding == "beam" and not searchable(world.generator):
        decoding = "greedy"
    outputs = {
        name: answers(setup, world.restored(name), texts, decoding, temperature, seed)
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
            "left_out": left_out,
            "decoding": decoding,
            "measures": {
                name: {measure: asdict(estimate) for measure, estimate in estimates.items()}
                for name, estimates in found.items()
            },
            "examples": examples,
        }
    }


def held_out(
    texts: Texts | Sequence[Example], labelled: bool, most: int, fit: Iterable[bool]
) -> tuple[list[Asked], list[int], int]:
    """What is asked of the first ``most`` prompts, which text each is the first of, and how many prompts are left out.

    A prompt stands once, with all its real texts; a label or no prompt stands once a text. fit: of each text, whether
    a generator has room to write it; a prompt of which one does not fit is left out.
    """
    names: list[int | str] = [
        i if labelled or not example.prompt else example.prompt for i, example in enumerate(texts)
    ]
    long = {name for name, fits in zip(names, fit, strict=False) if not fits}
    references: dict[int | str, list[str]] = {}
    first: dict[int | str, int] = {}
    for i, (name, example) in enumerate(zip(names, texts, strict=True)):
        if name in long or (name not in first and len(first) == most):
            continue
        first.setdefault(name, i)
        references.setdefault(name, []).append(example.text)
    asked = []
    for name, i in first.items():
        given, label = ("", texts[i].prompt) if labelled else (texts[i].prompt, None)
        asked.append(Asked(given, tuple(references[name]), label))
    return asked, list(first.values()), len(long)


def answers(
    setup: Setup, generator: Generator, texts: Sequence[int], decoding: Decoding, temperature: float, seed: int
) -> list[str]:
    """A completion of each test text's prompt; the system's own numbers are those of every other system.

    temperature: of draws. Where nothing but a label is given, a text goes on in windows beyond the context, up to the
    length of the longest of the test texts.
    """
    world, tokenizer = setup.world, setup.tokenizer
    rows = np.searchsorted(world.test.text_index, texts)
    drawn = Sampling(temperature, suppress=tokenizer.never)
    settings = drawn if decoding == "sample" else Sampling(top_k=1, suppress=tokenizer.never)
    if alone(setup.corpus, tokenizer):
        return _in_windows(setup, generator, rows.tolist(), settings, seed)
    room: dict[str, Any] = {
        "max_length": world.settings.generator.context, "eos": world.alphabet.eos, "pad": world.alphabet.pad
    }  # fmt: skip
    beam = Beam(suppress=tokenizer.never) if decoding == "beam" else None
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


def _in_windows(setup: Setup, generator: Generator, rows: Sequence[int], sampling: Sampling, seed: int) -> list[str]:
    """rows: the first one of each test text, whose given part stands before every window (``sampling.sliding``)."""
    world, tokenizer, context = setup.world, setup.tokenizer, setup.world.settings.generator.context
    written, places = [""] * len(rows), dict[tuple[int, ...], list[int]]()
    for place, row in enumerate(rows):
        tokens, given = world.test.row(row)
        places.setdefault(tuple(tokens[:given]), []).append(place)
    longest = max(_length(world.test, row) for row in rows)
    for head, mine in places.items():
        for start in range(0, len(mine), CHUNK):
            part = mine[start : start + CHUNK]
            texts = sliding.write(
                generator, list(head), [], places=part, length=max(longest, context - len(head)), context=context,
                eos=world.alphabet.eos, pad=world.alphabet.pad, seed=seed, sampling=sampling,
                device=world.hardware.device,
            )  # fmt: skip
            for place, text in zip(part, texts, strict=True):
                written[place] = tokenizer.completion([*head, *text], len(head))
    return written


def _length(rows: Rows, first: int) -> int:
    """Tokens of the text that begins with this row, over all its windows."""
    end = int(np.searchsorted(rows.text_index, rows.text_index[first], side="right"))
    return sum(len(tokens) - given for tokens, given in map(rows.row, range(first, end)))
