"""A generator so small that every text is a row: expectations are exact sums."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

BOS, A, B, EOS, PAD = range(5)
LONGEST = 2


@dataclass(frozen=True)
class Tiny:
    """Every text of A and B of at most LONGEST tokens, EOS included: 7 of them.

    tokens, mask: [T, 1 + LONGEST]. before: [T, 1 + LONGEST], the row of a generator's table that chose each token: its
    whole prefix. A generator is a table [rows, 3] of logits of A, B and EOS. Everything in float64.
    """

    tokens: Tensor
    mask: Tensor
    before: Tensor

    @property
    def prompt_length(self) -> Tensor:
        return torch.ones(len(self.tokens), dtype=torch.long)

    def table(self, seed: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return torch.randn(int(self.before.max()) + 1, 3, dtype=torch.float64, generator=source)

    def logprobs(self, table: Tensor) -> Tensor:
        """[T, 1 + LONGEST]: of each token, 0 off the mask."""
        chosen = table.log_softmax(-1)[self.before, (self.tokens - 1).clamp(0, 2)]
        return torch.where(self.mask, chosen, 0.0)

    def probability(self, table: Tensor) -> Tensor:
        """[T]."""
        return self.logprobs(table).sum(1).exp()

    def reached(self, table: Tensor) -> Tensor:
        """[rows]: the probability of each prefix."""
        weight = self.probability(table)[:, None] * self.mask
        # Every token has one prefix; each text with that prefix adds its probability once.
        return weight.new_zeros(len(table)).index_add(0, self.before[self.mask], weight[self.mask])

    def expected(self, table: Tensor, per_token: Tensor) -> Tensor:
        """The exact expectation under fixed probabilities of sums over tokens. per_token: [T, 1 + LONGEST]."""
        return (self.probability(table).detach()[:, None] * torch.where(self.mask, per_token, 0.0)).sum()

    def groups(self, table: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Every way to draw ``rows`` texts: which text, which group, and the group's probability, [G * rows] each."""
        draws = torch.cartesian_prod(*[torch.arange(len(self.tokens))] * rows)
        chance = self.probability(table).detach()[draws].prod(1).repeat_interleave(rows)
        return draws.flatten(), torch.arange(len(draws)).repeat_interleave(rows), chance


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    texts = [(*body, EOS) for n in range(LONGEST) for body in itertools.product((A, B), repeat=n)]
    texts += list(itertools.product((A, B), repeat=LONGEST))
    tokens = torch.full((len(texts), 1 + LONGEST), PAD)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    before = torch.zeros_like(tokens)
    prefixes: dict[tuple[int, ...], int] = {}
    for i, text in enumerate(texts):
        tokens[i, : 1 + len(text)] = torch.tensor([BOS, *text])
        mask[i, 1 : 1 + len(text)] = True
        for n in range(len(text)):
            before[i, 1 + n] = prefixes.setdefault(text[:n], len(prefixes))
    return Tiny(tokens, mask, before)
