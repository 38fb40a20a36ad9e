"""What fitting and playing cost: floating-point operations, counted for both players, rollouts included."""

from __future__ import annotations

from dataclasses import dataclass

from mgan.models.protocols import Discriminator, Player


@dataclass
class Ledger:
    """Operations and generated tokens so far. An update pays for its padding: it is computed.

    A backward pass counts as two forward ones (Kaplan et al. 2020, section 2.1).
    """

    flops: float = 0.0
    tokens: int = 0

    def forward(self, player: Player, tokens: int) -> None:
        self.flops += player.flops_per_token * tokens

    def update(self, player: Player, tokens: int) -> None:
        self.flops += 3 * player.flops_per_token * tokens

    def judged(self, discriminator: Discriminator, tokens: int, verdicts: int) -> None:
        """``tokens`` read, and a logit computed of ``verdicts`` prefixes or texts."""
        self.flops += discriminator.flops_per_token * tokens + discriminator.flops_per_verdict * verdicts

    def taught(self, discriminator: Discriminator, tokens: int, verdicts: int) -> None:
        """An update on so many."""
        self.flops += 3 * (discriminator.flops_per_token * tokens + discriminator.flops_per_verdict * verdicts)

    def sampled(self, player: Player, tokens: int) -> None:
        self.forward(player, tokens)
        self.tokens += tokens
