"""The penalties on whole texts against a critic whose slope is known, and label smoothing in an update."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mgan.fit.smoothness import PENALTIES
from mgan.types import Batch

VOCABULARY, WIDTH = 6, 3


class Linear(nn.Module):
    """The sum over a text of a linear function of its embeddings."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.direction = nn.Parameter(torch.randn(WIDTH))

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return ((embedded @ self.direction) * mask).sum(1, keepdim=True)

    def slope(self, tokens: Tensor, positions: int) -> Tensor:
        """Over one-hots of these tokens, of a text of so many positions that are judged."""
        return ((self.embedding.weight[tokens] @ self.direction) ** 2).sum().mul(positions).sqrt()


def batch(rows: list[list[int]], lengths: list[int]) -> Batch:
    tokens = torch.tensor(rows)
    mask = torch.arange(tokens.shape[1]) < torch.tensor(lengths)[:, None]
    return Batch(tokens, mask & (torch.arange(tokens.shape[1]) > 0), torch.ones(len(rows), dtype=torch.long))


REAL = batch([[0, 1, 2, 3], [0, 2, 1, 5]], [4, 3])
FAKE = batch([[0, 3, 3], [0, 1, 2]], [2, 3])


@pytest.mark.parametrize(
    ("name", "tokens", "positions"), [("gradient", [0, 1, 2, 3, 5], (3, 2)), ("r1", [0, 1, 2, 3, 5], (3, 2))]
)
def test_the_penalty_of_a_linear_critic(name: str, tokens: list[int], positions: tuple[int, int]) -> None:
    critic: Any = Linear()
    slopes = torch.stack([critic.slope(torch.tensor(tokens), count) for count in positions])
    expected = ((slopes - 1) ** 2).mean() if name == "gradient" else (slopes**2).mean() / 2
    found = PENALTIES[name](critic, REAL, FAKE)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    ours, theirs = (torch.autograd.grad(value, list(critic.parameters())) for value in (found, expected))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))
    assert float(ours[0].abs().sum()) > 0, "embeddings cannot move apart for nothing"
