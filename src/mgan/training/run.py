"""A run is a folder that a person can read.

config.yaml       the whole configuration; the first thing written
metrics.jsonl     one line a step of every phase          samples.jsonl   samples as training goes
checkpoints/      what a kill leaves                      results.json    the figures; written last
evaluation.json, evaluation.md, frontier/   what mgan evaluate measured, its tables and pictures
generator/, discriminator/   weights, config, tokenizer   report.html     the figures to look at
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mgan.config import Config
from mgan.files import JSONLines, disk_errors, write_json, write_text
from mgan.settings import dump, load_config
from mgan.types import UserError


@dataclass(frozen=True)
class Run:
    """path: the run's folder, absolute."""

    path: Path

    @classmethod
    def create(cls, path: Path, config: Config) -> Run:
        """A new run folder. Raises UserError rather than write over one that is there."""
        run = cls(path.resolve())
        if (run.path / "config.yaml").exists():
            raise UserError(
                f"{path} already holds a run: type mgan resume {path.name} to go on with it, or give another --run"
            )
        if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise UserError(f"{path} exists and is not empty: give another --run")
        with disk_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        write_text(run.path / "config.yaml", dump(config))
        return run

    @classmethod
    def open(cls, path: Path | str) -> Run:
        run = cls(Path(path).resolve())
        if not (run.path / "config.yaml").is_file():
            raise UserError(f"{path} is not a run folder: it has no config.yaml")
        return run

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> Config:
        return load_config(self.path / "config.yaml")

    @property
    def metrics(self) -> JSONLines:
        return JSONLines(self.path / "metrics.jsonl")

    @property
    def samples(self) -> JSONLines:
        return JSONLines(self.path / "samples.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def generator(self) -> Path:
        return self.path / "generator"

    @property
    def discriminator(self) -> Path:
        return self.path / "discriminator"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def finished(self) -> bool:
        return (self.path / "results.json").is_file()

    @property
    def results(self) -> dict[str, Any]:
        """The figures of a finished run."""
        if not self.finished:
            raise UserError(f"{self.name} is not finished: type mgan resume {self.name}")
        try:
            value: dict[str, Any] = json.loads((self.path / "results.json").read_text(encoding="utf-8"))
            value["verdict"]["sentence"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path / 'results.json'} is cut short or altered: delete it and type mgan resume {self.name}"
            ) from error
        return value

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """What ``mgan evaluate`` measured; None before it has finished."""
        return self.measured if "comparisons" in self.measured else None

    @property
    def measured(self) -> dict[str, Any]:
        """What ``mgan evaluate`` has measured so far; empty before it began."""
        path = self.path / "evaluation.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UserError(f"{path} is cut short or altered: delete it and type mgan evaluate {self.name}")
        return value

    def save_results(self, results: dict[str, Any]) -> None:
        write_json(self.path / "results.json", results)

    def load(self) -> Any:
        """The trained pair, ready to generate and to score."""
        from mgan.sampling.pair import load

        return load(self.path)
