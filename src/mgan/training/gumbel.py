"""The signal of Gumbel-softmax text GANs: D reads soft texts, and its gradient flows back through them.

D compares real and generated texts in pairs (Nie et al. 2019, eq. 11), each of its representations apart. The players'
gradients are made piece by piece: of D's activations only a piece's exist at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mgan.game.values import relativistic
from mgan.models.protocols import SoftDiscriminator
from mgan.sampling.soft import SoftBatch
from mgan.types import Batch

PIECE = 32
"""Texts of each kind that D judges at once."""


def teach_discriminator(discriminator: SoftDiscriminator, written: SoftBatch, real: Batch) -> float:
    """Adds the gradient of D's relativistic loss to D's weights; returns that loss, the mean over pairs.

    written, real: as many texts each. Nothing flows into the generator, even if ``written`` has its graph.
    """

    def loss(soft: Tensor, rows: Tensor) -> Tensor:
        return relativistic(_judged(discriminator, real, rows), discriminator.judge(soft, written.batch.mask[rows]))

    return _descend(written.embedded(discriminator.embedding.weight), loss)


def teach_generator(
    discriminator: SoftDiscriminator, written: SoftBatch, real: Batch, straight_through: bool = False
) -> float:
    """Adds the gradient of G's relativistic loss to the weights of the generator that wrote ``written``.

    written, real: as many texts each. Returns the loss, the mean over pairs. Nothing flows into D.
    """

    def loss(soft: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            other = _judged(discriminator, real, rows)
        return relativistic(discriminator.judge(soft, written.batch.mask[rows]), other)

    with _frozen(discriminator):
        return _descend(written.attached(discriminator.embedding.weight, straight_through), loss)


def _judged(discriminator: SoftDiscriminator, texts: Batch, rows: Tensor) -> Tensor:
    """[B', S]: the logits of some hard texts."""
    return discriminator.judge(discriminator.embedding(texts.tokens[rows]), texts.mask[rows])


def _descend(embedded: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The gradient of the mean loss over texts, piece by piece down to their embeddings, and from there in one.

    embedded: [B, L, E]. loss: some of them and which rows they are -> [B', S].
    """
    leaf = embedded.detach().requires_grad_()
    total = 0.0
    for rows in torch.split(torch.arange(len(leaf), device=leaf.device), PIECE):
        piece = loss(leaf[rows], rows).mean(1).sum() / len(leaf)
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
