"""One generator measured along its decoding settings: temperature, top-k and top-p (Caccia et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mgan.data.rows import Rows
from mgan.errors import UserError
from mgan.evaluation import oracle
from mgan.evaluation.jackknife import Jackknifed, groups
from mgan.evaluation.scorecard import GROUPS, SEED, Scorecard, ratio_of_sums
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import text_nll
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, concatenate

TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
TOP_K = (20, 100)
TOP_P = (0.8, 0.9, 0.95)
CHUNK = 500
"""Texts written at once."""
LARGEST = 10_000
"""Real texts on either side at most, and training texts that copies are looked for in."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are drawn: plain sampling at a temperature, or truncated to the top k or the top p at 1."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    @property
    def label(self) -> str:
        if self.top_k:
            return f"top-k {self.top_k}"
        return f"top-p {self.top_p:g}" if self.top_p < 1 else f"T {self.temperature:g}"

    @property
    def plain(self) -> bool:
        """Whether every text keeps a chance, so that held-out text has a likelihood."""
        return not self.top_k and self.top_p == 1


@dataclass(frozen=True)
class Sweep:
    """What is measured where.

    samples: texts a point, at most (and never more than half of the test texts). embedder: see ``embedders``; none: no
    measure that needs one. trained: whether the measures that train a model are taken too, at three temperatures.
    """

    temperatures: tuple[float, ...] = TEMPERATURES
    top_k: tuple[int, ...] = TOP_K
    top_p: tuple[float, ...] = TOP_P
    samples: int = 2000
    embedder: str = "characters"
    trained: bool = True

    def __post_init__(self) -> None:
        if not self.temperatures or not all(0 < t < np.inf for t in self.temperatures):
            raise UserError("temperatures must be above 0, and one at least")
        if any(k < 1 for k in self.top_k) or any(not 0 < p < 1 for p in self.top_p):
            raise UserError("top-k must be 1 or more, and top-p between 0 and 1")
        if self.samples < 20:
            raise UserError(f"samples must be 20 or more, not {self.samples}")

    @property
    def decodings(self) -> list[Decoding]:
        return [
            *(Decoding(t) for t in sorted(self.temperatures)),
            *(Decoding(top_k=k) for k in self.top_k),
            *(Decoding(top_p=p) for p in self.top_p),
        ]

    @property
    def middle(self) -> list[Decoding]:
        """The three plain settings around temperature 1, at which trained measures are taken."""
        nearest = sorted(self.temperatures, key=lambda t: (abs(np.log(t)), t))
        return [Decoding(t) for t in sorted(nearest[:3])]


@dataclass(frozen=True)
class Halves:
    """The test split in two: the reference, and the real texts that stand where samples will.

    rows: the rows of the second half's texts, whose prompts are completed. training: what may have been copied;
    training_rows: as many of its rows as there are texts in ``real``.
    """

    reference: list[str]
    real: list[str]
    rows: Batch
    training: list[str]
    training_rows: Batch

    @classmethod
    def of(cls, train: Rows, test: Rows, texts: tuple[list[str], list[str]], decode: Decode, samples: int) -> Halves:
        """texts: the training and the test texts as they were given; those cut into windows are taken as rows."""
        odd = np.arange(1, test.texts, 2)[:samples]
        even = np.arange(0, test.texts, 2)[:LARGEST]
        index = [np.flatnonzero(np.isin(test.text_index, half)) for half in (even, odd)]
        rows = [test.batch(chosen.tolist()) for chosen in index]
        known = train.batch(range(min(len(train), LARGEST)))
        some = known.rows(slice(0, len(odd)))
        if test.windowed or train.windowed:
            return cls(decode(rows[0]), decode(rows[1]), rows[1], decode(known), some)
        given, held = texts
        return cls([held[i] for i in even], [held[i] for i in odd], rows[1], [*given[:LARGEST]], some)


