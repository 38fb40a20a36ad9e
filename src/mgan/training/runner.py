"""From a configuration to a finished run, and from a killed run to the same finished run."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mgan.config import Config
from mgan.sampling.uniforms import stream
from mgan.settings import dump
from mgan.training import checkpoint
from mgan.training.events import Events
from mgan.training.phases import Phase, plan
from mgan.training.publish import push
from mgan.training.run import Run
from mgan.training.setup import Setup, restored_tokenizer, same_text, set_up, tokenizer_files
from mgan.training.trial import conclude
from mgan.types import Progress, Silent, UserError

MOST_LOST = 300
"""Seconds without a checkpoint after which the next step is followed by one, however few steps it was."""


def train(config: Config, run: Path | str, progress: Progress | None = None) -> Run:
    """A whole new run in folder ``run``: every phase, the verdict, the report."""
    created = Run.create(Path(run), config)
    with locked(created):
        try:
            setup = set_up(created, progress or Silent())
        except UserError:
            # Nothing was computed: the name is free again.
            shutil.rmtree(created.path)
            raise
        _Execution(created, setup, progress or Silent()).run()
    return created


def resume(run: Path | str, progress: Progress | None = None) -> Run:
    """Go on from the newest checkpoint, exactly; without one start over; a finished run is left as it is."""
    opened, progress = Run.open(run), progress or Silent()
    if opened.finished:
        progress.say(f"{opened.name} is finished: nothing to resume")
        return opened
    with locked(opened):
        numbers = checkpoint.numbers(opened.checkpoints)
        state = checkpoint.load(opened.checkpoints, numbers[-1]) if numbers else None
        if state:
            _same_configuration(state["config"], opened)
        setup = set_up(opened, progress, restored_tokenizer(opened.generator, state["tokenizer"]) if state else None)
        if state is None:
            progress.say(f"{opened.name} has no checkpoint: starting over")
        _Execution(opened, setup, progress, state).run()
    return opened


class _Execution:
    """The phases in order, a checkpoint every so many steps, everything logged."""

    def __init__(self, run: Run, setup: Setup, progress: Progress, state: dict[str, Any] | None = None):
        self.run_folder, self.setup, self.world, self.state = run, setup, setup.world, state
        self.number, self.saved = 0, time.monotonic()
        self.config = dump(run.config)
        if state:
            same_text(state["data"], setup.corpus.fingerprint, run.config.data.path)
            self.world.load_state_dict(state["world"])
            self.number = state["number"]
        sizes = state["logs"] if state else {"metrics": 0, "samples": 0}
        self.events = Events(run, setup.tokenizer, progress, sizes)

    def run(self) -> None:
        phases = plan(self.world)
        names = [*phases, "verdict"]
        current = self.state["phase"] if self.state else names[0]
        for index in range(names.index(current), len(phases)):
            self._phase(names[index], phases[names[index]](self.world), names[index + 1])
        conclude(self.run_folder, self.setup, self.events)
        self._publish()
        self.events.close()

    def _publish(self) -> None:
        """A hub that is out of reach takes nothing from a finished run."""
        if name := self.run_folder.config.push_to_hub:
            try:
                self.events.say(f"pushed to {push(self.run_folder.path, name, private=True)}")
            except UserError as error:
                self.events.say(str(error))

    def _phase(self, name: str, phase: Phase, following: str) -> None:
        state, self.state = self.state, None
        if state and state["phase_state"] is not None:
            phase.load_state_dict(state["phase_state"])
            checkpoint.set_random_state(state["random"])
            self.events.start(name, phase.total, phase.steps)
        else:
            torch.manual_seed(stream(self.world.settings.seed, *name.encode()))
            self.events.start(name, phase.total, 0)
            self.events.log(name, 0, phase.begin(), phase.examples)
        while not phase.done:
            metrics = phase.step()
            self.events.log(name, phase.steps, metrics, phase.examples)
            self._tell()
            self.number += 1
            late = time.monotonic() - self.saved > MOST_LOST
            if (late or self.number % self.world.settings.checkpoint.every == 0) and not phase.done:
                self._save(name, phase.state_dict())
        phase.finish()
        # The last update's gradients are nobody's any more.
        for parameter in (*self.world.generator.parameters(), *self.world.discriminator.parameters()):
            parameter.grad = None
        self._tell()
        if name in self.world.outcomes:
            self.events.say(self.world.outcomes[name]["sentence"])
        self._save(following, None)

    def _tell(self) -> None:
        for note in self.world.notes:
            self.events.say(note)
        self.world.notes.clear()

    def _save(self, phase: str, phase_state: dict[str, Any] | None) -> None:
        tree = {
            "config": self.config,
            "number": self.number,
            "phase": phase,
            "phase_state": phase_state,
            "world": self.world.state_dict(),
            "random": checkpoint.random_state(),
            "logs": self.events.sizes(),
            "data": self.setup.corpus.fingerprint,
            "tokenizer": tokenizer_files(self.run_folder.generator),
        }
        checkpoint.save(self.run_folder.checkpoints, self.number, tree, self.world.settings.checkpoint.keep)
        self.saved = time.monotonic()


def _same_configuration(saved: str, run: Run) -> None:
    """A run goes on as what it began as; only how many threads compute it is the machine's matter."""
    began, found = (
        [line for line in text.splitlines() if not line.startswith("threads:")] for text in (saved, dump(run.config))
    )
    changed = [line for line in began if line not in found]
    if began != found:
        raise UserError(
            f"{run.path / 'config.yaml'} has changed since the run began"
            + (f" (it said '{changed[0].strip()}')" if changed else "")
            + "; restore it, or start a new run"
        )


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """One process a run; the system lifts the lock of a killed one."""
    with (run.path / "config.yaml").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{run.name} is being trained by another process; wait for it or stop it") from error
        yield
