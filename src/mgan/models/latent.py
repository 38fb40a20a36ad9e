"""Latent noise z ~ N(0, I) as a generator's input, as in the classic GAN (Goodfellow et al. 2014): P(x) = E_z P(x | z).

A generator with a layer ``noise`` says nothing without z. What a text was written from is the batch's ``latent``, and
``given`` is the generator of those rows: everything that asks for logprobs asks it for P(x | z).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from mgan.models.protocols import Generator
from mgan.types import Batch


def noise_layer(latent: int, width: int, deviation: float) -> nn.Linear | None:
    """z [B, latent] -> [B, width], of so large entries in the beginning; None if there is no z."""
    if not latent:
        return None
    layer = nn.Linear(latent, width, bias=False)
    nn.init.normal_(layer.weight, std=deviation * latent**-0.5)
    return layer


def noise_of(generator: Any) -> nn.Linear | None:
    """The layer that reads z, if the generator has one."""
    return getattr(generator, "noise", None)


def needed(latent: Tensor | None) -> Tensor:
    if latent is None:
        raise ValueError("a generator that writes from noise must be given it: see mgan.models.latent.given")
    return latent


@dataclass(frozen=True)
class Given:
    """A generator of B rows, each with a z of its own. latent: [B, Z]."""

    generator: Any
    latent: Tensor

    @property
    def output(self) -> nn.Linear:
        return self.generator.output

    def features(self, tokens: Tensor) -> Tensor:
        return self.generator.features(tokens, self.latent)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> Any:
        """rows: B."""
        return self.generator.start(rows, self.latent)

    def read(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.generator.read(tokens, state)


def given(generator: Generator, batch: Batch, rows: Tensor | slice = slice(None)) -> Generator:
    """The generator of these rows of a batch: of their own z, or of a fresh one where they have none, as real text.

    Fresh z come from torch's generator, as dropout does, so that the likelihood of real text is E_z log P(x | z), a
    lower bound of log P(x). Without a layer for z the generator itself.
    """
    noise = noise_of(generator)
    if noise is None:
        return generator
    if batch.latent is not None:
        return cast(Generator, Given(generator, batch.latent[rows]))
    fresh = torch.randn(len(batch.tokens[rows]), noise.in_features, dtype=noise.weight.dtype)
    return cast(Generator, Given(generator, fresh.to(noise.weight.device)))


def started(generator: Generator, rows: int, latent: Tensor | None) -> Any:
    """The state of rows of which nothing has been read. latent: [rows, Z], None for a generator without noise."""
    return generator.start(rows) if latent is None else cast(Any, generator).start(rows, latent)
