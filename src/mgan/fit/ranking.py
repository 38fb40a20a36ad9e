"""Fitting a discriminator that ranks (game.loss=rank): one update, and the sets that it ranks with from then on."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.game.pairs import preference
from mgan.game.ranking import log_rank, ranking_loss, rivals
from mgan.models.ranking import REFERENCES, SHARPNESS, Ranker
from mgan.types import Batch


class RankUpdate:
    """One step up log R of real texts among generated ones, and down log R of generated texts among real ones.

    Of the real texts some, a quarter and ``REFERENCES`` at most, are the references; the others are ranked, and are
    what generated texts are ranked among, in the update and after it.
    """

    def __init__(self, discriminator: Ranker, *, learning_rate: float, clip: float, hardware: Hardware, ledger: Ledger):
        self.discriminator, self.clip = discriminator, clip
        self.hardware, self.ledger = hardware, ledger
        self.optimizer = adamw(discriminator, hardware, learning_rate, weight_decay=0.01)

    def __call__(self, real: Batch, fake: Batch) -> dict[str, float]:
        """Two real texts at least. Returns the loss in nats a text, and the share of pairs that D ranks right."""
        self.discriminator.train()
        self.optimizer.zero_grad()
        for batch in (real, fake):
            self.ledger.taught(self.discriminator, batch.tokens.numel(), len(batch))
        with self.hardware.autocast():
            theirs, ours = self._features(real).float(), self._features(fake).float()
        references, others = _apart(theirs)
        d_real = log_rank(others, references, rivals(ours, references, SHARPNESS), len(ours), SHARPNESS)
        d_fake = log_rank(ours, references, rivals(others, references, SHARPNESS), len(others), SHARPNESS)
        loss = ranking_loss(d_real, d_fake)
        self.hardware.backward(loss)
        self.hardware.clip(self.discriminator.parameters(), self.clip)
        self.optimizer.step()
        self._hold(real)
        right = preference(d_real.detach(), d_fake.detach().expand(len(d_real), -1))
        return {"d_loss": float(loss.detach()), "train_accuracy": right}

    @torch.no_grad()
    def _hold(self, real: Batch) -> None:
        """The head keeps what the new weights make of the real texts."""
        self.discriminator.eval()
        self.ledger.judged(self.discriminator, real.tokens.numel(), len(real))
        self.discriminator.head.hold(*_apart(self._features(real)))

    def _features(self, batch: Batch) -> Tensor:
        """[B, H]: what the head reads."""
        network = self.discriminator
        return network.dropout(network.represent(network.embedding(batch.tokens), batch.mask))


def _apart(real: Tensor) -> tuple[Tensor, Tensor]:
    """References and the rest, of features [B, H]."""
    count = min(REFERENCES, max(1, len(real) // 4))
    return real[:count], real[count:]
