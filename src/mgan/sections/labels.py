"""What must hold where texts have labels, and where players are made for them."""

from __future__ import annotations

from mgan.sections.game import Game
from mgan.sections.players import PRETRAINED_JUDGES, Discriminator, Generator
from mgan.sections.text import ORACLE, Data, Prompt

COPIED = ("lstm", "relational")
"""Generators that there may be one of for each label."""
CLASSIFIES = ("lstm", "cnn", "seqgan")
"""Discriminators whose last layer may tell more than two classes apart."""


def agree(data: Data, prompt: Prompt, game: Game, generator: Generator, judge: Discriminator) -> None:
    """Raises ValueError where labels do not go with the rest."""
    if prompt.source == "label" and data.path == ORACLE:
        raise ValueError("prompt.source=label: the texts of data.path=oracle have no labels")
    if prompt.source == "label" and judge.architecture in PRETRAINED_JUDGES:
        raise ValueError(
            f"prompt.source=label: discriminator.architecture={judge.architecture} reads text with a tokenizer of its "
            "own, and a label is no text: use a network from scratch, as discriminator.architecture=lstm"
        )
    asked = {"generator.per_label=true": generator.per_label, "game.loss=classes": game.loss == "classes"}
    for field in (field for field, wanted in asked.items() if wanted):
        if prompt.source != "label":
            raise ValueError(f"{field} is for texts with labels: set prompt.source=label")
        if generator.pretrained is not None:
            raise ValueError(f"{field} finds a label by its token, which a pretrained tokenizer lacks: use none")
    if generator.per_label and judge.from_generator:
        raise ValueError(
            "generator.per_label=true makes several networks, of which none is the discriminator's beginning: set "
            "discriminator.from_generator=false"
        )
    if generator.per_label and (generator.architecture not in COPIED or generator.tied or generator.latent):
        raise ValueError(
            f"generator.per_label=true needs generator.architecture={' or '.join(COPIED)}, generator.tied=false and "
            "generator.latent=0"
        )
    if game.loss != "classes":
        return
    if judge.architecture not in CLASSIFIES or judge.embedding_noise or game.penalty != "none":
        raise ValueError(
            f"game.loss=classes needs discriminator.architecture={' or '.join(CLASSIFIES)}, "
            "discriminator.embedding_noise=0 and game.penalty=none"
        )
    if game.signal not in ("sequence", "rollout"):
        raise ValueError(
            "game.loss=classes tells whole texts apart and not their beginnings: it needs game.signal=sequence or "
            "game.signal=rollout"
        )
