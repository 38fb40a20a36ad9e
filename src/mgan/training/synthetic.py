"""The texts of an oracle as a corpus: token ids joined by spaces, drawn afresh for each split.

The texts of a split are independent draws, so the same text may occur twice; whatever is unequal between two runs on
one oracle, their text is the same: it depends on the section ``data.oracle`` alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from mgan import config
from mgan.data.corpus import SPLITS, Corpus, Texts
from mgan.data.rows import Rows
from mgan.evaluation.oracle import Measured, divergences, log_likelihood, write
from mgan.models.oracle import build_oracle
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling
from mgan.sampling.uniforms import stream
from mgan.types import Batch

NETWORK, FIRST_SPLIT = 0, 1


def network(settings: config.Oracle) -> Generator:
    """The oracle itself; each call builds a new one with the same weights."""
    return build_oracle(settings, stream(settings.seed, NETWORK))


@cache
def corpus(settings: config.Oracle) -> Corpus:
    """Drawn once in a process. Raises UserError if the oracle's weights cannot be read."""
    oracle = network(settings)
    sizes = (settings.texts, settings.held_out, settings.held_out)
    drawn = [
        write(oracle, size, settings.length, stream(settings.seed, FIRST_SPLIT + split))
        for split, size in enumerate(sizes)
    ]
    content = hashlib.blake2b(digest_size=16)
    for batch in drawn:
        content.update(f"{tuple(batch.tokens.shape)} {settings.vocabulary} ".encode())
        content.update(batch.tokens.numpy().astype("<i8").tobytes())
    fingerprint = content.hexdigest()
    named = zip(drawn, SPLITS, strict=True)
    train, validation, test = (_texts(batch, f"{fingerprint}-{name}") for batch, name in named)
    return Corpus(train, validation, test, fingerprint, _description(settings, drawn))


def _texts(batch: Batch, fingerprint: str) -> Texts:
    import pyarrow as pa

    text = [" ".join(map(str, row)) for row in batch.tokens[:, 1:].tolist()]
    table = pa.table({"prompt": [""] * len(text), "text": text, "chat": pa.nulls(len(text))})
    return Texts(table, np.arange(len(text)), fingerprint)


def _description(settings: config.Oracle, drawn: list[Batch]) -> str:
    counts = ", ".join(f"{len(batch):,} {name}" for batch, name in zip(drawn, SPLITS, strict=True))
    kind = f"{settings.architecture}, {settings.layers} x {settings.hidden}"
    source = f"seed {settings.seed}" if settings.weights is None else f"weights of {Path(settings.weights).name}"
    nats = -sum(float(batch.logprobs.double().sum()) for batch in drawn if batch.logprobs is not None)
    own = nats / sum(int(batch.mask.sum()) for batch in drawn)
    return (
        f"oracle ({kind}, {settings.vocabulary:,} tokens, {source}): texts of {settings.length} tokens ({counts}); "
        f"its own NLL of them is {own:.3f} nats a token."
    )


@dataclass(frozen=True)
class Truth:
    """The measures only an oracle can take. own: log-likelihood and tokens of ``held_out`` under it, [texts] each."""

    oracle: Generator
    held_out: Rows
    own: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of_run(cls, settings: config.Oracle, held_out: Rows, device: torch.device) -> Truth:
        oracle = network(settings).to(device)
        return cls(oracle, held_out, log_likelihood(oracle, held_out))

    def real(self) -> dict[str, Measured | float]:
        """The oracle's own entropy is the target of both likelihoods; of every divergence it is 0."""
        nats, tokens = self.own
        entropy = Measured.of(-nats, tokens)
        return {"nll_oracle": entropy, "nll_gen": entropy, "kl_generated": 0.0, "kl_oracle": 0.0, "js": 0.0}

    def of(self, generator: Generator, samples: Batch, sampling: Sampling) -> dict[str, Measured]:
        found = divergences(generator, self.oracle, self.held_out, samples, sampling, self.own)
        return {name: getattr(found, name) for name in ("nll_oracle", "nll_gen", "kl_generated", "kl_oracle", "js")}
