"""Fitting a discriminator: one update, and a whole fit with the best weights kept by held-out loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.fit.smoothness import Penalty
from mgan.game.losses import Loss, binary
from mgan.game.signals import final
from mgan.models.protocols import Discriminator, SoftDiscriminator
from mgan.sections.values import EVERY_PREFIX
from mgan.types import Batch


def weights(mask: Tensor, signal: str) -> Tensor:
    """1 for every logit that D learns from: every prefix's, [B, L] (dense, prefix), or every whole text's, [B, 1]."""
    return mask.float() if signal in EVERY_PREFIX else torch.ones_like(mask[:, :1], dtype=torch.float)


def pieces(batch: Batch, count: int) -> list[Batch]:
    """The rows in ``count`` nearly equal parts."""
    index = torch.arange(len(batch), device=batch.tokens.device)
    return [batch.rows(part) for part in index.tensor_split(count) if len(part)]


@torch.no_grad()
def verdicts(discriminator: Discriminator, batch: Batch, chunk: int = 256) -> Tensor:
    """[B]: the logit of each whole text, in eval mode."""
    discriminator.eval()
    found = torch.empty(len(batch), device=batch.tokens.device)
    # Rows of like lengths together: little of a part is padding.
    order = batch.lengths.argsort()
    for start in range(0, len(batch), chunk):
        rows = order[start : start + chunk]
        part = batch.rows(rows)
        found[rows] = discriminator.verdict(part.tokens, part.mask).float()
    return found


def balanced_accuracy(real: Tensor, fake: Tensor) -> float:
    """Mean of the shares of real texts called real and of generated ones called generated; ties count half."""
    right = (real > 0).float().mean() + 0.5 * (real == 0).float().mean()
    caught = (fake < 0).float().mean() + 0.5 * (fake == 0).float().mean()
    return float(right + caught) / 2


class DiscriminatorUpdate:
    """One step down a loss of texts apart: by default up E_real[log D] + E_G[log(1 - D)].

    penalty: a term of the loss on the slope of whole texts' verdicts; its weight is in it.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        *,
        learning_rate: float,
        clip: float,
        signal: str,
        hardware: Hardware,
        ledger: Ledger,
        micro_batches: int = 1,
        loss: Loss = binary,
        penalty: Penalty | None = None,
    ):
        self.discriminator, self.clip, self.signal = discriminator, clip, signal
        self.loss, self.penalty = loss, penalty
        self.hardware, self.ledger, self.micro_batches = hardware, ledger, micro_batches
        self.optimizer = adamw(discriminator, hardware, learning_rate, weight_decay=0.01)

    def __call__(self, real: Batch, fake: Batch) -> dict[str, float]:
        """Update on as many real texts as generated ones. Losses are those of a prefix, real and generated added."""
        self.discriminator.train()
        self.optimizer.zero_grad()
        count = sum(int(weights(batch.mask, self.signal).sum()) for batch in (real, fake)) / 2
        total, steepness, real_logits, fake_logits = 0.0, 0.0, [], []
        parts = zip(pieces(real, self.micro_batches), pieces(fake, self.micro_batches), strict=True)
        for r, f in parts:
            with self.hardware.autocast():
                d_real, d_fake = self._logits(r), self._logits(f)
            loss = self.loss(d_real, weights(r.mask, self.signal), d_fake, weights(f.mask, self.signal)) / count
            total += float(loss.detach())
            if self.penalty is not None:
                penalty = self._penalty(r, f) * len(r) / len(real)
                loss, steepness = loss + penalty, steepness + float(penalty.detach())
            self.hardware.backward(loss)
            real_logits.append(self._whole(d_real, r))
            fake_logits.append(self._whole(d_fake, f))
        self.hardware.clip(self.discriminator.parameters(), self.clip)
        self.optimizer.step()
        x, g = torch.cat(real_logits), torch.cat(fake_logits)
        measured = {} if self.penalty is None else {"d_penalty": steepness}
        return {"d_loss": total, "train_accuracy": balanced_accuracy(x, g)} | measured

    def _penalty(self, real: Batch, fake: Batch) -> Tensor:
        """A reading with a gradient of second order costs about an update more of each text it is taken at."""
        assert self.penalty is not None
        self.ledger.taught(self.discriminator, real.tokens.numel(), len(real))
        return self.penalty(cast(SoftDiscriminator, self.discriminator), real, fake)

    def _logits(self, batch: Batch) -> Tensor:
        """What D learns from: the logit of every prefix, [B, L], or of every whole text, [B, 1]."""
        dense = self.signal in EVERY_PREFIX
        self.ledger.taught(self.discriminator, batch.tokens.numel(), batch.tokens.numel() if dense else len(batch))
        if dense:
            return self.discriminator(batch.tokens).float()
        return self.discriminator.verdict(batch.tokens, batch.mask).float()[:, None]

    def _whole(self, logits: Tensor, batch: Batch) -> Tensor:
        """[B]: each whole text's logit."""
        return final(logits.detach(), batch.mask) if self.signal in EVERY_PREFIX else logits.detach().squeeze(1)


@torch.no_grad()
def held_out_loss(discriminator: Discriminator, real: Batch, fake: Batch) -> float:
    """Mean classification loss of whole texts, nats, real and generated added; 2 log 2 is knowing nothing."""
    softplus = torch.nn.functional.softplus
    x, g = verdicts(discriminator, real), verdicts(discriminator, fake)
    return float(softplus(-x).mean() + softplus(g).mean())


def fit_discriminator(
    update: DiscriminatorUpdate,
    batch: Callable[[int], tuple[Batch, Batch]],
    held_out: tuple[Batch, Batch],
    *,
    steps: int,
    evaluate_every: int,
) -> float:
    """Train for ``steps`` updates, number n on ``batch(n)``: as many real texts as generated ones.

    The weights with the lowest held-out loss are kept, the starting ones among the candidates. Returns that loss.
    """
    discriminator = update.discriminator
    best_loss, best = math.inf, dict[str, Tensor]()
    for step in range(steps + 1):
        if step % evaluate_every == 0 or step == steps:
            loss = held_out_loss(discriminator, *held_out)
            if loss < best_loss:
                best_loss = loss
                best = {k: v.detach().clone() for k, v in discriminator.state_dict().items()}
        if step < steps:
            update(*batch(step))
    discriminator.load_state_dict(best)
    discriminator.eval()
    return best_loss
