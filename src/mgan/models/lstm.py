"""The classic pair: an LSTM that writes and an LSTM that judges every prefix (Yu et al. 2017; d'Autume et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mgan.game.signals import final
from mgan.models.latent import needed, noise_layer
from mgan.models.protocols import Player


@dataclass(frozen=True)
class LSTMState:
    """hidden, cell: [layers, B, H]."""

    hidden: Tensor
    cell: Tensor

    def select(self, index: Tensor) -> LSTMState:
        return LSTMState(self.hidden[:, index], self.cell[:, index])


def lstm_flops(hidden: int, layers: int) -> int:
    """Per token: four gates, each a product with the input and with the state."""
    return layers * 2 * 4 * hidden * 2 * hidden


class LSTMBody(nn.Module):
    """Embedding and LSTM: what the two players have in common, so that one can start from the other."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)

    def train(self, mode: bool = True) -> LSTMBody:
        super().train(mode)
        # cuDNN differentiates an LSTM in training mode only; without dropout that mode computes the same.
        self.lstm.training = True
        self.lstm.dropout = self.dropout.p if mode and self.lstm.num_layers > 1 else 0.0
        return self

    def forward(self, tokens: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """[B, T] -> [B, T, H] and the state after the last token."""
        return self.run(self.embedding(tokens), state)

    def run(self, embedded: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """The same of embedded tokens, [B, T, E]."""
        embedded = self.dropout(embedded)
        hidden, (h, c) = self.lstm(embedded, None if state is None else (state.hidden, state.cell))
        return self.dropout(hidden), LSTMState(h, c)

    def step(self, tokens: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """[B] -> [B, H] and the state after it, without dropout: one token costs less than a sequence of one."""
        x, hidden, cell = self.embedding(tokens), [], []
        for layer, weights in enumerate(self.lstm.all_weights):
            x, c = torch.lstm_cell(x, (state.hidden[layer], state.cell[layer]), *weights)
            hidden.append(x)
            cell.append(c)
        return x, LSTMState(torch.stack(hidden), torch.stack(cell))


class LSTMGenerator(nn.Module):
    """Embedding, LSTM, linear; ``tied`` shares the embedding with the output layer (Press & Wolf 2017).

    latent: size of the noise z, of which the initial state is a linear function; 0: none, the initial state is 0.
    """

    def __init__(
        self, vocabulary: int, hidden: int, layers: int = 1, dropout: float = 0.0, tied: bool = True, latent: int = 0
    ):
        super().__init__()
        self.body = LSTMBody(vocabulary, hidden, layers, dropout)
        self.output = nn.Linear(hidden, vocabulary)
        if tied:
            self.output.weight = self.body.embedding.weight
        self.noise = noise_layer(latent, 2 * layers * hidden, 0.5)

    def features(self, tokens: Tensor, latent: Tensor | None = None) -> Tensor:
        return self.body(tokens, None if self.noise is None else self.start(len(tokens), latent))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int, latent: Tensor | None = None) -> LSTMState:
        lstm = self.body.lstm
        if self.noise is not None:
            both = self.noise(needed(latent)).to(self.body.embedding.weight.dtype)
            hidden, cell = both.view(rows, 2, lstm.num_layers, lstm.hidden_size).permute(1, 2, 0, 3).contiguous()
            return LSTMState(hidden, cell)
        zeros = self.body.embedding.weight.new_zeros(lstm.num_layers, rows, lstm.hidden_size)
        return LSTMState(zeros, zeros)

    def state_size(self, length: int) -> int:
        return 2 * self.body.lstm.num_layers * self.body.lstm.hidden_size

    def read(self, tokens: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        if tokens.shape[1] == 1 and not self.training:
            return self.body.step(tokens[:, 0], state)
        hidden, state = self.body(tokens, state)
        return hidden[:, -1], state

    @property
    def flops_per_token(self) -> int:
        hidden, vocabulary = self.output.in_features, self.output.out_features
        return lstm_flops(hidden, self.body.lstm.num_layers) + 2 * hidden * vocabulary


class LSTMDiscriminator(nn.Module):
    """Embedding, LSTM and a linear head at every prefix; the head starts at zero, so the game starts undecided."""

    def __init__(self, vocabulary: int, hidden: int, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        self.body = LSTMBody(vocabulary, hidden, layers, dropout)
        self.head = nn.Linear(hidden, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(tokens)[0]).squeeze(-1)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.head(final(self.body(tokens)[0], mask)).squeeze(-1)

    @property
    def embedding(self) -> nn.Embedding:
        return self.body.embedding

    def represent(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return final(self.body.run(embedded)[0], mask)

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.represent(embedded, mask))

    @property
    def flops_per_token(self) -> int:
        return lstm_flops(self.head.in_features, self.body.lstm.num_layers)

    @property
    def flops_per_verdict(self) -> int:
        return 2 * self.head.in_features * self.head.out_features


def copy_where_shapes_agree(source: Player, target: Player) -> int:
    """Copy every tensor of ``source`` that has a namesake of the same shape in ``target``; returns how many."""
    theirs, ours = source.state_dict(), target.state_dict()
    shared = {k: v for k, v in theirs.items() if k in ours and ours[k].shape == v.shape}
    with torch.no_grad():
        for name, tensor in shared.items():
            ours[name].copy_(tensor)
    return len(shared)
