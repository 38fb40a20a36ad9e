"""Penalties on a discriminator's slope (``game.penalties``) at whole texts, as terms of its loss.

A text is a row of one-hots over the tokens of the batch, [B, L, V']: at embeddings D could keep its slope and move the
embeddings apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mgan.game import penalties
from mgan.game.penalties import Score
from mgan.models.protocols import SoftDiscriminator
from mgan.types import Batch, pad_to

Penalty = Callable[[SoftDiscriminator, Batch, Batch], Tensor]
"""(discriminator, real, fake), as many texts of each, to a scalar: a mean over texts."""


def gradient(discriminator: SoftDiscriminator, real: Batch, fake: Batch) -> Tensor:
    """WGAN-GP's, between a real and a generated text; what lies between them is as long as the longer one."""
    width = max(real.tokens.shape[1], fake.tokens.shape[1])
    # What a row is filled up with is read only where the other row has text.
    real, fake = pad_to(real, width, 0), pad_to(fake, width, 0)
    distinct, ids = torch.unique(torch.stack([real.tokens, fake.tokens]), return_inverse=True)
    soft = one_hot(ids, len(distinct)).float()
    mix = torch.rand(len(real), device=soft.device)
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM has no gradient of second order
        score = _score(discriminator, distinct, real.mask | fake.mask)
        return penalties.gradient_penalty(score, soft[0], soft[1], mix)


def r1(discriminator: SoftDiscriminator, real: Batch, fake: Batch) -> Tensor:
    """At the real texts alone."""
    distinct, ids = torch.unique(real.tokens, return_inverse=True)
    with torch.backends.cudnn.flags(enabled=False):
        return penalties.r1(_score(discriminator, distinct, real.mask), one_hot(ids, len(distinct)).float())


PENALTIES: dict[str, Penalty] = {"gradient": gradient, "r1": r1}


def _score(discriminator: SoftDiscriminator, distinct: Tensor, mask: Tensor) -> Score:
    """Of soft texts over the tokens ``distinct``, [V']."""
    embeddings = discriminator.embedding(distinct)
    return lambda soft: discriminator.judge(soft @ embeddings, mask).mean(1)