Decode = Callable[[Batch], list[str]]
"""Completions as text, one a row."""


Measured = Jackknifed | oracle.Measured | float


class Truth(Protocol):
    """What only a known distribution can tell of samples; by name."""

    def real(self) -> Mapping[str, Measured]: ...
    def of(self, generator: Generator, samples: Batch, sampling: Sampling) -> Mapping[str, Measured]: ...


class Sweeper:
    """Measures generators along their decoding settings against one held-out split."""

    def __init__(self, world: Text, halves: Halves, scorecard: Scorecard, decode: Decode, truth: Truth | None = None):
        """truth: the distribution of real text, where it is known."""
        self.world, self.halves, self.scorecard, self.decode, self.truth = world, halves, scorecard, decode, truth

    def write(self, generator: Generator, decoding: Decoding, seed: int) -> Batch:
        """A completion of every prompt of the second half."""
        return self.world.complete(generator, self.halves.rows, decoding, seed)

    def real(self) -> dict[str, Measured]:
        """What real text scores where samples will stand: every measure's target."""
        return self._of_texts(self.halves.real) | (dict(self.truth.real()) if self.truth else {})

    def point(self, generator: Generator, decoding: Decoding, seed: int) -> dict[str, Measured]:
        """Every untrained measure at one setting; one seed draws with the same numbers at every setting."""
        samples = self.write(generator, decoding, seed)
        measures = self._of_texts(self.decode(samples))
        if self.truth:
            measures |= dict(self.truth.of(generator, samples, self.world.sampling(decoding)))
        elif decoding.plain:
            measures["nll"] = self.world.nll(generator, decoding.temperature)
        return measures

    def _of_texts(self, texts: list[str]) -> dict[str, Measured]:
        measures: dict[str, Measured] = dict(self.scorecard.measure(texts))
        if self.scorecard.embedder:
            measures["mauve"] = self.scorecard.mauve(texts)
        return measures


@dataclass(frozen=True)
class Text:
    """The test split as networks see it. never: ids that are no text, and so never drawn."""

    test: Rows
    context: int
    eos: int | None
    pad: int
    never: tuple[int, ...]
    hardware: Hardware

    def sampling(self, decoding: Decoding) -> Sampling:
        return Sampling(decoding.temperature, decoding.top_k, decoding.top_p, self.never)

    def complete(self, generator: Generator, prompts: Batch, decoding: Decoding, seed: int) -> Batch:
        parts = []
        for first in range(0, len(prompts), CHUNK):
            some = prompts.rows(slice(first, first + CHUNK)).to(self.hardware.device)
            parts.append(
                sample(
                    generator,
                    some,
                    max_length=self.context,
                    eos=self.eos,
                    pad=self.pad,
                    seeds=row_seeds(seed, len(some), first),
                    sampling=self.sampling(decoding),
                )
            )
        return concatenate(parts, self.pad)

    def nll(self, generator: Generator, temperature: float) -> Jackknifed:
        """Nats a token of the test split, unknown tokens included."""
        texts = min(self.test.texts, LARGEST)
        nll, tokens = text_nll(generator, self.test, texts, (temperature,), self.hardware)
        return ratio_of_sums(nll[0], tokens, groups(texts, min(GROUPS, texts), SEED))


def as_json(measured: Measured) -> dict[str, Any]:
    """value, its standard error (null: not known) and the jackknife's replicates, if it has any."""
    if isinstance(measured, Jackknifed):
        replicates = [_finite(value) for value in measured.replicates]
        return {"value": _finite(measured.value), "error": _finite(measured.error), "replicates": replicates}
    if isinstance(measured, oracle.Measured):
        return {"value": _finite(measured.value), "error": _finite(measured.error)}
    return {"value": measured, "error": None}


def _finite(value: Any) -> float | None:
    """JSON has no infinity: an infinite NLL is null."""
    return float(value) if np.isfinite(value) else None
