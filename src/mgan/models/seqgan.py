"""SeqGAN's discriminator: a sentence CNN of twelve widths under a highway layer (Yu et al. 2017, section 3.3, table 3).

The published network reads sentences of one length, without a start token. So BOS, which is the same in every text,
is not read here either, and ``verdict`` of a text is what the published network says of it. Of a prefix it is what
the network would say with the windows that fit into it: a width that is longer than the prefix is 0, as after a ReLU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.game.signals import final, last_position

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
FILTERS = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
FEATURES = sum(FILTERS)
CACHED = 2**19
"""Numbers of a piece of work that stays in a processor's cache."""
TEXTS = 20_000
"""Most rollouts whose features are held at once, [TEXTS, FEATURES]: 138 MB."""
CHUNK = 1024
LOOK_UP = 0.35
"""What adding a row of a table costs, as a share of the product of an embedding with a filter that it replaces."""


class SeqGANDiscriminator(nn.Module):
    """Embedding, convolutions, maximum over the text, highway, linear head (zero at the start)."""

    def __init__(self, vocabulary: int, hidden: int = 64, dropout: float = 0.25):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden, filters, width) for width, filters in zip(WIDTHS, FILTERS, strict=True)
        )
        self.highway = nn.Linear(FEATURES, FEATURES)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self._judge(self._maxima(self.embedding(tokens)))

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self._judge(final(self._maxima(self.embedding(tokens)), mask))

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.dropout(self.represent(embedded, mask)))

    def represent(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self._mixed(final(self._maxima(embedded), mask))

    @torch.no_grad()
    def verdict_of_rollouts(self, samples: Tensor, row: Tensor, given: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """[R]: as ``verdict(tokens, mask)``, but what is said of a shared prefix is computed once.

        samples: [B, L']. row, given: [R]: text r begins with the first given[r] tokens of samples[row[r]]; cheapest in
        the order of given. tokens, mask: [R, L].
        """
        prefixes = self._maxima(self.embedding(samples))
        texts = (row, given, tokens, last_position(mask))
        parts = zip(*(torch.split(some, TEXTS) for some in texts), strict=True)
        return torch.cat([self._continued(prefixes, *part) for part in parts])

    def _maxima(self, embedded: Tensor) -> Tensor:
        """[B, L, FEATURES]: each filter's maximum over the windows that end at or before each position, at least 0.

        embedded: [B, L, H].
        """
        position = torch.arange(embedded.shape[1], device=embedded.device)
        embedded = embedded.transpose(1, 2)
        features = [
            conv(functional.pad(embedded, (width - 1, 0))).relu().masked_fill(position < width, 0.0).cummax(-1).values
            for width, conv in zip(WIDTHS, self.convolutions, strict=True)
        ]
        return torch.cat(features, 1).transpose(1, 2)

    def _judge(self, features: Tensor) -> Tensor:
        """[..., FEATURES] -> [...]: the logits of what the maxima are of."""
        return self.head(self.dropout(self._mixed(features))).squeeze(-1)

    def _mixed(self, features: Tensor) -> Tensor:
        """The same shape: what the highway layer (Srivastava et al. 2015) makes of it."""
        transformed = self.highway(features)
        return torch.lerp(features, transformed.relu(), transformed.sigmoid())

    def _continued(self, prefixes: Tensor, row: Tensor, given: Tensor, tokens: Tensor, last: Tensor) -> Tensor:
        """[R]: the logits of texts of which all windows that end within what is given are in ``prefixes`` already."""
        features = prefixes[row, given - 1]
        distinct, ids = torch.unique(tokens, return_inverse=True)
        embedded = self.embedding.weight[distinct]
        parts = torch.split(features, list(FILTERS), dim=1)
        for width, conv, mine in zip(WIDTHS, self.convolutions, parts, strict=True):
            convolve = _convolution(conv, embedded, tokens.numel() - int(given.sum()))
            size = max(1, 2 * CACHED // mine[0].numel() // tokens.shape[1])
            work = zip(*(torch.split(some, size) for some in (mine, ids, given, last)), strict=True)
            for maxima, text, start, end in work:
                _raise(maxima, convolve, width, text, int(start.min()), end)
        return torch.cat([self._judge(some) for some in torch.split(features, CHUNK)])

    @property
    def flops_per_token(self) -> int:
        windows = sum(width * filters for width, filters in zip(WIDTHS, FILTERS, strict=True))
        return 2 * self.embedding.embedding_dim * windows

    @property
    def flops_per_verdict(self) -> int:
        return 2 * FEATURES * FEATURES + 2 * FEATURES * self.head.out_features


Convolve = Callable[[Tensor], Tensor]


def _convolution(conv: nn.Module, embedded: Tensor, windows: int) -> Convolve:
    """[B, n] ids -> [B, n - width + 1, filters]: a convolution over the rows ``embedded[ids]``.

    It is a sum over the tokens of a window, each of which gives what its place in the window makes of it. So where
    there are so many windows that it pays, those are computed once a token and looked up. embedded: [V', H].
    """
    assert isinstance(conv, nn.Conv1d)
    if (1 - LOOK_UP) * windows < len(embedded):
        return lambda ids: conv(embedded[ids].transpose(1, 2)).transpose(1, 2)
    table = torch.matmul(embedded, conv.weight.permute(2, 1, 0))  # [width, V', filters]
    if conv.bias is not None:
        table[0] += conv.bias
    width, place = conv.kernel_size[0], torch.arange(len(table), device=table.device) * len(embedded)

    def look_up(ids: Tensor) -> Tensor:
        bags = (ids.unfold(1, width, 1) + place).flatten(0, 1)
        sums = functional.embedding_bag(bags, table.flatten(0, 1), mode="sum")
        return sums.view(len(ids), -1, sums.shape[1])

    return look_up


def _raise(maxima: Tensor, convolve: Convolve, width: int, ids: Tensor, first: int, last: Tensor) -> None:
    """Raise ``maxima`` by the windows that end at ``first`` or later and not after ``last``.

    maxima: [B, filters], none below 0. ids: [B, L], of which the first column is never read. last: [B].
    """
    start = max(1, first - width + 1)
    if ids.shape[1] - start < width:
        return
    values = convolve(ids[:, start:])
    beyond = torch.arange(start + width - 1, ids.shape[1], device=ids.device) > last[:, None]
    if beyond.any():
        values = values.masked_fill(beyond[..., None], 0.0)
    torch.maximum(maxima, values.amax(1), out=maxima)
