"""The one currency of the house: a batch of token sequences, and what a user may get wrong.

Shapes: B batch, N samples per prompt, L sequence length, V vocabulary, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from mgan.errors import UserError as UserError


@dataclass(frozen=True)
class Batch:
    """Token sequences, right-padded: BOS, the prompt, the completion, EOS, padding.

    Position i of every per-position tensor speaks of ``tokens[:, i]`` given ``tokens[:, :i]``.

    tokens: [B, L] int64.
    mask: [B, L] bool, True on the completion, EOS included: the positions a generator chose and is judged on.
    prompt_length: [B] int64, how many leading tokens (BOS included, so at least 1) were given.
    logprobs: [B, L] float, log P(tokens[:, i] | tokens[:, :i]) under the distribution the row was sampled
        from, 0 off the mask; None for real text.
    latent: [B, Z] float, the noise that a generator with latent noise wrote the row from, which its logprobs are given;
        None for real text and for generators without.
    """

    tokens: Tensor
    mask: Tensor
    prompt_length: Tensor
    logprobs: Tensor | None = None
    latent: Tensor | None = None

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def lengths(self) -> Tensor:
        """[B] int64: tokens in each row, prompt and completion, padding left out."""
        return self.prompt_length + self.mask.sum(1)

    def to(self, device: torch.device | str) -> Batch:
        return self._map(lambda tensor: tensor.to(device))

    def rows(self, index: Tensor | slice) -> Batch:
        """The chosen rows, padding that no chosen row needs cut off."""
        chosen = self._map(lambda tensor: tensor[index])
        width = int(chosen.lengths.max()) if len(chosen) else 1
        return replace(
            chosen,
            tokens=chosen.tokens[:, :width],
            mask=chosen.mask[:, :width],
            logprobs=None if chosen.logprobs is None else chosen.logprobs[:, :width],
        )

    def _map(self, function) -> Batch:  # type: ignore[no-untyped-def]
        return Batch(
            tokens=function(self.tokens),
            mask=function(self.mask),
            prompt_length=function(self.prompt_length),
            logprobs=None if self.logprobs is None else function(self.logprobs),
            latent=None if self.latent is None else function(self.latent),
        )


def collate(rows: list[tuple[list[int], int]], pad: int) -> Batch:
    """Rows of (tokens, prompt length), tokens beginning with BOS, as one right-padded batch.

    Everything after the prompt counts as completion.
    """
    lengths = torch.tensor([len(row) for row, _ in rows])
    prompt_length = torch.tensor([prompt for _, prompt in rows])
    position = torch.arange(int(lengths.max()))
    filled = position < lengths[:, None]
    tokens = torch.full(filled.shape, pad, dtype=torch.long)
    tokens[filled] = torch.tensor(list(chain.from_iterable(row for row, _ in rows)), dtype=torch.long)
    return Batch(tokens, filled & (position >= prompt_length[:, None]), prompt_length)


def pad_to(batch: Batch, width: int, pad: int) -> Batch:
    """The same rows in tensors of at least ``width`` columns."""
    missing = width - batch.tokens.shape[1]
    if missing <= 0:
        return batch
    grow = torch.nn.functional.pad
    return replace(
        batch,
        tokens=grow(batch.tokens, (0, missing), value=pad),
        mask=grow(batch.mask, (0, missing)),
        logprobs=None if batch.logprobs is None else grow(batch.logprobs, (0, missing)),
    )


def concatenate(batches: list[Batch], pad: int) -> Batch:
    """All rows of several batches, in order."""
    width = max(batch.tokens.shape[1] for batch in batches)
    padded = [pad_to(batch, width, pad) for batch in batches]
    logprobs = [batch.logprobs for batch in padded if batch.logprobs is not None]
    latent = [batch.latent for batch in padded if batch.latent is not None]
    return Batch(
        tokens=torch.cat([batch.tokens for batch in padded]),
        mask=torch.cat([batch.mask for batch in padded]),
        prompt_length=torch.cat([batch.prompt_length for batch in padded]),
        logprobs=torch.cat(logprobs) if len(logprobs) == len(padded) else None,
        latent=torch.cat(latent) if len(latent) == len(padded) else None,
    )


class Progress(Protocol):
    """Whom long work tells how it goes; the command line draws it, a library user may pass nothing."""

    def start(self, phase: str, total: int, done: int = 0) -> None:
        """A phase begins (or, resumed, goes on) at ``done`` of at most ``total`` steps."""
        ...

    def advance(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        """``step`` steps of the phase are done; ``metrics`` are the newest."""
        ...

    def say(self, sentence: str) -> None:
        """Something a person should read once."""
        ...


class Silent:
    """A listener that does nothing."""

    def start(self, phase: str, total: int, done: int = 0) -> None:
        pass

    def advance(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def say(self, sentence: str) -> None:
        pass
