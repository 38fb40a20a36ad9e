"""A language model that judges: its logit of a text is the mean cross-entropy of the tokens (Xu et al. 2018).

Rare under D is good, so D learns to expect what the generator writes (``game.language``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mgan.game.language import CEILING, running_means
from mgan.game.signals import final
from mgan.models.logprobs import token_logprobs
from mgan.models.lstm import LSTMBody, lstm_flops

STEEPNESS = 10.0
"""Of the level in its weight: Adam moves a weight by about a learning rate an update, and the level has to find its
place among the cross-entropies within a hundred."""


class LanguageJudge(nn.Module):
    """An LSTM language model by the names of ``LSTMGenerator``, so that it can start from the generator's weights.

    From the cross-entropy it subtracts a level between 0 and CEILING, in the middle at first, the same for all texts: a
    loss that wants real above 0 and generated below can find it, and to what compares texts it means nothing.
    """

    def __init__(self, vocabulary: int, hidden: int, layers: int = 1, dropout: float = 0.0, tied: bool = True):
        super().__init__()
        self.body = LSTMBody(vocabulary, hidden, layers, dropout)
        self.output = nn.Linear(hidden, vocabulary)
        if tied:
            self.output.weight = self.body.embedding.weight
        self.level = nn.Parameter(torch.zeros(()))

    def features(self, tokens: Tensor) -> Tensor:
        return self.body(tokens)[0]

    def forward(self, tokens: Tensor) -> Tensor:
        read = torch.ones_like(tokens, dtype=torch.bool)
        read[:, 0] = False
        level = CEILING * (STEEPNESS * self.level).sigmoid()
        return running_means(token_logprobs(self, tokens, read)) - level  # type: ignore[arg-type]

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return final(self(tokens), mask)

    @property
    def flops_per_token(self) -> int:
        hidden, vocabulary = self.output.in_features, self.output.out_features
        return lstm_flops(hidden, self.body.lstm.num_layers) + 2 * hidden * vocabulary

    @property
    def flops_per_verdict(self) -> int:
        return 0
