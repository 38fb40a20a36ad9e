"""What one piece of a run's work holds at most, beyond the weights: rehearsed with networks that have no memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from mgan.models.logprobs import CHUNK
from mgan.planning.live import Live
from mgan.planning.players import Player

LONG = 16
"""Tokens of the longest text that is rehearsed a token at a time."""
VERDICTS = 256
"""Texts that a discriminator judges together (fit/classifier.py)."""
PIECE = 32
"""Relaxed texts that a discriminator reads together (training/gumbel.py)."""
EXPANDED = 512
"""Places whose values of all tokens are held together (training/taylor.py)."""
EXPANSIONS = 8
"""Numbers of each token at such a place: logits, probabilities, values,
what they are weighed by, and how near the tokens are, in the making."""
WHILE_CHOSEN = 2
"""A step of the decode loop holds the caches before and after it; so does choosing the rows that go on."""


def autocast(precision: str) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


Parts = tuple[tuple[bool, tuple[int, ...]], ...]


@cache
def update(player: Player, parts: Parts, length: int, precision: str) -> int:
    """Bytes of gradients and activations at the worst moment of an update.

    parts: what is computed one after the other, each with whether dropout is on and how many rows are read in which
    batches before the gradient is taken; every part's gradients are added to those of the last.
    """
    if player.stepwise and length > LONG:
        return _extended(lambda shorter: update(player, parts, shorter, precision), length)
    player.module.zero_grad()
    with Live(player.module) as live:
        for training, batches in parts:
            player.module.train(training)
            with autocast(precision):
                outcomes = [_loss(player, player.read(_tokens(rows, length))) for rows in batches if rows]
            torch.autograd.backward(torch.stack(outcomes).sum())
            del outcomes
        peak = live.peak
    player.module.zero_grad()
    return peak


@cache
def reading(player: Player, rows: int, length: int) -> int:
    """Bytes at the worst moment of reading texts without a gradient, in eval mode."""
    if player.stepwise and length > LONG:
        return _extended(lambda shorter: reading(player, rows, shorter), length)
    player.module.eval()
    with Live(player.module) as live, torch.no_grad():
        player.read(_tokens(rows, length))
        return live.peak


def caches(generator: Player, rows: int, length: int) -> int:
    """Bytes that the decode loop remembers of ``rows`` texts."""
    return WHILE_CHOSEN * 4 * rows * generator.state(length)


def step_logits(generator: Player, rows: int) -> int:
    """Bytes of the logits of a decoding step, and of the probabilities drawn from."""
    assert generator.output is not None
    return 2 * 4 * rows * generator.output.out_features


def chunk_logits(generator: Player, rows: int, length: int, device: str) -> int:
    """Bytes of the logits that are held at once while logprobs are computed (models/logprobs.py)."""
    assert generator.output is not None
    fewest, logits = CHUNK["cpu" if device == "cpu" else "accelerator"]
    vocabulary = generator.output.out_features
    return 4 * vocabulary * min(rows * length, max(fewest, logits // vocabulary))


def blocks(generator: Player, places: int, count: int) -> int:
    """Bytes of so many numbers for every token of the vocabulary at so many places."""
    assert generator.output is not None
    return 4 * count * places * generator.output.out_features


def _extended(held: Callable[[int], int], length: int) -> int:
    """Of a text of ``length`` tokens, told from two shorter ones: every token adds the same."""
    short, long = held(LONG // 2), held(LONG)
    return long + (long - short) * (length - LONG) * 2 // LONG


def _tokens(rows: int, length: int) -> Tensor:
    return torch.zeros(rows, length, dtype=torch.long)


def _loss(player: Player, read: Tensor) -> Tensor:
    """A scalar, of which the backward pass holds what that of the real loss does."""
    if player.output is None:
        return read.float().sum()
    # models/logprobs.py: the gradients to features and weight are ready when the loss is, and are kept for it.
    kept, weight = read.flatten(0, 1).clone(), player.output.weight
    loss = kept.float().flatten() @ torch.zeros(kept.numel())
    if weight.requires_grad:
        loss = loss + weight.flatten() @ torch.zeros(weight.numel())
    return loss
