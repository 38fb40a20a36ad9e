"""Sampling beside other work: the next texts are drawn in a second thread while the last ones are learned from.

torch lets other threads run while it computes, and one small operation after the other leaves most of a second core
idle. The numbers are the same as one after the other: every text has seeds of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from mgan import threads

Drawn = TypeVar("Drawn")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Move(Generic[Drawn, Found]):
    """make: what is done with samples. still: the generator that draws them does not change meanwhile."""

    make: Callable[[Drawn], Found]
    still: bool


def in_turn(
    moves: Sequence[Move[Drawn, Found]],
    draw: Callable[[int], Callable[[], Drawn]],
    first: int,
    device: torch.device,
) -> Iterator[Found]:
    """What each move makes of samples of its own, number ``first``, ``first`` + 1, ...

    draw: draws the samples of a number, perhaps in another thread, and returns how to take them. It does so beside a
    move that leaves the generator as it is, where that pays: on a CPU that gives this process two cores or more
    (benchmarks/overlap.py).
    """
    if not moves:
        return
    with _worker(device) as worker:
        coming = worker.submit(draw, first)
        for number, move in enumerate(moves, first + 1):
            drawn = coming.result()()
            last = number == first + len(moves)
            if move.still and not last:
                coming = worker.submit(draw, number)
            yield move.make(drawn)
            if not move.still and not last:
                coming = worker.submit(draw, number)


class _Serially(Executor):
    """Does what it is given at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _worker(device: torch.device) -> Executor:
    if device.type != "cpu" or min(threads.machine().values()) < 2:
        return _Serially()
    # A new thread has OpenMP's number of threads, not torch's; with another number sums round differently.
    return ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),))
