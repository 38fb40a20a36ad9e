"""How fast this machine is at what mgan does: some seconds of it, at one thread, at all threads, on the accelerator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mgan.fit.likelihood import nll
from mgan.models.lstm import LSTMGenerator
from mgan.models.protocols import Generator
from mgan.sampling.decode import sample
from mgan.types import Batch

Step = Callable[[], Any]
MATRIX, ROWS, LENGTH, VOCABULARY, HIDDEN = 1024, 64, 32, 2000, 128
SLOWER = 0.95
"""Threads that bring less than this much of one thread's rate are said to make it slower."""
BUSY = 0.85
"""A thread that computes and gets less than this share of a CPU has company."""


@dataclass(frozen=True)
class Work:
    """amount: of ``unit``, done by a step. prepare: from a device to the step."""

    name: str
    unit: str
    amount: float
    prepare: Callable[[torch.device], Step]


@dataclass(frozen=True)
class Rate:
    """``unit`` a second of wall time: the best step. by_place: ``1 thread``, ``4 threads``, ``cuda``."""

    work: str
    unit: str
    by_place: dict[str, float]


@dataclass(frozen=True)
class Speed:
    """share: of a CPU that a single thread got while it computed."""

    rates: list[Rate]
    share: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def remarks(self, threads: int) -> list[str]:
        """What a person should know of these figures, in words."""
        said = []
        all_threads = _threads(threads)
        slower = [r.work for r in self.rates if r.by_place.get(all_threads, 1e99) < SLOWER * r.by_place[_threads(1)]]
        if slower:
            said.append(
                f"{all_threads} are slower than one at: {'; '.join(slower)}. Compare a run with threads=1 "
                "(or OMP_NUM_THREADS=1)"
            )
        if self.share < BUSY:
            said.append(
                f"the machine is busy: a single thread got {self.share:.0%} of a CPU, so these figures are lower than "
                "it can, and waiting threads cost more than usual"
            )
        return said


def measure(seconds: float, threads: int) -> Speed:
    """Every work in ``seconds`` of all; torch's number of threads is afterwards what it was."""
    cpu, accelerator = torch.device("cpu"), _accelerator()
    places = [(_threads(n), cpu, n) for n in sorted({1, threads})]
    if accelerator is not None:
        places.append((accelerator.type, accelerator, threads))
    each = seconds / len(WORKS) / len(places)
    spent, taken = [0.0, 0.0], list[Rate]()
    for work in WORKS:
        rates = {}
        for name, device, count in places:
            with _set_threads(count):
                best, busy, wall = _best(work.prepare(device), each, device)
            rates[name] = work.amount / best
            if device == cpu and count == 1:
                spent[0] += busy
                spent[1] += wall
        taken.append(Rate(work.name, work.unit, rates))
    return Speed(taken, min(1.0, spent[0] / spent[1]))


def _best(step: Step, seconds: float, device: torch.device) -> tuple[float, float, float]:
    """Wall seconds of the best step, and the CPU and wall seconds of all of them; the first one warms up."""
    _finished(step, device)
    best, began, cpu = float("inf"), time.perf_counter(), time.process_time()
    while True:
        start = time.perf_counter()
        _finished(step, device)
        now = time.perf_counter()
        best = min(best, now - start)
        if now - began >= seconds:
            return best, time.process_time() - cpu, now - began


def _finished(step: Step, device: torch.device) -> None:
    step()
    if device.type != "cpu":
        torch.accelerator.synchronize()


@contextmanager
def _set_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _accelerator() -> torch.device | None:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _product(dtype: torch.dtype) -> Callable[[torch.device], Step]:
    def prepare(device: torch.device) -> Step:
        a, b = torch.randn(2, MATRIX, MATRIX, device=device, dtype=dtype).unbind()
        return lambda: torch.mm(a, b)

    return prepare


def _lstm(device: torch.device) -> LSTMGenerator:
    return LSTMGenerator(VOCABULARY, HIDDEN).to(device)


def _sampling(generator: Generator, device: torch.device) -> Step:
    prompts = Batch(
        torch.zeros(ROWS, 1, dtype=torch.long, device=device),
        torch.zeros(ROWS, 1, dtype=torch.bool, device=device),
        torch.ones(ROWS, dtype=torch.long, device=device),
    )
    return lambda: sample(generator, prompts, max_length=LENGTH + 1, eos=None, pad=0)


def _lstm_sampling(device: torch.device) -> Step:
    return _sampling(_lstm(device), device)


def _gpt2_sampling(device: torch.device) -> Step:
    from mgan.models.transformer import TransformerGenerator, gpt2_config  # takes seconds

    shape = gpt2_config(VOCABULARY, HIDDEN, layers=2, heads=4, dropout=0.0, context=LENGTH + 1)
    return _sampling(TransformerGenerator(shape).to(device), device)


def _fitting(device: torch.device) -> Step:
    generator = _lstm(device)
    optimizer = torch.optim.AdamW(generator.parameters())
    tokens = torch.randint(VOCABULARY, (ROWS, LENGTH + 1), device=device)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, 0] = False
    texts = Batch(tokens, mask, mask.new_ones(ROWS, dtype=torch.long))

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nll(generator, texts) / ROWS)
        optimizer.step()

    return step


WORKS = (
    Work(f"fp32 product of {MATRIX} x {MATRIX} matrices", "GFLOP/s", 2e-9 * MATRIX**3, _product(torch.float)),
    Work(f"bf16 product of {MATRIX} x {MATRIX} matrices", "GFLOP/s", 2e-9 * MATRIX**3, _product(torch.bfloat16)),
    Work(f"sampling, LSTM of {HIDDEN}", "tokens/s", ROWS * LENGTH, _lstm_sampling),
    Work(f"sampling, GPT-2 of 2 x {HIDDEN}", "tokens/s", ROWS * LENGTH, _gpt2_sampling),
    Work(f"maximum likelihood, LSTM of {HIDDEN}", "tokens/s", ROWS * LENGTH, _fitting),
)
