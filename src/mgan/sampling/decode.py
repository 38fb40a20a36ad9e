"""The decode loop: one pass over the positions, all rows in lockstep, logprobs from the same pass."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.models.latent import started
from mgan.models.protocols import Generator, Opaque, ReadsSource, State
from mgan.sampling import foreign
from mgan.sampling.conditional import Shift
from mgan.sampling.distribution import UNFILTERED as UNFILTERED
from mgan.sampling.distribution import Sampling as Sampling
from mgan.sampling.distribution import draw_tokens
from mgan.sampling.latent import latent_of
from mgan.sampling.uniforms import row_seeds, uniforms
from mgan.types import Batch

ENDED = 8
"""Rows that have ended are left out as soon as they are one in so many of those still read."""


@torch.no_grad()
def sample(
    generator: Generator,
    prompts: Batch,
    *,
    max_length: int,
    eos: int | None,
    pad: int,
    seed: int = 0,
    seeds: Tensor | None = None,
    sampling: Sampling = UNFILTERED,
    state: State | None = None,
) -> Batch:
    """One completion for every row of ``prompts``, of which only the prompt parts are read.

    max_length: tokens a row may have in all, BOS and prompt included; a row that reaches it ends without EOS.
    eos: None where nothing else ends a row.
    seeds: [B] int64, a seed a row; by default the rows of the stream ``seed``.
    state: of the B rows, where they have one before anything is read: what an encoder remembers of each row's source.
    A generator with latent noise writes each row from a z of its own, which goes with the row's seed.

    Runs in eval mode whatever mode the generator is in, and leaves that mode as it was. Logprobs are those of
    the distribution drawn from, filters and temperature included.
    """
    device = prompts.tokens.device
    count, prompt_length = len(prompts), prompts.prompt_length
    shortest, longest = int(prompt_length.min()), int(prompt_length.max())
    if longest >= max_length:
        raise ValueError(f"a prompt of {longest} tokens leaves nothing to write within {max_length}")
    seeds = row_seeds(seed, count) if seeds is None else seeds
    if isinstance(generator, ReadsSource) and state is None:
        return _behind_sources(generator, prompts, max_length, eos, pad, seeds, sampling)
    precise = torch.float32 if device.type == "mps" else torch.float64
    numbers = uniforms(seeds, max_length).to(precise).to(device)
    tokens = torch.full((count, max_length), pad, dtype=torch.long, device=device)
    given = torch.arange(longest, device=device) < prompt_length[:, None]
    tokens[:, :longest] = torch.where(given, prompts.tokens[:, :longest], pad)
    logprobs = torch.zeros(count, max_length, device=device)
    mask = torch.zeros(count, max_length, dtype=torch.bool, device=device)

    was_training = generator.training
    generator.eval()
    try:
        if isinstance(generator, Opaque):
            return foreign.complete(generator, tokens, prompt_length, numbers, eos, sampling)
        latent = latent_of(generator, seeds) if state is None else None
        if latent is not None:
            state = started(generator, count, latent)
        feature, state = _read_prompts(generator, tokens[:, :shortest], state)
        # The rows that are still read, and which of those go on.
        row = torch.arange(count, device=device)
        going = torch.ones(count, dtype=torch.bool, device=device)
        for i in range(shortest, max_length):
            token, logprob = draw_tokens(generator.output(feature), numbers[row, i], sampling)
            free = going & (i >= prompt_length[row])
            tokens[row, i] = token = torch.where(free, token, tokens[row, i])
            mask[row, i] = free
            logprobs[row, i] = torch.where(free, logprob, 0.0)
            if eos is not None:
                going = going & ~(free & (token == eos))
            left = int(going.sum())
            if i + 1 == max_length or not left:
                break
            if ENDED * (len(row) - left) >= len(row):
                kept = going.nonzero().squeeze(1)
                row, token, going, state = row[kept], token[kept], going[kept], state.select(kept)
            feature, state = generator.read(token[:, None], state)
    finally:
        generator.train(was_training)
    return Batch(tokens, mask, prompt_length, logprobs, latent).rows(slice(None))


def _behind_sources(
    generator: Generator, prompts: Batch, max_length: int, eos: int | None, pad: int, seeds: Tensor, sampling: Sampling
) -> Batch:
    """As ``sample``; every row of the longest that a row with a short source may have, and cut where it may not."""
    assert isinstance(generator, ReadsSource)
    was_training = generator.training
    generator.eval()
    try:
        shift = Shift.of(generator, prompts.tokens)
        written = sample(
            generator, shift.apart(prompts), max_length=max_length - int(shift.by.min()), eos=eos, pad=pad,
            seeds=seeds, sampling=sampling, state=shift.encode(generator),
        )  # fmt: skip
    finally:
        generator.train(was_training)
    return shift.behind_sources(written, max_length, pad).rows(slice(None))


def _read_prompts(generator: Generator, prompts: Tensor, state: State | None) -> tuple[Tensor, State]:
    """The feature at the end of each row of prompts [B, T] and the state there; equal rows are read once."""
    if state is not None:
        return generator.read(prompts, state)
    distinct, which = torch.unique(prompts, dim=0, return_inverse=True)
    if len(distinct) == len(prompts):
        return generator.read(prompts, generator.start(len(prompts)))
    feature, state = generator.read(distinct, generator.start(len(distinct)))
    return feature[which], state.select(which)
