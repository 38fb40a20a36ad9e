"""How long work looks on stderr: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from mgan.types import Progress

LABELS = {
    "loss": "loss",
    "nll": "nll",
    "validation_nll": "held-out nll",
    "d_real": "D(x)",
    "d_fake": "D(G(z))",
    "heldout_accuracy": "held-out accuracy",
}
SECONDS_BETWEEN_LINES = 5.0
SHARE_BETWEEN_LINES = 0.1


def note(sentence: str) -> None:
    """Something a person should read that is not the result."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def display(quiet: bool = False) -> Iterator[Progress]:
    """A listener that draws on stderr while the block runs; ``quiet``: one that draws nothing."""
    from rich.console import Console

    from mgan.types import Silent

    console = Console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal and not console.is_dumb_terminal:
        with _bars(console) as bars:
            yield bars
    else:
        lines = Lines(sys.stderr)
        try:
            yield lines
        finally:
            lines.close()


class Newest:
    """The newest value of each metric of a phase; not every step measures everything."""

    def __init__(self) -> None:
        self._phases: dict[str, dict[str, float]] = {}

    def text(self, phase: str, metrics: Mapping[str, float]) -> str:
        """The key metrics of ``phase`` with ``metrics`` taken in, or all of them if none is a key one."""
        known = self._phases.setdefault(phase, {})
        known.update(metrics)
        key = {label: known[name] for name, label in LABELS.items() if name in known}
        return "  ".join(f"{label} {value:.4g}" for label, value in (key or known).items())


class Lines:
    """Plain lines: when a phase starts, every 10 % or 5 seconds, and when it ends."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._newest = Newest()
        self._unwritten = ""

    def start(self, phase: str, total: int, done: int = 0) -> None:
        self.close()
        self._total = total
        self._first = self._written = done
        self._began = self._last = self._clock()
        self.say(f"{phase} {done}/{total}")

    def advance(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        now = self._clock()
        elapsed = now - self._began
        left = elapsed / max(step - self._first, 1) * (self._total - step)
        times = f"{_minutes(elapsed)} elapsed, {_minutes(left)} left"
        self._unwritten = f"{phase} {step}/{self._total}  {times}  {self._newest.text(phase, metrics)}".rstrip()
        if (
            step >= self._total
            or now - self._last >= SECONDS_BETWEEN_LINES
            or step - self._written >= SHARE_BETWEEN_LINES * self._total
        ):
            self._written, self._last = step, now
            self.close()

    def say(self, sentence: str) -> None:
        print(sentence, file=self._stream, flush=True)

    def close(self) -> None:
        """Write the last step of a phase that ended before its total."""
        if self._unwritten:
            self.say(self._unwritten)
            self._unwritten = ""


class Bars:
    """A live bar a phase."""

    def __init__(self, console: Console) -> None:
        from rich import progress
        from rich.table import Column

        self._newest = Newest()
        self._tasks: dict[str, TaskID] = {}
        self.live = progress.Progress(
            progress.TextColumn("{task.description:<11}"),
            progress.BarColumn(bar_width=16),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(compact=True),
            progress.TextColumn(
                "{task.fields[metrics]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            console=console,
            expand=True,
            redirect_stdout=False,
        )

    def start(self, phase: str, total: int, done: int = 0) -> None:
        for task in self._tasks.values():
            self.live.stop_task(task)
        self._tasks[phase] = self.live.add_task(phase, total=total, completed=done, metrics="")

    def advance(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        text = self._newest.text(phase, metrics)
        self.live.update(self._tasks[phase], completed=step, metrics=text)

    def say(self, sentence: str) -> None:
        self.live.console.print(sentence, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _bars(console: Console) -> Iterator[Bars]:
    bars = Bars(console)
    with bars.live:
        yield bars


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
