"""What must hold where the discriminator ranks texts (game.loss=rank)."""

from __future__ import annotations

from mgan.sections.game import Adversarial, Game
from mgan.sections.players import Discriminator

RANKS = ("cnn", "seqgan")
"""Discriminators whose features of whole texts can be ranked by."""


def agree(game: Game, judge: Discriminator, loop: Adversarial) -> None:
    """Raises ValueError where ranking does not go with the rest."""
    if game.loss != "rank":
        return
    if judge.architecture not in RANKS or game.penalty != "none":
        raise ValueError(
            f"game.loss=rank compares features of texts: it needs discriminator.architecture={' or '.join(RANKS)} and "
            "game.penalty=none"
        )
    if loop.micro_batches > 1 or loop.prompts_per_step * loop.samples_per_prompt < 2:
        raise ValueError(
            "game.loss=rank ranks each text among all others: it needs adversarial.micro_batches=1 and 2 texts or more "
            "an update"
        )
