"""A suite is a file: what is measured on which text, with which budget, and what every method may search."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from mgan import plain_yaml
from mgan.errors import UserError
from mgan.evaluation.sweep import Sweep
from mgan.sections import Count, Positive, Section

SUITES = Path(__file__).parent / "suites"
Settings = dict[str, Any]
"""Dotted names of configuration fields and their values."""


class Method(Section):
    """One way to train, and what may be tuned of it.

    after: take over what that method's first ``inherits`` trials chose; they count as this one's own, so that every
    method has the suite's ``trials`` in all. settings: whatever is chosen. alike: fields that take the value of others.
    seeds: of its final runs, if other than the suite's.
    """

    recipe: str
    about: str
    after: str | None = None
    inherits: Count = 0
    settings: Settings = Field(default_factory=dict)
    alike: dict[str, str] = Field(default_factory=dict)
    search: dict[str, list[Any]] = Field(default_factory=dict)
    seeds: tuple[int, ...] | None = Field(None, min_length=1)


class SweepSettings(Section):
    """The decoding settings at which a trained generator is measured; see ``mgan.evaluation.sweep.Sweep``."""

    temperatures: tuple[float, ...] = Sweep.temperatures
    top_k: tuple[int, ...] = Sweep.top_k
    top_p: tuple[float, ...] = Sweep.top_p
    samples: Positive = Sweep.samples
    embedder: str = Sweep.embedder
    trained: bool = Sweep.trained

    def sweep(self) -> Sweep:
        return Sweep(**self.model_dump())


class Suite(Section):
    """A protocol that every method goes through alike.

    files: configuration fields and the files, below the folder given with --data, that they name. required: whether
    the suite can do without them. trials: settings tried a method in all, on validation text of the first seed. tuning:
    settings of those trials alone. seeds: of the final runs, which alone are tested. smoke: what else makes the
    short form short.
    """

    about: str
    protocol: str
    files: dict[str, str] = Field(default_factory=dict)
    required: bool = True
    settings: Settings = Field(default_factory=dict)
    trials: Count
    tuning: Settings = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field(min_length=1)
    sweep: SweepSettings = SweepSettings()
    methods: dict[str, Method] = Field(min_length=1)
    smoke: Settings = Field(default_factory=dict)
    published: str | None = None

    def method(self, name: str) -> Method:
        if name not in self.methods:
            raise UserError(f"there is no method {name!r} in this suite: expected {' or '.join(self.methods)}")
        return self.methods[name]

    def located(self, data: Path | None) -> Settings:
        """The files as settings. Raises UserError if one that is needed is missing."""
        if data is None and self.required and self.files:
            wanted = ", ".join(sorted(set(self.files.values())))
            raise UserError(f"this suite reads files of yours: give --data FOLDER with {wanted} in it")
        found = {field: (data / name).absolute() for field, name in self.files.items()} if data else {}
        for path in found.values():
            if not path.exists():
                raise UserError(f"{path} is missing: the folder given with --data must hold it")
        return {field: str(path) for field, path in found.items()}


def suite_names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def family(name: str) -> list[str]:
    """The suites a name stands for: itself, or ``oracle`` for ``oracle-20`` and ``oracle-40``."""
    found = [suite for suite in suite_names() if suite == name or suite.startswith(f"{name}-")]
    if not found:
        raise UserError(f"there is no suite {name!r}: expected one of {', '.join(suite_names())}")
    return found


def load_suite(name: str) -> Suite:
    path = SUITES / f"{name}.yaml"
    try:
        return Suite.model_validate(plain_yaml.read(path.read_text("utf-8"), str(path)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def candidates(space: dict[str, list[Any]], trials: int, seed: int) -> list[Settings]:
    """``trials`` different settings of the grid, in random order (random search, Bergstra & Bengio 2012).

    The first is the first value of every field: what a person would have tried. Fewer if the grid is smaller.
    """
    names = list(space)
    grid = [dict(zip(names, values, strict=True)) for values in itertools.product(*space.values())]
    first, others = grid[0], grid[1:]
    random.Random(seed).shuffle(others)
    return [first, *others][: max(trials, 1)]
