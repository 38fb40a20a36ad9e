"""What fitting and playing cost: floating-point operations, counted for both players, rollouts included."""

from __future__ import annotations

from dataclasses import dataclass

from mgan.models.protocols import Discriminator, LearnsInPart, Player


@dataclass
class Ledger:
    """Operations and generated tokens so far. An update pays for its padding: it is computed.

    A backward pass computes two gradients, each for as much as the forward pass (Kaplan et al. 2020, section 2.1): to
    the activations, through everything that lies above a weight that learns, and to the weights that learn. So an
    update costs 3 forward passes where all of a player learns; about 2 with LoRA, whose own weights are few; and 1 on
    frozen features, below which nothing learns, beside 3 of the network on them. Frozen features are charged for at
    every reading, also of real texts that the shelf keeps.
    """

    flops: float = 0.0
    tokens: int = 0

    def forward(self, player: Player, tokens: int) -> None:
        self.flops += player.flops_per_token * tokens

    def update(self, player: Player, tokens: int) -> None:
        self.flops += of_update(player) * tokens

    def judged(self, discriminator: Discriminator, tokens: int, verdicts: int) -> None:
        """``tokens`` read, and a logit computed of ``verdicts`` prefixes or texts."""
        self.flops += discriminator.flops_per_token * tokens + discriminator.flops_per_verdict * verdicts

    def taught(self, discriminator: Discriminator, tokens: int, verdicts: int) -> None:
        """An update on so many."""
        self.flops += of_update(discriminator) * tokens + 3 * discriminator.flops_per_verdict * verdicts

    def sampled(self, player: Player, tokens: int) -> None:
        self.forward(player, tokens)
        self.tokens += tokens


def of_update(player: Player) -> float:
    """Operations of an update on one token: a forward and a backward pass."""
    if isinstance(player, LearnsInPart):
        return (1 + player.backward_per_forward) * player.flops_per_token
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in player.parameters()]
    learns = sum(size for size, learning in sizes if learning)
    # To the activations, and to the share of the weights that learns.
    return (2 + learns / max(1, sum(size for size, _ in sizes))) * player.flops_per_token
