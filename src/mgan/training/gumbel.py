"""The gradients of Gumbel-softmax text GANs: D reads soft texts, and its gradient flows back through them.

D judges real and generated texts by its logits, each of its representations apart (Nie et al. 2019, eq. 11), or shows
the features they are made of (Zhang et al. 2017). The players' gradients are made piece by piece: of D's activations
only a piece's exist at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mgan.game.features import around, mmd2
from mgan.game.values import relativistic
from mgan.models.protocols import Represents, SoftDiscriminator
from mgan.sampling.soft import SoftBatch
from mgan.types import Batch

PIECE = 32
"""Texts of each kind that D judges at once."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(the player's own texts' logits, the other's), [B', S] each, in pairs -> the loss of each, or their sum.

D's own texts are the real ones, G's the generated ones.
"""


def teach_discriminator(
    discriminator: SoftDiscriminator, written: SoftBatch, real: Batch, loss: Loss = relativistic
) -> float:
    """Adds the gradient of D's loss to D's weights; returns that loss, the mean over texts and representations.

    written, real: as many texts each. Nothing flows into the generator, even if ``written`` has its graph.
    """

    def of(soft: Tensor, rows: Tensor) -> Tensor:
        judged = discriminator.judge(soft, written.batch.mask[rows])
        return loss(_judged(discriminator, real, rows), judged).sum() / (len(real) * judged.shape[1])

    return _descend(written.embedded(discriminator.embedding.weight), of, PIECE)


def teach_generator(
    discriminator: SoftDiscriminator,
    written: SoftBatch,
    real: Batch,
    straight_through: bool = False,
    loss: Loss = relativistic,
) -> float:
    """Adds the gradient of G's loss to the weights of the generator that wrote ``written``.

    written, real: as many texts each. Returns the loss, the mean over texts. Nothing flows into D.
    """

    def of(soft: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            other = _judged(discriminator, real, rows)
        return loss(discriminator.judge(soft, written.batch.mask[rows]), other).sum() / (len(real) * other.shape[1])

    with _frozen(discriminator):
        return _descend(written.attached(discriminator.embedding.weight, straight_through), of, PIECE)


def match_features(discriminator: Represents, written: SoftBatch, real: Batch, straight_through: bool = False) -> float:
    """As ``teach_generator``, but the loss is the squared MMD of what D's last layer reads of the texts.

    A distance of two sets of texts, so there is one piece. written, real: two texts each or more.
    """
    with torch.no_grad():
        aim = discriminator.represent(discriminator.embedding(real.tokens), real.mask)

    def of(soft: Tensor, rows: Tensor) -> Tensor:
        return mmd2(aim, discriminator.represent(soft, written.batch.mask), around(aim))

    with _frozen(discriminator):
        return _descend(written.attached(discriminator.embedding.weight, straight_through), of, len(written.batch))


def _judged(discriminator: SoftDiscriminator, texts: Batch, rows: Tensor) -> Tensor:
    """[B', S]: the logits of some hard texts."""
    return discriminator.judge(discriminator.embedding(texts.tokens[rows]), texts.mask[rows])


def _descend(embedded: Tensor, loss: Callable[[Tensor, Tensor], Tensor], size: int) -> float:
    """The gradient of a loss of all texts, piece by piece down to their embeddings, and from there in one.

    embedded: [B, L, E]. loss: some of them and which rows they are -> their part of the loss.
    """
    leaf = embedded.detach().requires_grad_()
    total = 0.0
    for rows in torch.split(torch.arange(len(leaf), device=leaf.device), size):
        piece = loss(leaf[rows], rows)
        piece.backward()  # type: ignore[no-untyped-call]
        total += float(piece.detach())
    embedded.backward(leaf.grad)  # type: ignore[no-untyped-call]
    return total


@contextmanager
def _frozen(player: SoftDiscriminator) -> Iterator[None]:
    """No gradient is computed for the player's weights."""
    learning: list[nn.Parameter] = [p for p in player.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
