"""From features to tokens: output layer and drawing in one, for many rows of which nothing but the token is wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgan.sampling.distribution import BLOCK, SMALL, Sampling, _place, draw_tokens

CHUNK = 2**19
SAFE = 60.0
"""exp of a logit, a million times over, is still a float32, and so is exp of its negative."""


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
    return _blockwise(_with_bias(output) / sampling.temperature, chunks)


def _with_bias(output: nn.Linear) -> Tensor:
    """[V, H + 1]: the bias as the weight of one more feature, which is 1: adding it apart is a pass over all logits."""
    bias = output.weight.new_zeros(output.out_features) if output.bias is None else output.bias
    return torch.cat([output.weight, bias[:, None]], 1)


def _blockwise(weight: Tensor, chunks: list[tuple[Tensor, Tensor]]) -> Tensor:
    """All that must be done while a chunk is in the cache is done in place; the search inside blocks waits for all."""
    longest = weight.norm(dim=1).max()
    buffer = weight.new_zeros(len(chunks[0][0]), -(-len(weight) // BLOCK), BLOCK)
    found = []
    for features, numbers in chunks:
        features = F.pad(features, (0, 1), value=1.0)
        rows = torch.arange(len(features))[:, None]
        mass = buffer[: len(rows)]
        shares = mass.flatten(1)[:, : len(weight)]
        torch.mm(features, weight.t(), out=shares)
        # A logit is at most the product of two lengths: where that is small nothing can overflow.
        if features.norm(dim=1).max() * longest > SAFE:
            shares.sub_(shares.amax(1, keepdim=True))
        shares.exp_()
        edges = mass.sum(2).cumsum(1, dtype=numbers.dtype)
        # Scaled by the sum, no number can fall behind the last token.
        threshold = numbers * edges[:, -1:]
        block = _place(edges, threshold)
        found.append((block, threshold - F.pad(edges, (1, 0)).gather(1, block), mass[rows, block]))
    block, rest, mass = (torch.cat(part) for part in zip(*found, strict=True))
    return block * BLOCK + _place(mass.cumsum(2, dtype=rest.dtype), rest[..., None]).squeeze(2)
