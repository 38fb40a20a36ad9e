"""The value head: what a text will still earn, told from the text so far by a linear function of G's features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgan.fit.compute import Ledger
from mgan.models.latent import given
from mgan.models.protocols import Generator
from mgan.types import Batch

REMEMBERED = 0.9
"""What a return of a round ago counts, compared with one of now: G's features move."""
RIDGE = 1e-3
"""Weight decay, as a share of each feature's mean square: whatever its unit."""


class Critic:
    """V(prefix) = w · (features of the prefix, 1), fitted by least squares to the returns of all rounds so far.

    G's features are only read: nothing flows into G. Without a learning rate, and of use from the second round on.
    V is 0 before the first.
    """

    def __init__(self, generator: Generator, ledger: Ledger):
        self.generator, self.ledger = generator, ledger
        width = generator.output.in_features + 1
        # On the CPU and exact: sums over many rounds, and a system of equations.
        self.moments = torch.zeros(width, width + 1, dtype=torch.float64)
        self.weights = torch.zeros(width, dtype=torch.float64)

    @torch.no_grad()
    def features(self, samples: Batch, micro_batches: int = 1) -> Tensor:
        """[N, H + 1]: of the text before each of the N masked positions."""
        self.generator.eval()
        self.ledger.forward(self.generator, samples.tokens.numel())
        index = torch.arange(len(samples), device=samples.tokens.device)
        found = [
            given(self.generator, samples, rows).features(samples.tokens[rows, :-1])[samples.mask[rows, 1:]]
            for rows in index.tensor_split(min(micro_batches, len(samples)))
        ]
        return torch.nn.functional.pad(torch.cat(found).float(), (0, 1), value=1.0)

    def values(self, features: Tensor, mask: Tensor) -> Tensor:
        """[B, L]: the return expected before each masked position is chosen, 0 off the mask. features: [N, H + 1]."""
        values = features @ self.weights.to(features)
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    def learn(self, features: Tensor, returns: Tensor) -> None:
        """features: [N, H + 1]. returns: [N], what the texts went on to earn."""
        rows = torch.cat([features, returns[:, None]], 1)
        self.moments = REMEMBERED * self.moments + (features.t() @ rows).cpu().double()
        gram, moment = self.moments[:, :-1], self.moments[:, -1]
        ridge = (RIDGE * gram.diagonal()).clamp(min=1e-12)
        self.weights = torch.linalg.solve(gram + ridge.diag(), moment)

    def state_dict(self) -> dict[str, Any]:
        return {"moments": self.moments, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.moments, self.weights = state["moments"].cpu(), state["weights"].cpu()


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(return - V) / Var(return): 1 is foreseeing all, 0 nothing. values, returns: [N]."""
    return float(1 - (returns - values).var(correction=0) / returns.var(correction=0).clamp(min=1e-12))
