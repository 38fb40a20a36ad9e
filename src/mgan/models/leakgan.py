"""LeakGAN's generator: a manager that reads the discriminator's features, and a worker that writes (Guo et al. 2018).

    f_t = what the discriminator's convolutions make of the first t tokens         leaked: a copy, which does not learn
    g_t = normalised Linear(LSTM(f_t))                                             the manager's goal
    w_t = normalised psi(g_t + ... + g_{t-c+1})                                    psi linear without bias
    O_t = reshape(Linear(h_t)) [V, k],  h_t = LSTM(x_t)                            the worker
    P(x_{t+1} | x_1 .. x_t) = softmax(O_t w_t)

O_t w_t is linear in the outer product of (h_t, 1) and w_t, with the weight and bias of O_t as its weights: that product
is the feature [(H + 1) k] that the protocol asks for, and its output layer is the paper's O_t w_t exactly.

Goals reach the worker as constants: each part learns by a loss of its own (``game/goals.py``), as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.models.lstm import LSTMBody, LSTMState, lstm_flops
from mgan.models.protocols import Player
from mgan.models.seqgan import FEATURES, FILTERS, WIDTHS

GOAL = 16
"""k, the width of w_t: the paper's."""
HORIZON = 4
"""c, the tokens that a goal is made for: the paper's."""


@dataclass(frozen=True)
class Leak:
    """window: [B, E, max(WIDTHS) - 1], the last embeddings. maxima: [B, F]. length: tokens read, of all rows."""

    window: Tensor
    maxima: Tensor
    length: int


@dataclass(frozen=True)
class LeakGANState:
    """past: [B, c - 1, k], the last goals as psi shows them, of which w is the sum."""

    leak: Leak
    manager: LSTMState
    past: Tensor
    worker: LSTMState

    def select(self, index: Tensor) -> LeakGANState:
        leak = Leak(self.leak.window[index], self.leak.maxima[index], self.leak.length)
        return LeakGANState(leak, self.manager.select(index), self.past[index], self.worker.select(index))


