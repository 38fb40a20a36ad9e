"""What must hold where the generator writes from latent noise (generator.latent)."""

from __future__ import annotations

from mgan.sections.players import Generator

FROM_NOISE = ("lstm", "relational", "transformer")
"""Generators with an input for z."""
NEED_DENSITY = ("self_play", "cooperative", "closed_form")
"""Contests in which the generator's own log P(x) of real or mixed text is the loss."""


def agree(generator: Generator, oracle: bool, contest: str | None) -> None:
    """Raises ValueError where noise does not go with the rest. oracle: the texts are an oracle's."""
    if not generator.latent:
        return
    if generator.pretrained is not None or generator.per_label or generator.architecture not in FROM_NOISE:
        raise ValueError(
            f"generator.latent is an input of generator.architecture={', '.join(FROM_NOISE[:-1])} or {FROM_NOISE[-1]}, "
            "from scratch and one for all texts: set generator.latent=0"
        )
    if contest in NEED_DENSITY:
        raise ValueError(
            "selfplay.iterations and mediator.steps learn from the generator's own log P(x), of which latent noise "
            "leaves only log P(x | z): set generator.latent=0"
        )
    if oracle:
        raise ValueError(
            "data.path=oracle measures exact divergences, which need log P(x), and latent noise leaves only "
            "log P(x | z): set generator.latent=0"
        )
