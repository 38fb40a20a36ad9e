"""How step time and peak memory grow with batch, length, vocabulary and rollouts, each doubled three times alone.

    python benchmarks/scaling.py [--json] [--save FILE]

Three works: a generator step with dense rewards (sample, judge, update), a maximum-likelihood update, and Monte-Carlo
rollouts, with LSTM players. A process a point: its memory is what it held at most beyond what it held after the same
work at a tiny size, its time the CPU seconds of the best step. The exponents are slopes of least-squares lines through
the logarithms; 1 is linear. There is no peer.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# Before torch: a point's process is forked, and may have no threads to lose.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
import torch

from mgan.config import Adversarial, Game
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.game.signals import SIGNALS
from mgan.game.values import PAYOFFS
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.sampling.decode import sample
from mgan.sampling.rollouts import Plan, rollout_values
from mgan.training.players import GeneratorUpdate, advantages
from mgan.types import Batch
from pairing import peak_mb, surroundings

Step = Callable[[], Any]
GROWTH = (1, 2, 4, 8)
HIDDEN, LEAST_STEPS = 64, 3


@dataclass(frozen=True)
class Size:
    """length: new tokens of a text. rollouts: of every position."""

    batch: int = 32
    length: int = 16
    vocabulary: int = 2000
    rollouts: int = 4

    def grown(self, axis: str, times: int) -> Size:
        return replace(self, **{axis: times * getattr(self, axis)})


TINY = Size(4, 4, 50, 2)


def generator_step(size: Size) -> Step:
    generator, discriminator = LSTMGenerator(size.vocabulary, HIDDEN), LSTMDiscriminator(size.vocabulary, HIDDEN)
    game, group = Game(kl=0, mle=0), torch.arange(size.batch)
    update = GeneratorUpdate(generator, Adversarial(), game, Hardware(), Ledger())

    def step() -> None:
        samples = written(generator, size)
        assert samples.logprobs is not None
        with torch.no_grad():
            rewards = SIGNALS["dense"](discriminator(samples.tokens), samples.mask, PAYOFFS["reverse_kl"])
        update(samples, advantages(rewards, samples, samples.logprobs, group, game), samples)

    return step


def likelihood_update(size: Size) -> Step:
    generator = LSTMGenerator(size.vocabulary, HIDDEN)
    optimizer = torch.optim.AdamW(generator.parameters())
    texts = written(generator, size)

    def step() -> None:
        optimizer.zero_grad()
        (nll(generator, texts) / size.batch).backward()
        optimizer.step()

    return step


def rollouts(size: Size) -> Step:
    generator, discriminator = LSTMGenerator(size.vocabulary, HIDDEN), LSTMDiscriminator(size.vocabulary, HIDDEN)
    samples = written(generator, size)
    plan = Plan(size.rollouts, size.length + 1, None, 0)
    return lambda: rollout_values(generator, discriminator, samples, PAYOFFS["nonsaturating"], plan, 0)


def written(generator: LSTMGenerator, size: Size) -> Batch:
    """[batch, 1 + length]: texts of full length."""
    prompts = Batch(
        torch.zeros(size.batch, 1, dtype=torch.long),
        torch.zeros(size.batch, 1, dtype=torch.bool),
        torch.ones(size.batch, dtype=torch.long),
    )
    return sample(generator, prompts, max_length=size.length + 1, eos=None, pad=0)


WORKS = {
    "generator step": (generator_step, Size(), ("batch", "length", "vocabulary")),
    "likelihood update": (likelihood_update, Size(), ("batch", "length", "vocabulary")),
    # Every position of a text has its rollouts, each as long as what is left: theirs is many times the work.
    "rollouts": (rollouts, Size(batch=8, vocabulary=1000), ("batch", "length", "vocabulary", "rollouts")),
}
"""The work, its size at x1, and what grows."""


def point(work: Callable[[Size], Step], size: Size, seconds: float) -> dict[str, float]:
    """CPU seconds of the best step and MB at the peak, measured in a process of its own."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(work, size, seconds, theirs))
    process.start()
    theirs.close()
    try:
        found: dict[str, float] = ours.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__} stopped at {size}: its message is above") from None
    finally:
        process.join()
    return found


def _measure(work: Callable[[Size], Step], size: Size, seconds: float, answer: Any) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    work(TINY)()  # what is loaded on first use is not the work's memory
    before = peak_mb()
    step = work(size)
    step()
    spent: list[float] = []
    while len(spent) < LEAST_STEPS or sum(spent) < seconds:
        start = time.process_time()
        step()
        spent.append(time.process_time() - start)
    answer.send({"cpu_seconds": min(spent), "mb": peak_mb() - before})


def exponent(times: tuple[int, ...], values: list[float]) -> float | None:
    """The slope of the line through (log times, log values); None where a value is not above 0."""
    if min(values) <= 0:
        return None
    return round(float(np.polyfit([math.log(n) for n in times], [math.log(v) for v in values], 1)[0]), 3)


def load() -> None:
    """What torch and accelerate import on first use, once for all points; no backward pass: it does not bear a fork."""
    Hardware()
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    for optimizer in (torch.optim.Adam, torch.optim.AdamW):
        optimizer([parameter]).step()


def grow(times: tuple[int, ...], seconds: float, quick: bool) -> dict[str, Any]:
    """Every work along each of its axes."""
    load()
    found: dict[str, Any] = {}
    for name, (work, size, axes) in WORKS.items():
        base = TINY if quick else size
        first, found[name] = point(work, base, seconds), {}
        for axis in axes:
            print(f"{name}: {axis}", file=sys.stderr)
            points = [first, *(point(work, base.grown(axis, n), seconds) for n in times[1:])]
            series = {key: [float(f"{p[key]:.4g}") for p in points] for key in ("cpu_seconds", "mb")}
            fits = {"time": exponent(times, series["cpu_seconds"]), "memory": exponent(times, series["mb"])}
            found[name][axis] = series | fits
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, doubled once: to see that it runs")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON here too")
    given = parser.parse_args()
    times = GROWTH[:2] if given.quick else GROWTH
    record = {
        "ours": grow(times, 0.0 if given.quick else 0.5, given.quick),
        "peer": None,
        "ratio": None,
        "work": {"what": "a step", "flops": None, "tokens": None},
        "base": {name: asdict(TINY if given.quick else size) for name, (_, size, _) in WORKS.items()},
        "hidden": HIDDEN,
        "times": times,
        "threads": 1,
    } | surroundings(["numpy"])
    if given.save:
        given.save.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