class Manager(nn.Module):
    """From features to goals of length 1."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.goal = nn.Linear(hidden, features)

    def train(self, mode: bool = True) -> Manager:
        super().train(mode)
        # cuDNN differentiates an LSTM in training mode only; without dropout that mode computes the same.
        self.lstm.training = True
        return self

    def forward(self, features: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """[B, T, F] -> goals [B, T, F] and the state after the last."""
        hidden, (h, c) = self.lstm(features, None if state is None else (state.hidden, state.cell))
        return functional.normalize(self.goal(hidden), dim=-1), LSTMState(h, c)

    @property
    def flops_per_token(self) -> int:
        width, hidden = self.goal.out_features, self.goal.in_features
        return 2 * 4 * hidden * (width + hidden) + 2 * hidden * width


class LeakGANGenerator(nn.Module):
    """The leaked copy (``embedding``, ``convolutions``: named as in SeqGAN's discriminator), manager and worker.

    hidden: H of both LSTMs, and the width of the discriminator's embeddings.
    """

    horizon = HORIZON

    def __init__(self, vocabulary: int, hidden: int, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden, filters, width) for width, filters in zip(WIDTHS, FILTERS, strict=True)
        )
        for parameter in self._leaked():
            parameter.requires_grad_(False)
        self.manager = Manager(FEATURES, hidden)
        self.worker = LSTMBody(vocabulary, hidden, layers, dropout)
        self.psi = nn.Linear(FEATURES, GOAL, bias=False)
        self.output = nn.Linear((hidden + 1) * GOAL, vocabulary, bias=False)

    @torch.no_grad()
    def leak(self, discriminator: Player) -> None:
        """Take over the discriminator's convolutions as they are now."""
        source: Any = discriminator
        self.embedding.weight.copy_(source.embedding.weight)
        for ours, theirs in zip(self.convolutions, source.convolutions, strict=True):
            assert isinstance(ours, nn.Conv1d) and ours.bias is not None
            ours.weight.copy_(theirs.weight)
            ours.bias.copy_(theirs.bias)

    def guidance(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L] -> features f [B, L, F], constants, and the manager's goals g [B, L, F]."""
        features, _ = self._see(tokens, self._unseen(len(tokens)))
        return features, self.manager(features)[0]

    def features(self, tokens: Tensor) -> Tensor:
        return self._read(tokens, self.start(len(tokens)))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> LeakGANState:
        past = self.output.weight.new_zeros(rows, self.horizon - 1, GOAL)
        return LeakGANState(
            self._unseen(rows), self._silent(self.manager.lstm, rows), past, self._silent(self.worker.lstm, rows)
        )

    def state_size(self, length: int) -> int:
        hidden, window = self.worker.lstm.hidden_size, self.embedding.embedding_dim * (max(WIDTHS) - 1)
        return window + FEATURES + (self.horizon - 1) * GOAL + 2 * hidden * (1 + self.worker.lstm.num_layers)

    def read(self, tokens: Tensor, state: LeakGANState) -> tuple[Tensor, LeakGANState]:
        features, state = self._read(tokens, state)
        return features[:, -1], state

    def _read(self, tokens: Tensor, state: LeakGANState) -> tuple[Tensor, LeakGANState]:
        """[B, T] -> [B, T, (H + 1) k] and the state after the last token."""
        with torch.no_grad():
            features, leak = self._see(tokens, state.leak)
            goals, manager = self.manager(features, state.manager)
        shown = torch.cat([state.past, self.psi(goals)], 1)
        recent = functional.normalize(shown.unfold(1, self.horizon, 1).sum(-1), dim=-1)
        hidden, worker = self.worker(tokens, state.worker)
        product = functional.pad(hidden, (0, 1), value=1.0)[..., None] * recent[..., None, :]
        return product.flatten(2), LeakGANState(leak, manager, shown[:, 1 - self.horizon :], worker)

    def _see(self, tokens: Tensor, leak: Leak) -> tuple[Tensor, Leak]:
        """[B, T] -> [B, T, F]: each filter's maximum over the windows up to each token, as the discriminator has it."""
        widest, count = max(WIDTHS), tokens.shape[1]
        embedded = torch.cat([leak.window, self.embedding(tokens).transpose(1, 2)], 2)
        position = leak.length + torch.arange(count, device=tokens.device)
        found = [
            _convolve(conv, embedded[:, :, widest - width :]).relu_().masked_fill_(position < width, 0.0)
            for width, conv in zip(WIDTHS, self.convolutions, strict=True)
        ]
        maxima = torch.maximum(_running_maximum(torch.cat(found, 1)), leak.maxima[..., None])
        seen = Leak(embedded[:, :, 1 - widest :], maxima[..., -1], leak.length + count)
        return maxima.transpose(1, 2), seen

    def _unseen(self, rows: int) -> Leak:
        zeros = self.output.weight.new_zeros
        return Leak(zeros(rows, self.embedding.embedding_dim, max(WIDTHS) - 1), zeros(rows, FEATURES), 0)

    def _silent(self, lstm: nn.LSTM, rows: int) -> LSTMState:
        zeros = self.output.weight.new_zeros(lstm.num_layers, rows, lstm.hidden_size)
        return LSTMState(zeros, zeros)

    def _leaked(self) -> Iterator[nn.Parameter]:
        return chain(self.embedding.parameters(), self.convolutions.parameters())

    @property
    def _seeing(self) -> int:
        windows = sum(width * filters for width, filters in zip(WIDTHS, FILTERS, strict=True))
        return 2 * self.embedding.embedding_dim * windows

    @property
    def _writing(self) -> int:
        body = lstm_flops(self.worker.lstm.hidden_size, self.worker.lstm.num_layers)
        return body + 2 * self.psi.weight.numel() + 2 * self.output.weight.numel()

    @property
    def flops_per_guidance(self) -> int:
        """Operations of ``guidance`` over one token."""
        return self._seeing + self.manager.flops_per_token

    @property
    def flops_per_token(self) -> int:
        return self.flops_per_guidance + self._writing

    @property
    def backward_per_forward(self) -> float:
        """Of an update of both parts: the worker's, and the manager's, for which the text is looked at once more."""
        update = 2 * self._writing + self.flops_per_guidance + 2 * self.manager.flops_per_token
        return update / self.flops_per_token


def _running_maximum(values: Tensor) -> Tensor:
    """[B, F, T] -> [B, F, T], of values that are 0 or more; without a gradient faster than ``cummax``."""
    reach = 1
    while reach < values.shape[2]:
        values = torch.maximum(values, functional.pad(values[..., :-reach], (reach, 0)))
        reach *= 2
    return values


def _convolve(conv: nn.Module, embedded: Tensor) -> Tensor:
    """[B, E, T + width - 1] -> [B, filters, T]; one window is a product."""
    assert isinstance(conv, nn.Conv1d)
    if embedded.shape[2] > conv.kernel_size[0]:
        return conv(embedded)
    return functional.linear(embedded.flatten(1), conv.weight.flatten(1), conv.bias)[..., None]
