"""One update of a discriminator that compares the real completion of a prompt with generated ones of the same."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.game.pairs import PairLoss, preference
from mgan.models.protocols import Discriminator
from mgan.types import Batch


class PairUpdate:
    """One step down the mean over prompts of a loss of whole texts (``game.pairs``)."""

    def __init__(
        self,
        discriminator: Discriminator,
        loss: PairLoss,
        *,
        learning_rate: float,
        clip: float,
        hardware: Hardware,
        ledger: Ledger,
        micro_batches: int = 1,
    ):
        self.discriminator, self.loss, self.clip = discriminator, loss, clip
        self.hardware, self.ledger, self.micro_batches = hardware, ledger, micro_batches
        self.optimizer = adamw(discriminator, hardware, learning_rate, weight_decay=0.01)

    def __call__(self, real: Batch, fake: Batch) -> dict[str, float]:
        """real: a text of each of P prompts. fake: N texts of each prompt, P * N rows in the same order.

        Returns the loss in nats a prompt, and the share of pairs that D had right before the update.
        """
        self.discriminator.train()
        self.optimizer.zero_grad()
        total, right = 0.0, 0.0
        prompts = torch.arange(len(real), device=real.tokens.device)
        completions = torch.arange(len(fake), device=real.tokens.device).view(len(real), -1)
        for part in prompts.tensor_split(min(self.micro_batches, len(real))):
            with self.hardware.autocast():
                d_real, d_fake = self._logits(real.rows(part)), self._logits(fake.rows(completions[part].flatten()))
            d_fake = d_fake.view(len(part), -1)
            loss = self.loss(d_real, d_fake).sum() / len(real)
            self.hardware.backward(loss)
            total += float(loss.detach())
            right += preference(d_real.detach(), d_fake.detach()) * len(part) / len(real)
        self.hardware.clip(self.discriminator.parameters(), self.clip)
        self.optimizer.step()
        return {"d_loss": total, "train_accuracy": right}

    def _logits(self, batch: Batch) -> Tensor:
        self.ledger.taught(self.discriminator, batch.tokens.numel(), len(batch))
        return self.discriminator.verdict(batch.tokens, batch.mask).float()
