"""What must hold where the generator learns from every token's first-order worth (game.signal=taylor)."""

from __future__ import annotations

from typing import Any

from mgan.sections.game import Adversarial, Game
from mgan.sections.players import Discriminator, Generator

WRITES = ("lstm", "relational", "transformer")
"""Generators that write the tokens whose embeddings D reads."""
READS = ("lstm", "cnn", "seqgan", "relgan")
"""Discriminators with a gradient at the embeddings of a text."""
BASELINES = ("per_position", "leave_one_out", "none")
NEEDED: dict[str, Any] = {
    "game.policy": "gradient", "game.discount": 1.0, "game.reward_scale": "none", "game.length_penalty": 0.0,
    "adversarial.temperature": 1.0,
}  # fmt: skip


def agree(game: Game, generator: Generator, judge: Discriminator, loop: Adversarial) -> None:
    """Raises ValueError where the expansion does not go with the rest."""
    if game.signal != "taylor":
        return
    sections = {"game": game, "adversarial": loop}
    for name, value in NEEDED.items():
        section, _, field = name.partition(".")
        if getattr(sections[section], field) != value:
            raise ValueError(f"game.signal=taylor pays tokens what D's gradient says of them: it needs {name}={value}")
    if game.baseline not in BASELINES:
        raise ValueError(f"game.signal=taylor needs game.baseline={' or '.join(BASELINES)}, not {game.baseline}")
    if generator.pretrained is not None or generator.architecture not in WRITES:
        raise ValueError(
            f"game.signal=taylor needs generator.architecture={' or '.join(WRITES)}, from scratch: it looks at all "
            "pairs of tokens"
        )
    if judge.architecture not in READS:
        raise ValueError(
            "game.signal=taylor needs a discriminator that reads embeddings: "
            f"discriminator.architecture={' or '.join(READS)}, not {judge.architecture}"
        )
