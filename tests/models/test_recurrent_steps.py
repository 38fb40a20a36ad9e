"""One token at a time, a recurrent network says what it says of the whole sequence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mgan.models.lstm import LSTMGenerator
from mgan.models.oracle import RecurrentOracle

VOCABULARY = 17
BUILD: dict[str, Any] = {
    "lstm": lambda layers: LSTMGenerator(VOCABULARY, 12, layers, dropout=0.3),
    "oracle lstm": lambda layers: RecurrentOracle(nn.LSTM, VOCABULARY, 12, layers),
    "oracle gru": lambda layers: RecurrentOracle(nn.GRU, VOCABULARY, 12, layers),
}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", sorted(BUILD))
@torch.no_grad()
def test_steps_are_the_sequence(kind: str, layers: int) -> None:
    torch.manual_seed(0)
    network = BUILD[kind](layers).eval()
    tokens = torch.randint(VOCABULARY, (5, 20))
    expected = network.features(tokens)
    feature, state = network.read(tokens[:, :3], network.start(5))
    for i in range(3, 20):
        assert torch.allclose(feature, expected[:, i - 1], atol=1e-6)
        before = state
        feature, state = network.read(tokens[:, i : i + 1], before)
    again, _ = network.read(tokens[:, 19:], before)
    assert torch.equal(again, feature), "a state is a value"
    assert torch.allclose(feature, expected[:, -1], atol=1e-6)
