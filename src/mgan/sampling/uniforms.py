"""Uniform random numbers that depend on (seed, row, position) and on nothing else.

A counter-based generator (the splitmix64 finaliser, Steele et al. 2014): a row's numbers do not depend on its
neighbours in the batch, there is no hidden state to save, and equal seeds pair the samples of two generators.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX2 = 0x94D049BB133111EB - (1 << 64)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: torch's is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def row_seeds(seed: int, rows: int, first: int = 0) -> Tensor:
    """[rows] int64: the seeds of rows ``first``, ``first`` + 1, … of the stream ``seed``."""
    row = torch.arange(first, first + rows, dtype=torch.int64)
    return _mix(_mix(torch.tensor(seed, dtype=torch.int64) * _GOLDEN) + row * _GOLDEN)


def child_seeds(seeds: Tensor, numbers: Tensor) -> Tensor:
    """[B, N] int64: the seeds of each row's children of these numbers. seeds: [B] int64, numbers: [N] int64."""
    return _mix(seeds[:, None] * _GOLDEN + numbers + 1)


def uniforms(seeds: Tensor, length: int, first: int = 0) -> Tensor:
    """[B, length] float64 in [0, 1): the numbers of positions ``first`` … of each row. seeds: [B] int64."""
    position = torch.arange(first, first + length, dtype=torch.int64, device=seeds.device)
    bits = _mix(seeds[:, None] + (position + 1) * _GOLDEN)
    return _shift(bits, 11).to(torch.float64) * 2.0**-53


def stream(seed: int, *names: int) -> int:
    """A seed of its own for each purpose: mixes ``names`` (phase, step, …) into ``seed``."""
    value = torch.tensor(seed, dtype=torch.int64)
    for name in names:
        value = _mix(value * _GOLDEN + name + 1)
    return int(value) & (1 << 62) - 1
