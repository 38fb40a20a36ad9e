"""From features to tokens: output layer and drawing in one, for many rows of which nothing but the token is wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgan.sampling.distribution import BLOCK, SMALL, Sampling, _place, draw_tokens

CHUNK = 2**20


@torch.no_grad()
def next_tokens(output: nn.Linear, features: Tensor, numbers: Tensor, sampling: Sampling) -> Tensor:
    """[B, N] int64: the tokens that ``draw_tokens(output(features), numbers, sampling)`` draws, without their logprobs.

    features: [B, H]. numbers: [B, N] float64 in [0, 1). Never more than about CHUNK logits at once.
    """
    rows = CHUNK // output.out_features + 1
    chunks = list(zip(torch.split(features, rows), torch.split(numbers, rows), strict=True)) if len(features) else []
    if not chunks:
        return torch.empty(numbers.shape, dtype=torch.long, device=features.device)
    filtered = sampling != Sampling(sampling.temperature)
    if filtered or output.out_features <= SMALL or features.device.type != "cpu" or features.dtype != torch.float32:
        return torch.cat([draw_tokens(output(some), chance, sampling)[0] for some, chance in chunks])
    return _blockwise(output, chunks, sampling.temperature)


def _blockwise(output: nn.Linear, chunks: list[tuple[Tensor, Tensor]], temperature: float) -> Tensor:
    """All that must be done while a chunk is in the cache is done in place; the search inside blocks waits for all."""
    blocks = -(-output.out_features // BLOCK)
    buffer = chunks[0][0].new_zeros(len(chunks[0][0]), blocks, BLOCK)
    found = []
    for features, numbers in chunks:
        rows = torch.arange(len(features))[:, None]
        mass = buffer[: len(rows)]
        weight = mass.flatten(1)[:, : output.out_features]
        torch.mm(features / temperature, output.weight.t(), out=weight)
        if output.bias is not None:
            weight.add_(output.bias / temperature)
        weight.sub_(weight.amax(1, keepdim=True)).exp_()
        edges = mass.sum(2).cumsum(1, dtype=numbers.dtype)
        # The sum is 1 only up to rounding; scaled by it, no number can fall behind the last token.
        threshold = numbers * edges[:, -1:]
        block = _place(edges, threshold)
        found.append((block, threshold - F.pad(edges, (1, 0)).gather(1, block), mass[rows, block]))
    block, rest, mass = (torch.cat(part) for part in zip(*found, strict=True))
    return block * BLOCK + _place(mass.cumsum(2, dtype=rest.dtype), rest[..., None]).squeeze(2)
