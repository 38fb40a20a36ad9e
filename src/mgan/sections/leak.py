"""What must hold where the generator reads the discriminator's features (generator.architecture=leakgan)."""

from __future__ import annotations

from mgan.sections.game import Game
from mgan.sections.players import Discriminator, Generator


def agree(game: Game, generator: Generator, judge: Discriminator, contest: str | None) -> None:
    """Raises ValueError where the leak does not go with the rest."""
    if generator.architecture != "leakgan" or generator.pretrained is not None:
        return
    needing = "generator.architecture=leakgan"
    if judge.architecture != "seqgan" or judge.hidden != generator.hidden:
        raise ValueError(
            f"{needing} holds a copy of the discriminator's convolutions and embeddings: it needs "
            f"discriminator.architecture=seqgan and discriminator.hidden={generator.hidden}, that of generator.hidden"
        )
    if judge.from_generator:
        raise ValueError(
            f"{needing} has the discriminator's own convolutions, and a fresh one must not begin with what another "
            "learned: set discriminator.from_generator=false"
        )
    if generator.tied:
        raise ValueError(f"{needing} has no table of embeddings to share: set generator.tied=false")
    if contest not in ("game", None) or game.signal == "gumbel" or game.loss == "classes" or generator.per_label:
        raise ValueError(
            f"{needing} learns from a discriminator of whole texts, by policy gradient: it needs adversarial.steps "
            "above 0 and no other opponent or reward, and neither game.signal=gumbel, game.loss=classes nor "
            "generator.per_label"
        )
    if game.kl and game.kl_estimator == "k1":
        raise ValueError(
            f"{needing} pays its manager by D's verdict alone: set game.kl=0, or game.kl_estimator=k2 or k3, which "
            "hold the worker near the pre-trained generator"
        )
