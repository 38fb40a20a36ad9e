"""What must hold where texts have blanks to be filled in (prompt.source=blanks)."""

from __future__ import annotations

from mgan.sections.game import Adversarial
from mgan.sections.players import Discriminator, Generator
from mgan.sections.text import ORACLE, Data, Prompt


def agree(data: Data, prompt: Prompt, generator: Generator, judge: Discriminator, loop: Adversarial) -> None:
    """Raises ValueError where blanks do not go with the rest."""
    if prompt.source != "blanks":
        return
    if data.path == ORACLE:
        raise ValueError("prompt.source=blanks: the tokens of data.path=oracle leave none for a blank")
    for name, player in (("generator", generator), ("discriminator", judge)):
        if player.pretrained is not None:
            raise ValueError(
                f"prompt.source=blanks has a token for a blank, which {name}.pretrained does not know: use one from "
                "scratch"
            )
    if loop.reward == "closed_form":
        raise ValueError(
            "adversarial.reward=closed_form knows how often a whole text occurs and not its pieces: use "
            "prompt.source=data"
        )
