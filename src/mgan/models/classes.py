"""A discriminator of classes: the text is real and of label j, for each of k labels, or it is generated.

It does not see the label that a text is said to have, but finds it in the text: all label tokens look alike to it. What
it says of a text is the logit of the text's own label against all other classes, d = log D_j / (1 - D_j): a text is
called real if it is real *and* of its label (SentiGAN; Wang & Wan 2018).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mgan.data.tokenizers import FIRST_LABEL
from mgan.game.classes import own_logit
from mgan.models.per_label import label_of
from mgan.models.protocols import SharesPrefixes


class ClassDiscriminator(nn.Module):
    """network: a discriminator with a linear ``head``, in whose place comes one of labels + 1 outputs, 0 at first."""

    def __init__(self, network: Any, labels: int):
        super().__init__()
        self.labels = labels
        head = nn.Linear(network.head.in_features, labels + 1)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        network.head = head
        self.network = network

    def classes(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, k + 1], the logits of a whole text's classes, the last one generated; and [B], its own label."""
        return self.network.verdict(self._unlabelled(tokens), mask), label_of(tokens, self.labels)

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] < 2:
            return self.network.head.weight.new_zeros(tokens.shape)
        label = label_of(tokens, self.labels)[:, None].expand_as(tokens)
        judged = own_logit(self.network(self._unlabelled(tokens)), label)
        # Whose label is not read yet has no class of its own.
        return nn.functional.pad(judged[:, 1:], (1, 0))

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return own_logit(*self.classes(tokens, mask))

    def verdict_of_rollouts(self, samples: Tensor, row: Tensor, given: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        if not isinstance(self.network, SharesPrefixes):
            return self.verdict(tokens, mask)
        hidden = (self._unlabelled(samples), row, given, self._unlabelled(tokens), mask)
        return own_logit(self.network.verdict_of_rollouts(*hidden), label_of(tokens, self.labels))

    def _unlabelled(self, tokens: Tensor) -> Tensor:
        labels = (tokens >= FIRST_LABEL) & (tokens < FIRST_LABEL + self.labels)
        return torch.where(labels, FIRST_LABEL, tokens)

    @property
    def flops_per_token(self) -> int:
        return self.network.flops_per_token

    @property
    def flops_per_verdict(self) -> int:
        return self.network.flops_per_verdict
