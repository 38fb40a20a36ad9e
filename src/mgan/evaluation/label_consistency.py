"""Whether texts are of the label they were asked for, by a classifier fitted to real training texts.

Label consistency is the share of samples that it assigns to the label each was asked for: in [0, 1], more is better.
Its accuracy on held-out real texts stands beside: that is what texts of the real distribution get. A generator that
writes one typical text of each label gets 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mgan.data.rows import Batches, Rows
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.models.classes import ClassDiscriminator
from mgan.models.cnn import CNNDiscriminator
from mgan.types import Batch

HIDDEN, DROPOUT, RATE, TEXTS = 64, 0.3, 3e-3, 64
HELD = 1000
"""Held-out rows, at most, that the classifier is chosen and measured by."""
CHUNK = 256


LUCK = 0.05
"""How probable what a classifier got right may be by luck, at most, if it is to count as telling labels."""


@dataclass(frozen=True)
class Found:
    """Of some texts: how many have each label, [k], and how many of those the classifier assigns to it, [k]."""

    asked: tuple[int, ...]
    right: tuple[int, ...]

    @property
    def share(self) -> float:
        return sum(self.right) / sum(self.asked)

    def of(self, label: int) -> float | None:
        """The share of a label's own texts; None if there are none."""
        return self.right[label] / self.asked[label] if self.asked[label] else None

    @property
    def luck(self) -> float:
        """How probable it is to be right so often, or oftener, by the commonest label's share of the texts alone."""
        texts, chance = sum(self.asked), max(self.asked) / sum(self.asked)
        counts = range(sum(self.right), texts + 1)
        return sum(math.comb(texts, n) * chance**n * (1 - chance) ** (texts - n) for n in counts)


class LabelConsistency:
    """held_out: of real test texts. The weights with the lowest loss on validation text are kept."""

    def __init__(
        self, splits: tuple[Rows, Rows, Rows], vocabulary: int, labels: int, hardware: Hardware, seed: int, steps: int
    ):
        torch.manual_seed(seed)
        network = ClassDiscriminator(CNNDiscriminator(vocabulary, HIDDEN, DROPOUT), labels)
        self.classifier, self.hardware, self.labels = hardware.place(network), hardware, labels
        train, validation, test = splits
        self._fit(Batches(train, TEXTS, seed), _some(validation), steps)
        self.held_out = self.found(_some(test))

    @property
    def caution(self) -> str | None:
        """What a person must know of a classifier that knows no more of real texts than their commonest label."""
        held = self.held_out
        if held.luck <= LUCK:
            return None
        return (
            f"the classifier of labels is right about {sum(held.right)} of {sum(held.asked)} held-out real texts, of "
            f"which {max(held.asked)} have the same label: it is not shown to tell the labels apart, so label "
            "consistency says nothing here"
        )

    def found(self, texts: Batch) -> Found:
        """How often the classifier assigns the texts to the label before them."""
        logits, label = self._judged(texts)
        right = label[logits.argmax(1) == label]
        asked, agreed = (torch.bincount(some, minlength=self.labels).tolist() for some in (label, right))
        return Found(tuple(asked), tuple(agreed))

    def _fit(self, batches: Batches, held: Batch, steps: int) -> None:
        optimizer = adamw(self.classifier, self.hardware, RATE, weight_decay=0.01)
        lowest, best = math.inf, dict[str, Tensor]()
        for step in range(steps + 1):
            if step % max(1, steps // 10) == 0 or step == steps:
                loss = float(cross_entropy(*self._judged(held)))
                if loss < lowest:
                    lowest = loss
                    best = {name: tensor.detach().clone() for name, tensor in self.classifier.state_dict().items()}
            if step < steps:
                batch = batches.at(step).to(self.hardware.device)
                self.classifier.train()
                optimizer.zero_grad()
                logits, label = self.classifier.classes(batch.tokens, batch.mask)
                self.hardware.backward(cross_entropy(logits[:, :-1].float(), label))
                optimizer.step()
        self.classifier.load_state_dict(best)

    @torch.no_grad()
    def _judged(self, texts: Batch) -> tuple[Tensor, Tensor]:
        """[B, k] and [B]: the logits of the labels, and the texts' own. There is no class of generated texts here."""
        self.classifier.eval()
        parts = [texts.rows(slice(i, i + CHUNK)).to(self.hardware.device) for i in range(0, len(texts), CHUNK)]
        logits, labels = zip(*(self.classifier.classes(part.tokens, part.mask) for part in parts), strict=True)
        return torch.cat(logits)[:, :-1].float(), torch.cat(labels)


def _some(rows: Rows) -> Batch:
    return rows.batch(np.arange(min(HELD, len(rows))).tolist())
