"""Sampling beside the discriminator's update, against one after the other: a round of three discriminator moves.

    python benchmarks/overlap.py [--rounds 8] [--json] [--save FILE]

In the discriminator's moves the generator stands still, so the next samples can be drawn in a second thread while the
discriminator learns from the last. Both ways draw four batches (the last for the generator's move) and update three
times, turn about, on the same numbers, and must end with the same weights, bit for bit. The ratio is wall time, one
after the other over ahead; CPU seconds beside it say what the second thread costs. ``spare`` is the same ratio of two
matrix products, which share nothing: what the machine has to give while this runs, at best 2. There is no peer.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.sampling.ahead import Move, in_turn
from mgan.sampling.uniforms import stream
from mgan.training.adversarial import AdversarialGame
from mgan.training.world import Alphabet, World
from mgan.types import Batch
from pairing import surroundings

MOVES, ROWS, WORDS, TEXTS, LENGTH = 3, 64, 2000, 1024, 24
SIZES = {"LSTM of 128": ("lstm", 128, 1), "GPT-2 of 2 x 128": ("transformer", 128, 2)}
Order = Callable[[Callable[[int], Batch], int], Iterable[Batch]]


def serially(produce: Callable[[int], Batch], count: int) -> Iterator[Batch]:
    return map(produce, range(count))


def ahead(produce: Callable[[int], Batch], count: int) -> Iterator[Batch]:
    """produce(0), produce(1), ... in order, each made in a second thread while the one before is used."""

    def draw(number: int) -> Callable[[], Batch]:
        found = produce(number)
        return lambda: found

    return in_turn([Move(lambda batch: batch, still=True)] * count, draw, 0, torch.device("cpu"))


def game(architecture: str, hidden: int, layers: int) -> AdversarialGame:
    """At its beginning, on texts of random words."""
    words = np.random.default_rng(0).integers(WORDS, size=(TEXTS, LENGTH))
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    sizes = {"architecture": architecture, "hidden": hidden, "layers": layers}
    settings = Config.model_validate(
        {
            "device": "cpu",
            "tokenizer": {"kind": "word", "min_frequency": 1},
            "generator": sizes | {"context": 32},
            "discriminator": sizes,
            "evaluation": {"samples": 16},
            "adversarial": {"discriminator_steps": MOVES, "prompts_per_step": ROWS},
        }
    )
    tokenizer = train(texts, settings.tokenizer)
    rows = encode([Example("", text) for text in texts], tokenizer, context=32)
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad)
    world = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    world.keep("pretrained", world.generator)
    return AdversarialGame(world, "adversarial", settings.adversarial)


def moves(playing: AdversarialGame, order: Order, first: int) -> None:
    """The discriminator's moves of a round, and the samples of the generator's."""
    world = playing.world

    def draw(n: int) -> Batch:
        prompts, _ = playing.prompts.prompts(first + n)
        return world.write(world.generator, prompts, stream(0, first + n))

    for n, samples in enumerate(order(draw, MOVES + 1)):
        if n < MOVES:
            playing.update_discriminator(playing.real.at(first + n), samples)


def compared(name: str, rounds: int, threads: int) -> dict[str, Any]:
    """Both orders turn about, each with a game of its own."""
    print(f"{name}, {threads}", file=sys.stderr)
    torch.set_num_threads(threads)
    orders: dict[str, Order] = {"serial": serially, "ahead": ahead}
    played = {side: game(*SIZES[name]) for side in orders}
    wall: dict[str, list[float]] = {side: [] for side in orders}
    cpu = copy.deepcopy(wall)
    for number in range(rounds + 1):
        for side, order in orders.items():
            torch.manual_seed(number)  # dropout
            start, began = time.perf_counter(), time.process_time()
            moves(played[side], order, number * (MOVES + 1))
            wall[side].append(time.perf_counter() - start)
            cpu[side].append(time.process_time() - began)
    one, other = (playing.discriminator.state_dict() for playing in played.values())
    assert all(torch.equal(value, other[key]) for key, value in one.items()), "the two orders differ"
    # The first round warms up.
    return {
        "what": f"{name}, {threads} thread{'s' * (threads > 1)}",
        "serial": _short(min(wall["serial"][1:])),
        "ahead": _short(min(wall["ahead"][1:])),
        "ratio": _ratio(wall["serial"][1:], wall["ahead"][1:]),
        "cpu_ratio": _ratio(cpu["serial"][1:], cpu["ahead"][1:]),
    }


def spare(rounds: int) -> dict[str, float]:
    """What a second thread gains where nothing stands in its way."""
    torch.set_num_threads(1)
    matrix = torch.randn(1024, 1024)

    def work(_: int) -> None:
        for _ in range(8):
            matrix @ matrix

    wall: dict[str, list[float]] = {"serial": [], "ahead": []}
    with ThreadPoolExecutor(2) as pool:
        for run in [map, pool.map] * (rounds + 1):
            start = time.perf_counter()
            list(run(work, range(2)))
            wall["serial" if run is map else "ahead"].append(time.perf_counter() - start)
    return _ratio(wall["serial"][1:], wall["ahead"][1:])


def _ratio(one: list[float], other: list[float]) -> dict[str, float]:
    found = sorted(a / b for a, b in zip(one, other, strict=True))
    return {"median": _short(statistics.median(found)), "low": _short(found[0]), "high": _short(found[-1])}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON here too")
    given = parser.parse_args()
    counts = sorted({1, min(2, os.cpu_count() or 1)})
    rows = [compared(name, given.rounds, threads) for name in SIZES for threads in counts]
    record = {
        "ours": rows[0],
        "peer": None,
        "ratio": None,
        "work": {"what": f"{MOVES} discriminator moves of {ROWS} texts"},
        "rows": rows,
        "spare": spare(given.rounds),
        "threads": counts[-1],
        "load": round(os.getloadavg()[0], 1),
    } | surroundings()
    if given.save:
        given.save.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
