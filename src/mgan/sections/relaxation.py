"""What must hold where the generator learns through relaxed texts (game.signal=gumbel)."""

from __future__ import annotations

from typing import Any

from mgan.sections.evaluation import Evaluation
from mgan.sections.game import Adversarial, Game
from mgan.sections.players import Discriminator, Generator

WRITES = ("lstm", "relational")
"""Generators whose state carries a gradient."""
READS = ("lstm", "cnn", "relgan")
"""Discriminators that read embeddings in place of tokens."""
SHOWS = ("lstm", "cnn")
"""Those that also show the features under their logit."""
LOSSES = ("binary", "least_squares", "hinge", "bradley_terry")
NEEDED: dict[str, Any] = {
    "game.baseline": "none", "game.kl": 0.0, "game.discount": 1.0, "game.reward_scale": "none",
    "game.length_penalty": 0.0, "game.policy": "gradient", "game.label_smoothing": 0.0, "game.penalty": "none",
    "adversarial.temperature": 1.0, "adversarial.micro_batches": 1, "adversarial.replay": 0,
    "adversarial.reward": "discriminator", "discriminator.embedding_noise": 0.0,
}  # fmt: skip


def agree(game: Game, generator: Generator, judge: Discriminator, loop: Adversarial, evaluation: Evaluation) -> None:
    """Raises ValueError where relaxed texts do not go with the rest."""
    if loop.offspring and (game.signal != "gumbel" or game.loss != "bradley_terry"):
        raise ValueError(
            "adversarial.offspring differ in how they descend a discriminator that compares texts: it needs "
            "game.signal=gumbel and game.loss=bradley_terry"
        )
    if game.signal != "gumbel":
        if game.value == "feature_matching":
            raise ValueError(
                "game.value=feature_matching is no payoff but a distance that is descended: it needs game.signal=gumbel"
            )
        return
    sections = {"game": game, "adversarial": loop, "discriminator": judge}
    wrong = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in NEEDED.items()
        if getattr(sections[name.partition(".")[0]], name.partition(".")[2]) != value
    ]
    if wrong:
        raise ValueError(
            "game.signal=gumbel pays no rewards: the generator follows D's gradient through a whole batch of fresh "
            f"texts, and that needs {', '.join(wrong)}"
        )
    if generator.pretrained is not None or generator.architecture not in WRITES:
        raise ValueError(
            "game.signal=gumbel needs a generator that is written through with a gradient: "
            f"generator.architecture={' or '.join(WRITES)}, from scratch"
        )
    judges = SHOWS if game.value == "feature_matching" else READS
    if judge.architecture not in judges:
        needing = "game.value=feature_matching" if judge.architecture in READS else "game.signal=gumbel"
        raise ValueError(
            f"{needing} needs a discriminator that reads embeddings{' and shows its features' * (judges is SHOWS)}: "
            f"discriminator.architecture={' or '.join(judges)}, not {judge.architecture}"
        )
    if game.loss not in LOSSES:
        raise ValueError(f"game.signal=gumbel needs game.loss={' or '.join(LOSSES)}, not {game.loss}")
    if game.loss == "bradley_terry" and game.value != "reverse_kl":
        raise ValueError(
            "game.signal=gumbel with game.loss=bradley_terry descends the mirror of D's loss, and nothing is paid: it "
            f"needs game.value=reverse_kl, not {game.value}"
        )
    if game.value == "feature_matching" and loop.prompts_per_step * loop.samples_per_prompt < 2:
        raise ValueError("game.value=feature_matching compares sets: it needs 2 texts or more an update")
    if set(evaluation.controls) - {"frozen"}:
        raise ValueError(
            "game.signal=gumbel pays no rewards that could be constant or random: its one control is "
            "evaluation.controls=[frozen]"
        )
