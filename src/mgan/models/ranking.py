"""A discriminator that ranks texts: its features are compared with those of sets of texts (RankGAN; Lin et al. 2017).

Any network with a ``head`` over the features of whole texts becomes a ranker by another head. It holds what it has read
of the two sets, so that a text's verdict d = log((1 + C) R) costs no more than reading the text (``game.ranking``).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mgan.game.ranking import log_rank, rivals
from mgan.models.protocols import Represents

REFERENCES = 16
"""Real texts that every other is likened to; that of the authors' code."""
SHARPNESS = 1.0
"""The paper's gamma; that of the authors' code."""


class RankHead(nn.Module):
    """The verdict on a text's features. Before it has been shown any sets, the logit of a classifier: ``linear``'s."""

    references: Tensor
    against: Tensor
    count: Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear, self.in_features = linear, linear.in_features
        self.register_buffer("references", torch.zeros(REFERENCES, self.in_features))
        self.register_buffer("against", torch.zeros(REFERENCES))
        self.register_buffer("count", torch.zeros(()))

    @property
    def out_features(self) -> int:
        """As many products as there are references."""
        return REFERENCES

    def forward(self, features: Tensor) -> Tensor:
        """[..., H] -> [..., 1]."""
        if not self.count:
            return self.linear(features)
        return log_rank(features.float(), self.references, self.against, self.count, SHARPNESS)[..., None]

    @torch.no_grad()
    def hold(self, references: Tensor, comparison: Tensor) -> None:
        """What texts are ranked with from now on: features [U, H], U at most ``REFERENCES``, and [C, H].

        Fewer references are taken again and again.
        """
        index = torch.arange(REFERENCES, device=references.device) % len(references)
        self.references.copy_(references[index])
        self.against.copy_(rivals(comparison.float(), self.references, SHARPNESS))
        self.count.fill_(len(comparison))


class Ranker(Represents, Protocol):
    """A network of which ``head(dropout(represent(...)))`` is the verdict."""

    head: RankHead
    dropout: nn.Dropout


def rank_texts(network: Any) -> None:
    """Give the network, which has a linear head, one that ranks."""
    network.head = RankHead(network.head)
