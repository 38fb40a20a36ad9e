"""Maximum likelihood: the loss, the held-out measure, and the fit with early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgan.config import Pretrain
from mgan.data.rows import Batches, Rows
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.models.protocols import Generator
from mgan.sampling.decode import tempered_logprobs
from mgan.types import Batch

CHUNK = 128


def nll(generator: Generator, batch: Batch, temperature: float = 1.0) -> Tensor:
    """[B]: -log P(completion | prompt) of each row, nats, with a gradient."""
    return -tempered_logprobs(generator(batch.tokens), batch.tokens, batch.mask, temperature).sum(1)


@torch.no_grad()
def text_nll(
    generator: Generator,
    rows: Rows,
    texts: int,
    temperatures: Sequence[float] = (1.0,),
    hardware: Hardware | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """NLL of each of the first ``texts`` texts at each temperature, [T, texts] nats, and their tokens [texts].

    In eval mode; a text cut into windows counts the sum of its windows.
    """
    device = hardware.device if hardware else torch.device("cpu")
    index = np.flatnonzero(rows.text_index < texts)
    total = np.zeros((len(temperatures), texts))
    tokens = np.zeros(texts)
    generator.eval()
    for start in range(0, len(index), CHUNK):
        chunk = index[start : start + CHUNK]
        batch = rows.batch(chunk.tolist()).to(device)
        logits = generator(batch.tokens)
        for t, temperature in enumerate(temperatures):
            row = -tempered_logprobs(logits, batch.tokens, batch.mask, temperature).sum(1)
            np.add.at(total[t], rows.text_index[chunk], row.cpu().double().numpy())
        np.add.at(tokens, rows.text_index[chunk], batch.mask.sum(1).cpu().numpy())
    return total, tokens


class MaximumLikelihood:
    """AdamW with a cosine to zero; the best weights by held-out NLL are the result.

    The starting weights are a candidate too, so that fitting on never makes a generator worse. patience: stop after
    so many held-out measures without a new best; None: spend every step, down to a rate of zero.
    """

    def __init__(
        self,
        generator: Generator,
        train: Rows,
        validation: Rows,
        settings: Pretrain,
        *,
        hardware: Hardware,
        seed: int,
        ledger: Ledger,
        steps: int | None = None,
        patience: int | None = None,
        validation_texts: int = 1000,
    ):
        self.generator, self.validation, self.settings = generator, validation, settings
        self.hardware, self.ledger = hardware, ledger
        self.batches = Batches(train, settings.batch_size, seed)
        epochs = max(1, math.ceil(settings.epochs * self.batches.per_epoch))
        limit = epochs if settings.max_steps is None else min(epochs, settings.max_steps)
        self.total = limit if steps is None else steps
        self.patience = patience
        self.validation_texts = min(validation.texts, validation_texts)
        self.optimizer = torch.optim.AdamW(
            generator.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.steps = 0
        self.best_nll = math.inf
        self.best: dict[str, Tensor] = {}
        self.without_best = 0
        self.measured: list[tuple[int, float]] = []
        self.done = False

    def begin(self) -> dict[str, float]:
        """Measure the starting weights; call once, before the first step of a new fit."""
        return {"validation_nll": self._validate()}

    def step(self) -> dict[str, float]:
        """One update; every ``evaluate_every`` of them, and at the end, a held-out measure."""
        if self.steps >= self.total:
            self._finish()
            return {}
        batch = self.batches.at(self.steps).to(self.hardware.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        loss = self._update(batch)
        self.steps += 1
        metrics = {"loss": loss, "epoch": self.steps / self.batches.per_epoch}
        if self.steps % self.settings.evaluate_every == 0 or self.steps == self.total:
            metrics["validation_nll"] = self._validate()
        if self.steps >= self.total or (self.patience is not None and self.without_best >= self.patience):
            self._finish()
        return metrics

    def _rate(self) -> float:
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * self.steps / self.total))

    def _update(self, batch: Batch) -> float:
        self.generator.train()
        with self.hardware.autocast():
            # Per token of the batch: the usual scale, whatever the texts' length.
            loss = nll(self.generator, batch).sum() / batch.mask.sum()
        self.optimizer.zero_grad()
        self.hardware.backward(loss)
        self.hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        self.ledger.update(self.generator, batch.tokens.numel())
        return float(loss.detach())

    def _validate(self) -> float:
        """Held-out NLL in nats a token; remembers the weights if it is the lowest yet."""
        sums, tokens = text_nll(self.generator, self.validation, self.validation_texts, hardware=self.hardware)
        value = float(sums.sum() / tokens.sum())
        self.measured.append((self.steps, value))
        if value < self.best_nll:
            self.best_nll, self.without_best = value, 0
            self.best = {k: v.detach().clone() for k, v in self.generator.state_dict().items()}
        else:
            self.without_best += 1
        return value

    def late_gain(self) -> float:
        """Nats a token by which the best weights beat those measured before the last fifth of the updates."""
        before = [value for step, value in self.measured if step <= 0.8 * self.steps]
        return min(before, default=self.best_nll) - self.best_nll

    def _finish(self) -> None:
        self.generator.load_state_dict(self.best)
        self.generator.eval()
        self.done = True

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_nll": self.best_nll,
            "without_best": self.without_best,
            "measured": self.measured,
            "steps": self.steps,
            "total": self.total,
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.best_nll = state["best"], state["best_nll"]
        self.without_best, self.steps = state["without_best"], state["steps"]
        self.measured = [(step, value) for step, value in state["measured"]]
        self.total, self.done = state["total"], state["done"]


def steps_for(flops: float, generator: Generator, train: Rows, batch_size: int, seed: int) -> int:
    """How many likelihood updates ``flops`` pay for, by the padded size of the first batches."""
    batches = Batches(train, batch_size, seed)
    sizes = [batches.at(i).tokens.numel() for i in range(min(20, batches.per_epoch))]
    return int(flops // (3 * generator.flops_per_token * float(np.mean(sizes))))
