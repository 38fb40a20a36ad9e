"""Which value functions, discriminators and regularisers go together."""

from __future__ import annotations

from mgan.sections.game import Adversarial, Game
from mgan.sections.players import Discriminator

EVERY_PREFIX = ("dense", "prefix")
"""Signals for which D learns to judge every prefix, and not the whole text alone."""
OF_THE_LOGIT = (
    "reverse_kl", "minimax", "nonsaturating", "kl", "js", "probability", "signed_probability", "penalty",
)  # fmt: skip
"""Payoffs of a logit d = log D/(1-D)."""
PAYS = {
    "binary": (*OF_THE_LOGIT, "feature_matching"),
    "classes": OF_THE_LOGIT,
    "least_squares": ("critic", "least_squares"),
    "hinge": ("critic",),
    "wasserstein": ("critic",),
    "relativistic_average": ("relativistic_average",),
    "rank": ("critic", "kl"),
    "bradley_terry": ("reverse_kl",),
    "contrastive": ("reverse_kl",),
}
"""What G may be paid after each loss of D: another loss gives the logit d another meaning."""
PAIRS = ("bradley_terry", "contrastive")
"""Losses that compare the texts of one prompt."""
WITHOUT_LEVEL = ("wasserstein", "relativistic_average", "rank")
"""Losses on texts apart in which only differences of logits count: d = 0 divides nothing."""
NORMALISED = ("cnn", "seqgan", "relgan")
"""Discriminators whose every layer is linear or a convolution: spectral normalisation bounds their slope."""
SMOOTHED = ("lstm", "cnn", "seqgan")
"""Discriminators whose verdict on soft texts has a gradient of second order."""
BOUNDED = "language_model"
"""The discriminator whose logit is a mean of bounded words: means of it are compared on every prefix, without end."""


def agree(game: Game, judge: Discriminator, loop: Adversarial) -> None:
    """Raises ValueError where the value function, D's network and its regularisers do not go together."""
    words = judge.architecture == BOUNDED
    if words and (game.loss != "wasserstein" or game.penalty != "none" or game.signal == "gumbel"):
        raise ValueError(
            f"discriminator.architecture={BOUNDED} says how surprising a text is, in nats, and reads tokens: it needs "
            "game.loss=wasserstein, game.value=critic, game.penalty=none and another signal than gumbel"
        )
    if game.loss in (*PAIRS, *WITHOUT_LEVEL) and game.signal in EVERY_PREFIX and not words:
        raise ValueError(
            f"game.loss={game.loss} compares whole texts and teaches nothing about their beginnings: it needs "
            "game.signal=sequence, game.signal=rollout or game.signal=taylor"
        )
    if game.value not in (allowed := PAYS[game.loss]):
        raise ValueError(
            f"game.loss={game.loss} gives the logit d another meaning than game.value={game.value} pays for: use "
            f"game.value={' or '.join(allowed)}"
        )
    if game.label_smoothing and game.loss != "binary":
        raise ValueError(f"game.label_smoothing needs game.loss=binary, not {game.loss}")
    if game.penalty != "none" and (game.loss in PAIRS or judge.architecture not in SMOOTHED):
        raise ValueError(
            f"game.penalty={game.penalty} needs a network with a second derivative and texts that are judged apart: "
            f"set discriminator.architecture={' or '.join(SMOOTHED)}, and another game.loss than {' and '.join(PAIRS)}"
        )
    if judge.spectral_norm and judge.architecture not in NORMALISED:
        raise ValueError(
            "discriminator.spectral_norm bounds linear layers and convolutions: it needs "
            f"discriminator.architecture={' or '.join(NORMALISED)}, not {judge.architecture}"
        )
    if judge.embedding_noise and judge.pretrained is not None:
        raise ValueError("discriminator.embedding_noise is for networks from scratch: set it to 0")
    if game.loss == "wasserstein" and game.penalty != "gradient" and not judge.spectral_norm and not words:
        raise ValueError(
            "game.loss=wasserstein needs a bound on the slope of D: game.penalty=gradient or "
            f"discriminator.spectral_norm=true; or one on D itself: discriminator.architecture={BOUNDED}"
        )
    if judge.embedding_noise and game.signal == "gumbel":
        raise ValueError("discriminator.embedding_noise is on hard texts alone: with game.signal=gumbel set it to 0")
    if game.loss == "relativistic_average" and loop.micro_batches > 1:
        raise ValueError(
            "game.loss=relativistic_average compares each text with the mean of all others: it needs "
            "adversarial.micro_batches=1"
        )
