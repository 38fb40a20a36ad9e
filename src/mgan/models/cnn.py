"""A convolutional discriminator that scores every prefix.

Kim's sentence CNN (2014; as a text GAN's judge Zhang et al. 2016, Yu et al. 2017) pools each filter's maximum
over the sentence. Here the convolutions look only to the left and the maximum runs along with the text, so
that position i holds what Kim's network would say of the prefix that ends there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.game.signals import final

WIDTHS = (1, 2, 3, 4, 5)


class CNNDiscriminator(nn.Module):
    """Embedding, causal convolutions of widths 1–5, running maximum, linear head (zero at the start)."""

    def __init__(self, vocabulary: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.convolutions = nn.ModuleList(nn.Conv1d(hidden, hidden, width) for width in WIDTHS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * len(WIDTHS), 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.dropout(self._maxima(self.embedding(tokens)))).squeeze(-1)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.judge(self.embedding(tokens), mask).squeeze(-1)

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.dropout(self.represent(embedded, mask)))

    def represent(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return final(self._maxima(embedded), mask)

    def _maxima(self, embedded: Tensor) -> Tensor:
        """[B, L, H] -> [B, L, 5 H]: each filter's maximum up to each position."""
        embedded = self.dropout(embedded).transpose(1, 2)
        features = [
            conv(functional.pad(embedded, (width - 1, 0))).relu().cummax(-1).values
            for width, conv in zip(WIDTHS, self.convolutions, strict=True)
        ]
        return torch.cat(features, 1).transpose(1, 2)

    @property
    def flops_per_token(self) -> int:
        hidden = self.embedding.embedding_dim
        return 2 * hidden * hidden * sum(WIDTHS)

    @property
    def flops_per_verdict(self) -> int:
        return 2 * self.head.in_features * self.head.out_features
