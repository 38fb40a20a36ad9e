"""The distribution that tokens are drawn from, and drawing from it: inverse-CDF sampling, one uniform a token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64
SMALL = 512
NUCLEUS = 256
CHUNK = 2**20


@dataclass(frozen=True)
class Sampling:
    """How a next token is drawn. Filters act after the temperature: top-k, then top-p, then min-p, each on what the one
    before left. At their defaults they are off.

    top_k: keep the k likeliest tokens (Fan et al. 2018).
    top_p: keep a token if the likelier ones together have less than this (Holtzman et al. 2020).
    min_p: keep a token if it has at least this share of the likeliest one's probability (Nguyen et al. 2024).
    suppress: token ids that are never drawn.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    suppress: tuple[int, ...] = ()
    min_p: float = 0.0

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """[..., V] -> [..., V]: the log of the distribution tokens are drawn from."""
        kept, tokens = self.candidates(logits)
        found = kept.log_softmax(-1)
        if tokens is None:
            return found
        return found.new_full(logits.shape, -torch.inf).scatter(-1, tokens, found)

    def candidates(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """[..., V] -> float logits [..., K] of the tokens that may be drawn, -inf where not even those, and which
        tokens they are, [..., K]; None where they are all V in order.
        """
        logits = logits.float()
        tokens: Tensor | None = None
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.suppress:
            logits = logits.index_fill(-1, torch.tensor(self.suppress, device=logits.device), -torch.inf)
        if 0 < self.top_k < logits.shape[-1]:
            logits, tokens = logits.topk(self.top_k)
        if self.top_p < 1.0:
            logits, tokens = _nucleus(logits, tokens, self.top_p)
        if self.min_p > 0.0:
            # Rounding must not cost the likeliest token itself; threshold keeps what is more than its bound.
            logits = logits - logits.amax(-1, keepdim=True)
            logits = F.threshold(logits, math.log(self.min_p) - 1e-6, -torch.inf)
        return logits, tokens


UNFILTERED = Sampling()


def draw_tokens(logits: Tensor, uniforms: Tensor, sampling: Sampling = UNFILTERED) -> tuple[Tensor, Tensor]:
    """Tokens of each row's distribution and their logprobs under it, one for every uniform number, in one pass.

    logits: [B, V], of any floating dtype. uniforms: [B] or [B, N] in [0, 1), better float64.
    Returns tokens (int64) and logprobs (float32), both of the uniforms' shape.
    """
    numbers = uniforms if uniforms.dim() == 2 else uniforms[:, None]
    # A CPU is several times slower on what outgrows its cache and its allocator's arena.
    rows = CHUNK // logits.shape[1] + 1 if logits.device.type == "cpu" else max(1, len(logits))
    chunks = (slice(i, i + rows) for i in range(0, max(1, len(logits)), rows))
    drawn = [_draw(logits[chunk], numbers[chunk], sampling) for chunk in chunks]
    tokens, logprobs = (part[0] if len(part) == 1 else torch.cat(part) for part in zip(*drawn, strict=True))
    return tokens.view(uniforms.shape), logprobs.view(uniforms.shape)


def _draw(logits: Tensor, numbers: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """logits: [B, V], numbers: [B, N]. Returns tokens and logprobs, [B, N]."""
    kept, candidates = sampling.candidates(logits)
    probability = kept.softmax(-1)
    place = _invert(probability, numbers)
    tokens = place if candidates is None else candidates.gather(1, place)
    return tokens, probability.gather(1, place).log()


def _nucleus(logits: Tensor, tokens: Tensor | None, top_p: float) -> tuple[Tensor, Tensor]:
    """The likeliest of the candidates, in order, -inf behind the nucleus; as ``Sampling.candidates`` returns them.

    A full sort costs the most of all: only as many are ordered as some row's nucleus needs.
    """
    total = logits.logsumexp(-1, keepdim=True)
    count = logits.shape[-1] if tokens is not None else min(NUCLEUS, logits.shape[-1])
    while True:
        ordered, place = logits.topk(count)
        before = (ordered - total).exp().cumsum(-1).roll(1, -1)
        mass = before[..., 0].clone()
        if count == logits.shape[-1] or bool((mass >= top_p).all()):
            break
        count = min(8 * count, logits.shape[-1])
    before[..., 0] = 0.0
    ordered = ordered.masked_fill(before >= top_p, -torch.inf)
    return ordered, place if tokens is None else tokens.gather(-1, place)


def _invert(probability: Tensor, numbers: Tensor) -> Tensor:
    """[B, N] int64: where each number falls in the cumulative distribution of its row.

    Two searches, among blocks and then inside one, because sums of blocks cost a sixth of a running sum.
    probability: [B, V]. numbers: [B, N].
    """
    vocabulary = probability.shape[1]
    if vocabulary <= SMALL:
        edges = probability.cumsum(1, dtype=numbers.dtype)
        return _place(edges, numbers * edges[:, -1:])
    blocks, tail = probability.unfold(1, BLOCK, BLOCK), probability[:, vocabulary // BLOCK * BLOCK :]
    edges = torch.cat([blocks.sum(2), tail.sum(1, keepdim=True)], 1).cumsum(1, dtype=numbers.dtype)
    # The sum is 1 only up to rounding; scaled by it, no number can fall behind the last token.
    threshold = numbers * edges[:, -1:]
    block = _place(edges, threshold)
    rest = threshold - F.pad(edges, (1, 0)).gather(1, block)
    inside = block[..., None] * BLOCK + torch.arange(BLOCK, device=probability.device)
    mass = probability.gather(1, inside.clamp(max=vocabulary - 1).flatten(1)).view_as(inside)
    mass = mass.masked_fill(inside >= vocabulary, 0.0)
    within = _place(mass.cumsum(2, dtype=numbers.dtype), rest[..., None]).squeeze(2)
    return (block * BLOCK + within).clamp(max=vocabulary - 1)


def _place(edges: Tensor, threshold: Tensor) -> Tensor:
    """Where each threshold falls between the rising edges: always a place at which they do rise.

    edges: [..., n], threshold: [..., N]. Returns [..., N] int64.
    """
    found = torch.searchsorted(edges, threshold, right=True)
    # A threshold that rounds to the last edge lands behind it: step back to the last place that rises.
    last = torch.searchsorted(edges, edges[..., -1:].contiguous())
    return torch.minimum(found, last).clamp(max=edges.shape[-1] - 1)
