"""RelGAN's discriminator: a CNN over many embedded representations of a text (Nie et al. 2019, section 3.3).

Each of S representations has its own slice of the token embedding and is judged apart by the same network: windows of
2 to 5 tokens, maximum over time, highway, linear. A representation has a logit of its own, and a loss that compares
two texts compares them representation by representation; a text's verdict is their mean.

The published network reads texts without a start token, so BOS, which is the same in every text, is not read. A text
that is shorter than a window is filled up with zeros on the left. Texts may be soft: a distribution over the
vocabulary at every position instead of a token, embedded as the mean of the embeddings under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.game.signals import last_position

WIDTHS = (2, 3, 4, 5)
FILTERS = 300
FEATURES = 100
CACHED = 2**20
"""Numbers of a piece of work that stays in a processor's cache."""
LANES = 32
"""Rows that a processor takes at once: of other numbers the rest is several times slower."""


class RelGANDiscriminator(nn.Module):
    """hidden: width of the token embedding, all representations together."""

    def __init__(self, vocabulary: int, hidden: int = 64, representations: int = 64, dropout: float = 0.25):
        super().__init__()
        if hidden % representations:
            raise ValueError(f"an embedding of width {hidden} cannot be cut into {representations} representations")
        self.representations = representations
        self.embedding = nn.Embedding(vocabulary, hidden)
        nn.init.normal_(self.embedding.weight, std=(hidden // representations) ** -0.5)
        self.convolutions = nn.ModuleList(nn.Conv1d(hidden // representations, FILTERS, width) for width in WIDTHS)
        self.highway = nn.Linear(FILTERS * len(WIDTHS), FILTERS * len(WIDTHS))
        self.features = nn.Linear(FILTERS * len(WIDTHS), FEATURES)
        self.dropout = dropout
        self.head = nn.Linear(FEATURES, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, L]: the mean logit of each prefix, by a running maximum."""
        rows = self._rows(self.embedding(tokens)).transpose(1, 2)
        maxima = []
        for width, conv in zip(WIDTHS, self.convolutions, strict=True):
            values = conv(functional.pad(rows, (width, 0)))
            short, whole = values[..., :width], values[..., width:]
            maxima.append(torch.cat([short, whole.cummax(-1).values if whole.numel() else whole], -1).relu())
        features = torch.cat(maxima, 1).transpose(0, 1)
        logits = self._judge(features.flatten(1)).view(len(tokens), self.representations, -1)
        return logits.mean(1)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.judge(self.embedding(tokens), mask).mean(1)

    def soft(self, probabilities: Tensor, mask: Tensor) -> Tensor:
        """[B]: the verdict on soft texts. probabilities: [B, L, V], mask: [B, L] as ``verdict``'s."""
        return self.judge(probabilities @ self.embedding.weight, mask).mean(1)

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """[B, S]: the logit of every representation of embedded texts. embedded: [B, L, H], mask: [B, L]."""
        last = (last_position(mask) - 1).clamp(min=0).repeat_interleave(self.representations)
        weights = [conv.weight for conv in self.convolutions]
        rows = self._rows(embedded).to(self.embedding.weight.dtype)
        maxima = _MaximaOverTime.apply(rows, last, *weights)  # type: ignore[no-untyped-call]
        bias = torch.cat([conv.bias for conv in self.convolutions])  # type: ignore[misc]
        return self._judge((maxima + bias[:, None]).relu_()).view(-1, self.representations)

    def _rows(self, embedded: Tensor) -> Tensor:
        """[B, L, H] -> [B S, L - 1, H / S]: every representation without BOS."""
        return torch.unflatten(embedded[:, 1:], -1, (self.representations, -1)).transpose(1, 2).flatten(0, 1)

    def _judge(self, maxima: Tensor) -> Tensor:
        """[filters, N] -> [N]: highway (Srivastava et al. 2015), features, head."""
        transformed = torch.addmm(self.highway.bias[:, None], self.highway.weight, maxima)
        mixed = self._drop(torch.lerp(maxima, transformed.relu(), transformed.sigmoid()))
        # Nothing stands between the last two linear layers: their product is one vector.
        weight, bias = self.head.weight @ self.features.weight, self.head(self.features.bias)
        return torch.addmm(bias, weight, mixed).squeeze(0)

    def _drop(self, features: Tensor) -> Tensor:
        """Dropout from 16 random bits a number, several times cheaper than torch's, which takes a draw a number."""
        if not self.training or self.dropout == 0:
            return features
        bits = torch.empty(features.numel() // 4 + 1, dtype=torch.int64, device=features.device).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: features.numel()].view_as(features) >= round(self.dropout * 2**16) - 2**15
        return features * (kept / (1 - self.dropout))

    @property
    def flops_per_token(self) -> int:
        return 2 * self.embedding.embedding_dim * FILTERS * sum(WIDTHS)

    @property
    def flops_per_verdict(self) -> int:
        maxima = self.highway.in_features
        return self.representations * 2 * maxima * (maxima + 1)


class _MaximaOverTime(torch.autograd.Function):
    """What convolutions of several widths say at most of each row, and no more of it than that is kept.

    rows: [N, L, d], last: [N] the last position of each row, weights: [F, d, width] each. -> [all F, N]. What the
    convolutions say is computed twice, for the maximum and for its gradient, block by block in the processor's cache.
    Filters come first and time before rows, as products with so few columns and maxima are several times faster so.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, last: Tensor, *weights: Tensor) -> Tensor:
        maxima = rows.new_empty(sum(map(len, weights)), len(rows))
        for weight, best in zip(weights, torch.split(maxima, [len(weight) for weight in weights]), strict=True):
            for block in _blocks(rows, last, weight):
                torch.amax(block.values, 1, out=best[:, block.rows])
        ctx.save_for_backward(rows, last, maxima, *weights)
        return maxima

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, last, maxima, *weights = ctx.saved_tensors
        sizes = [len(weight) for weight in weights]
        to_rows = torch.zeros_like(rows).permute(2, 1, 0).contiguous() if ctx.needs_input_grad[0] else None
        to_weights = [torch.zeros_like(weight) if ctx.needs_input_grad[2] else None for weight in weights]
        work = zip(weights, to_weights, torch.split(maxima, sizes), torch.split(gradients[0], sizes), strict=True)
        for weight, to_weight, best, given in work:
            kernel = weight.flatten(1).t().contiguous()
            for block in _blocks(rows, last, weight):
                winners = block.values.eq_(best[:, None, block.rows])
                # Where several windows say the same, each has its share.
                winners *= (given[:, block.rows] / winners.sum(1))[:, None]
                if to_weight is not None:
                    to_weight += (block.windows @ winners.flatten(1).t()).t().view_as(weight)
                if to_rows is not None:
                    _add_windows(to_rows[..., block.rows], kernel @ winners.flatten(1), block.begin, weight.shape[2])
        return None if to_rows is None else to_rows.permute(2, 1, 0), None, *to_weights


@dataclass(frozen=True)
class _Block:
    """Some rows. windows: [d width, T n], the first of them ending at position ``begin``. values: [F, T, n]."""

    rows: slice
    begin: int
    windows: Tensor
    values: Tensor


def _blocks(rows: Tensor, last: Tensor, weight: Tensor) -> Iterator[_Block]:
    """What one convolution says of all windows of each row, -inf where they are not the row's, until the next block."""
    filters, _, width = weight.shape
    begin = min(width - 1, int(last.min()))
    padded = functional.pad(rows.permute(2, 1, 0), (0, 0, width - 1 - begin, 0))
    end = torch.arange(begin, rows.shape[1], device=rows.device)[:, None]
    whole = int(last.min()) == rows.shape[1] - 1
    size = max(1, CACHED // (filters * len(end) * LANES)) * LANES
    buffer = rows.new_empty(filters * len(end) * min(size, len(rows)))
    for start in range(0, len(rows), size):
        some = slice(start, min(start + size, len(rows)))
        windows = padded[..., some].unfold(1, width, 1).permute(0, 3, 1, 2).flatten(0, 1).flatten(1)
        # The same memory for every block, and with no autocast, that could make the two times differ.
        values = buffer[: filters * windows.shape[1]].view(filters, -1)
        torch.mm(weight.flatten(1), windows, out=values)
        values = values.view(filters, len(end), -1)
        if not whole:
            outside = (end < last[some].clamp(max=width - 1)) | (end > last[some])
            values.masked_fill_(outside, -torch.inf)
        yield _Block(some, begin, windows, values)


def _add_windows(to_rows: Tensor, to_windows: Tensor, begin: int, width: int) -> None:
    """Adds the gradient of windows [d width, T n] to that of the rows they were cut from, [d, L, n]."""
    parts = to_windows.view(to_rows.shape[0], width, -1, to_rows.shape[2])
    for j in range(width):
        first = begin - (width - 1) + j
        to_rows[:, max(first, 0) : max(first + parts.shape[2], 0)] += parts[:, j, max(-first, 0) :]
