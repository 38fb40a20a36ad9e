"""What D is reminded of: samples of older generators, so that it does not forget what it has caught before."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from mgan.sampling.uniforms import stream
from mgan.training.lessons import Drawn
from mgan.types import Batch, concatenate

KEPT = ("tokens", "mask", "prompt_length")
"""What D looks at."""


class Replay:
    """The last ``size`` batches of samples with their prompts' real texts (Scialom et al. 2020)."""

    def __init__(self, size: int, pad: int, seed: int):
        self.size, self.pad, self.seed = size, pad, seed
        self.past: list[Drawn] = []

    def mix(self, drawn: Drawn, number: int) -> Drawn:
        """``drawn`` with half of its prompts, rounded down, exchanged for as many of a past batch drawn at random.

        As many rows as before. number: of the update, on which alone (and the seed) the choice depends.
        """
        kept = self.past
        self.past = [*kept, drawn][-self.size :]
        if not kept:
            return drawn
        choice = torch.Generator().manual_seed(stream(self.seed, number))
        old = kept[int(torch.randint(len(kept), (), generator=choice))]
        prompts = len(drawn.own)
        return self._joined(self._some(drawn, slice(prompts // 2, prompts)), self._some(old, slice(prompts // 2)))

    def _some(self, drawn: Drawn, prompts: slice) -> tuple[Batch, Batch]:
        """The samples and real texts of some prompts."""
        each = len(drawn.samples) // len(drawn.own)
        start, stop = prompts.start or 0, prompts.stop
        return _plain(drawn.samples.rows(slice(start * each, stop * each))), _plain(drawn.own.rows(prompts))

    def _joined(self, one: tuple[Batch, Batch], other: tuple[Batch, Batch]) -> Drawn:
        samples, own = (concatenate([a, b], self.pad) for a, b in zip(one, other, strict=True))
        group = torch.arange(len(own), device=own.tokens.device).repeat_interleave(len(samples) // len(own))
        return Drawn(samples, group, own)

    def state_dict(self) -> list[Any]:
        return [{name: _tensors(getattr(drawn, name)) for name in ("samples", "own")} for drawn in self.past]

    def load_state_dict(self, state: list[Any], device: torch.device) -> None:
        none = torch.empty(0, dtype=torch.long, device=device)
        batches = [{name: Batch(**tensors).to(device) for name, tensors in saved.items()} for saved in state]
        self.past = [Drawn(saved["samples"], none, saved["own"]) for saved in batches]


def _plain(batch: Batch) -> Batch:
    """Without the log-probabilities, which D does not look at."""
    return Batch(batch.tokens, batch.mask, batch.prompt_length)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    return {field.name: getattr(batch, field.name) for field in fields(batch) if field.name in KEPT}
