"""A generator for every label, as one generator (SentiGAN; Wang & Wan 2018, section 3.2).

A row's label is the token behind BOS (``tokenizers.FIRST_LABEL``). It names the network that reads the row, and no
other one does. The features of the k networks stand side by side, a row's are 0 but for those of its own, so that one
linear layer holds all k output layers:

    output(features) = sum_j [label = j] (W_j h_j + b_j)        a network's feature is h_j and a 1, which b_j weighs

Before the label is read nobody knows whose row it is: the feature there is 0, and what follows BOS, which is always
given, is not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.data.tokenizers import FIRST_LABEL


def label_of(tokens: Tensor, labels: int) -> Tensor:
    """[B] int64: each row's label, from 0 to labels - 1. tokens: [B, L], L at least 2."""
    return (tokens[:, 1] - FIRST_LABEL).clamp(0, labels - 1)


@dataclass(frozen=True)
class PerLabelState:
    """label: [B], None as long as it is not read. place: [B], where a row stands in its network's state.

    states: one a network, of its own rows. read: [B, T], the tokens that wait for their label, T = 0 or 1.
    """

    label: Tensor | None
    place: Tensor
    states: tuple[Any, ...]
    read: Tensor

    def select(self, index: Tensor) -> PerLabelState:
        if self.label is None:
            return PerLabelState(None, self.place, self.states, self.read[index])
        label, old = self.label[index], self.place[index]
        states = tuple(state.select(old[label == j]) for j, state in enumerate(self.states))
        return PerLabelState(label, _places(label, len(states)), states, self.read[index])


class PerLabelGenerator(nn.Module):
    """networks: one a label, of one size, each with an ``output`` layer that has a bias and shares no weights."""

    def __init__(self, networks: Sequence[Any]):
        super().__init__()
        layers = [network.output for network in networks]
        own = [torch.cat([layer.weight, layer.bias[:, None]], 1) for layer in layers]
        self.width, self.body_flops = own[0].shape[1], networks[0].flops_per_token - 2 * layers[0].weight.numel()
        self.output = nn.Linear(len(own) * self.width, len(own[0]), bias=False)
        with torch.no_grad():
            self.output.weight.copy_(torch.cat(own, 1))
        for network in networks:
            del network.output
        self.networks = nn.ModuleList(networks)

    def features(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] < 2:
            return self.output.weight.new_zeros(*tokens.shape, self.output.in_features)
        label = label_of(tokens, len(self.networks))
        known = self._side_by_side(label, [network.features(tokens[label == j]) for j, network in self._met(label)])
        return functional.pad(known[:, 1:], (0, 0, 1, 0))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> PerLabelState:
        nothing = torch.empty(rows, 0, dtype=torch.long, device=self.output.weight.device)
        return PerLabelState(None, nothing, (), nothing)

    def state_size(self, length: int) -> int:
        return self._each()[0].state_size(length) + 2

    def read(self, tokens: Tensor, state: PerLabelState) -> tuple[Tensor, PerLabelState]:
        if state.label is None:
            tokens = torch.cat([state.read, tokens], 1)
            if tokens.shape[1] < 2:
                return self.features(tokens)[:, -1], PerLabelState(None, tokens, (), tokens)
            state = self._begun(label_of(tokens, len(self.networks)), tokens[:, :0])
        label, states, found = state.label, list(state.states), list[Tensor]()
        assert label is not None
        for j, network in self._met(label):
            feature, states[j] = network.read(tokens[label == j], states[j])
            found.append(feature)
        return self._side_by_side(label, found), PerLabelState(label, state.place, tuple(states), state.read)

    def _begun(self, label: Tensor, nothing: Tensor) -> PerLabelState:
        states = tuple(network.start(int((label == j).sum())) for j, network in enumerate(self._each()))
        return PerLabelState(label, _places(label, len(states)), states, nothing)

    def _side_by_side(self, label: Tensor, found: list[Tensor]) -> Tensor:
        """[B, ..., k (H + 1)] of the features [B', ..., H] of each network that has rows, in order."""
        blocks, rest = [], iter(found)
        met = {j for j, _ in self._met(label)}
        for j in range(len(self.networks)):
            block = found[0].new_zeros(len(label), *found[0].shape[1:-1], self.width)
            if j in met:
                own = (label == j).nonzero().squeeze(1)
                block = block.index_copy(0, own, functional.pad(next(rest), (0, 1), value=1.0))
            blocks.append(block)
        return torch.cat(blocks, -1)

    def _met(self, label: Tensor) -> list[tuple[int, Any]]:
        """The networks that have rows."""
        present = set(label.tolist())
        return [(j, network) for j, network in enumerate(self._each()) if j in present]

    def _each(self) -> list[Any]:
        return list(self.networks)

    @property
    def flops_per_token(self) -> int:
        return self.body_flops + 2 * self.output.weight.numel()


def _places(label: Tensor, labels: int) -> Tensor:
    """[B]: how many rows before it have a row's label."""
    one_hot = functional.one_hot(label, labels)
    return (one_hot.cumsum(0) * one_hot).sum(1) - 1
