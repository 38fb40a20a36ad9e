"""Fitting a discriminator of classes (game.loss=classes): one update."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.fit.classifier import balanced_accuracy, pieces
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.game.classes import class_loss, own_logit
from mgan.models.classes import ClassDiscriminator
from mgan.types import Batch


class ClassUpdate:
    """One step up E_real[log D_label] + E_G[log D_generated], on whole texts."""

    def __init__(
        self,
        discriminator: ClassDiscriminator,
        *,
        learning_rate: float,
        clip: float,
        hardware: Hardware,
        ledger: Ledger,
        micro_batches: int = 1,
    ):
        self.discriminator, self.clip = discriminator, clip
        self.hardware, self.ledger, self.micro_batches = hardware, ledger, micro_batches
        self.optimizer = adamw(discriminator, hardware, learning_rate, weight_decay=0.01)

    def __call__(self, real: Batch, fake: Batch) -> dict[str, float]:
        """Update on as many real texts as generated ones. The loss is that of a text, real and generated added.

        train_accuracy: as after other losses, of "real and of its label" against all else. label_accuracy: the share of
        real texts whose own label D holds for the likeliest one.
        """
        self.discriminator.train()
        self.optimizer.zero_grad()
        total, judged, called = 0.0, list[tuple[Tensor, Tensor]](), list[Tensor]()
        for r, f in zip(pieces(real, self.micro_batches), pieces(fake, self.micro_batches), strict=True):
            with self.hardware.autocast():
                (z_real, label), (z_fake, asked) = self._classes(r), self._classes(f)
            loss = class_loss(z_real, label, z_fake) / len(real)
            self.hardware.backward(loss)
            total += float(loss.detach())
            judged.append((own_logit(z_real.detach(), label), own_logit(z_fake.detach(), asked)))
            called.append(z_real.detach()[:, :-1].argmax(1) == label)
        self.hardware.clip(self.discriminator.parameters(), self.clip)
        self.optimizer.step()
        d_real, d_fake = (torch.cat(logits) for logits in zip(*judged, strict=True))
        return {
            "d_loss": total,
            "train_accuracy": balanced_accuracy(d_real, d_fake),
            "label_accuracy": float(torch.cat(called).float().mean()),
        }

    def _classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.ledger.taught(self.discriminator, batch.tokens.numel(), len(batch))
        logits, label = self.discriminator.classes(batch.tokens, batch.mask)
        return logits.float(), label
