"""Sources apart from what is written after them, for generators whose encoder reads the source (``ReadsSource``).

To the decoder every row begins with the same few tokens, wherever its source ends: rows are shifted to the left until
their decoders stand at the same place, sampled as any other rows, and put back behind their sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mgan.models.protocols import ReadsSource
from mgan.types import Batch


@dataclass(frozen=True)
class Shift:
    """Position i of a row is the decoder's position i - by.

    rows: [B, L], sources and what follows them. length: [B], of the sources. by: [B]. begin: what decoders begin with.
    """

    rows: Tensor
    length: Tensor
    by: Tensor
    begin: tuple[int, ...]

    @classmethod
    def of(cls, generator: ReadsSource, rows: Tensor) -> Shift:
        length = generator.source_length(rows)
        return cls(rows, length, length - len(generator.begin), generator.begin)

    def encode(self, generator: ReadsSource) -> Any:
        """The state of each row in which its source has been read; equal sources are read once."""
        place = torch.arange(int(self.length.max()), device=self.rows.device)
        sources = self.rows[:, : len(place)].masked_fill(place >= self.length[:, None], -1)
        distinct, which = torch.unique(sources, dim=0, return_inverse=True)
        state = generator.encode(distinct.clamp(min=0), (distinct >= 0).sum(1))
        return state.select(which)

    def select(self, index: Tensor) -> Shift:
        return Shift(self.rows[index], self.length[index], self.by[index], self.begin)

    def apart(self, batch: Batch) -> Batch:
        """The same rows as their decoders see them: ``begin``, and what follows the source."""
        width = batch.tokens.shape[1] - int(self.by.min())
        tokens = _moved(batch.tokens, self.by, width, 0)
        tokens[:, : len(self.begin)] = tokens.new_tensor(self.begin)
        return Batch(tokens, _moved(batch.mask, self.by, width, False), batch.prompt_length - self.by)

    def behind_sources(self, written: Batch, max_length: int, pad: int) -> Batch:
        """What decoders have written, put behind the sources and cut to ``max_length`` tokens with these."""
        tokens = _moved(written.tokens, -self.by, max_length, pad)
        mask = _moved(written.mask, -self.by, max_length, False)
        source = torch.arange(max_length, device=tokens.device) < self.length[:, None]
        tokens = torch.where(source, _moved(self.rows, torch.zeros_like(self.by), max_length, pad), tokens)
        logprobs = None if written.logprobs is None else _moved(written.logprobs, -self.by, max_length, 0.0)
        return Batch(tokens, mask, written.prompt_length + self.by, logprobs)


def _moved(values: Tensor, by: Tensor, width: int, fill: float) -> Tensor:
    """[B, width]: at position i what stands at i + by, ``fill`` where nothing does. values: [B, L], by: [B]."""
    place = torch.arange(width, device=by.device) + by[:, None]
    found = values.gather(1, place.clamp(0, values.shape[1] - 1))
    return found.masked_fill((place < 0) | (place >= values.shape[1]), fill)
