"""The held-out quality–diversity measure by which checkpoints and temperatures are chosen, on validation text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mgan.data.rows import Rows
from mgan.evaluation.diversity import distinct, entropy
from mgan.evaluation.ngram import NGramLM
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import text_nll
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling, sample
from mgan.types import Batch


@dataclass(frozen=True)
class Held:
    """What a generator was measured at, at one temperature. Lower ``score`` is better.

    nll: nats a token of held-out real text: does the generator reach all of it (diversity).
    gap: |n-gram score of samples - n-gram score of held-out real text|, nats a token: does an independent
        model find its text as likely as real text, neither less nor more (quality).
    """

    temperature: float
    nll: float
    gap: float
    entropy: float
    distinct_2: float
    samples: Batch

    @property
    def score(self) -> float:
        return self.nll + self.gap


class HeldOut:
    """Measures generators against one held-out split. Nothing here was trained on that split."""

    def __init__(
        self,
        train: Rows,
        held: Rows,
        texts: int,
        vocabulary: int,
        eos: int | None,
        pad: int,
        context: int,
        hardware: Hardware,
    ):
        self.rows, self.texts = held, _whole_texts(held, texts)
        self.eos, self.pad, self.context, self.hardware = eos, pad, context, hardware
        # Enough text for stable counts; a corpus of any size costs the same.
        known = range(0, len(train), max(1, len(train) // 20_000))
        chunks = [list(known[i : i + 512]) for i in range(0, len(known), 512)]
        self.ngram = NGramLM([train.batch(chunk) for chunk in chunks], vocabulary)
        self.real = held.batch(np.flatnonzero(held.text_index < self.texts).tolist())
        self.real_score = self.ngram.score(self.real)

    def sample(self, generator: Generator, temperature: float, seed: int) -> Batch:
        """Completions of the held-out rows' prompts, as many as there are held-out rows in use."""
        return sample(
            generator, self.real.to(self.hardware.device), max_length=self.context, eos=self.eos, pad=self.pad,
            seed=seed, sampling=Sampling(temperature),
        )  # fmt: skip

    def measure(self, generator: Generator, temperatures: Sequence[float], seed: int) -> list[Held]:
        """One measure a temperature; every temperature and every generator draws with the same numbers."""
        nll, tokens = text_nll(generator, self.rows, self.texts, temperatures, self.hardware)
        held = []
        for temperature, sums in zip(temperatures, nll, strict=True):
            samples = self.sample(generator, temperature, seed)
            gap = abs(self.ngram.score(samples) - self.real_score)
            value = float(sums.sum() / tokens.sum())
            held.append(Held(temperature, value, gap, entropy(samples), distinct(samples, 2), samples))
        return held


def _whole_texts(rows: Rows, limit: int) -> int:
    """How many texts the first ``limit`` rows hold whole; at least one."""
    if limit >= len(rows):
        return rows.texts
    return max(1, int(rows.text_index[limit]))
