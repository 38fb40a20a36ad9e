"""Several discriminators as one: the logit is the mean of theirs (Lakshminarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def polled(members: Iterable[Any], rows: int, ask: Callable[[Any, Tensor], Tensor], training: bool) -> Tensor:
    """[rows, ...]: the mean of what ``ask(member, index)`` gives for all rows.

    In training every row is one member's, drawn at random: each member has a loss of its own, on data of its own.
    """
    everything, members = torch.arange(rows), list(members)
    if len(members) == 1:
        return ask(members[0], everything)
    if not training:
        return torch.stack([ask(member, everything) for member in members]).mean(0)
    owner = torch.randint(len(members), (rows,))
    shares = [index for m in range(len(members)) if len(index := (owner == m).nonzero().squeeze(1))]
    answers = torch.cat([ask(members[int(owner[index[0]])], index) for index in shares])
    return answers[torch.cat(shares).argsort().to(answers.device)]


class Ensemble(nn.Module):
    """Whole discriminators side by side; memory, and time where they do not learn, times their number."""

    def __init__(self, members: Iterable[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, tokens: Tensor) -> Tensor:
        return polled(self.members, len(tokens), lambda judge, rows: judge(tokens[rows]), self.training)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        def ask(judge: Any, rows: Tensor) -> Tensor:
            return judge.verdict(tokens[rows], mask[rows])

        return polled(self.members, len(tokens), ask, self.training)

    @property
    def flops_per_token(self) -> int:
        return sum(member.flops_per_token for member in self._each())

    @property
    def flops_per_verdict(self) -> int:
        return sum(member.flops_per_verdict for member in self._each())

    def _each(self) -> list[Any]:
        return list(self.members)
