"""Maximum likelihood: the loss, the held-out measure, and the fit with early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgan.config import Pretrain
from mgan.data.rows import Batches, Rows
from mgan.fit.compute import Ledger, of_update
from mgan.fit.hardware import Hardware
from mgan.fit.optimizers import adamw
from mgan.game.goals import manager_loss
from mgan.models.latent import given
from mgan.models.logprobs import tempered_logprobs, weighted_logprobs
from mgan.models.protocols import Generator, SetsGoals
from mgan.sampling.latent import latent_of
from mgan.sampling.uniforms import child_seeds
from mgan.types import Batch

CHUNK = 128
WORTHWHILE = 1 / 5
"""Of a batch's positions: a part of its own must save so much padding."""


def nll(generator: Generator, batch: Batch, temperature: float = 1.0) -> Tensor:
    """-log P(completion | prompt), nats, summed over the rows: a scalar with a gradient.

    Of a generator with latent noise, given z: the rows' own, or a fresh one.
    """
    return -weighted_logprobs(given(generator, batch), batch.tokens, batch.mask, batch.mask.float(), temperature)[0]


def imitation(generator: Generator, batch: Batch) -> Tensor | float:
    """What the manager of a generator that has one learns of real text: to set goals where the text goes; else 0.

    Minus the cosines, summed over the rows (``game/goals.py``), with a gradient to the manager alone.
    """
    if not isinstance(generator, SetsGoals):
        return 0.0
    return manager_loss(*generator.guidance(batch.tokens), batch.mask.float(), batch.mask, generator.horizon)


def by_length(batch: Batch) -> list[Batch]:
    """The rows in as many parts of like lengths as save padding worth their while: the same update with less work.

    Batches drawn by length in the first place would be narrower yet, but each step would see one length alone, and
    teach less. An accelerator computes padding faster than it starts another part.
    """
    if batch.tokens.device.type != "cpu":
        return [batch]
    lengths, order = batch.lengths.sort()
    ends = [len(batch)]
    while ends[-1] > 1:
        # Cutting off the first n rows leaves each of them as wide as the n-th.
        saved = torch.arange(1, ends[-1]) * (lengths[ends[-1] - 1] - lengths[: ends[-1] - 1])
        most, last = saved.max(0)
        if most < WORTHWHILE * batch.tokens.numel():
            break
        ends.append(int(last) + 1)
    return [batch.rows(order[start:end]) for start, end in zip([*ends[1:], 0], ends, strict=True)]


@torch.no_grad()
def text_nll(
    generator: Generator,
    rows: Rows,
    texts: int,
    temperatures: Sequence[float] = (1.0,),
    hardware: Hardware | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """NLL of each of the first ``texts`` texts at each temperature, [T, texts] nats, and their tokens [texts].

    In eval mode; a text cut into windows counts the sum of its windows. Of a generator with latent noise -log P(x | z),
    each row's z the same whenever it is asked: on average an upper bound of the NLL.
    """
    device = hardware.device if hardware else torch.device("cpu")
    held = torch.zeros(1, dtype=torch.int64)
    index = np.flatnonzero(rows.text_index < texts)
    total = np.zeros((len(temperatures), texts))
    tokens = np.zeros(texts)
    # Rows of like lengths together: little of a batch is padding.
    index = index[np.argsort(rows.lengths[index], kind="stable")]
    generator.eval()
    for start in range(0, len(index), CHUNK):
        chunk = index[start : start + CHUNK]
        batch = rows.batch(chunk.tolist()).to(device)
        batch = replace(batch, latent=latent_of(generator, child_seeds(held, torch.as_tensor(chunk))[0]))
        found = -tempered_logprobs(given(generator, batch), batch.tokens, batch.mask, temperatures).sum(2)
        for sums, row in zip(total, found.cpu().double().numpy(), strict=True):
            np.add.at(sums, rows.text_index[chunk], row)
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
        self.optimizer = adamw(generator, hardware, settings.learning_rate, settings.weight_decay)
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
        """The mean loss of the batch in nats a token. Its parts' gradients add up to the whole batch's."""
        self.generator.train()
        self.optimizer.zero_grad()
        tokens, total = batch.mask.sum(), 0.0
        for part in by_length(batch):
            with self.hardware.autocast():
                # Per token of the batch: the usual scale, whatever the texts' length.
                loss = nll(self.generator, part) / tokens
                beside = imitation(self.generator, part) / tokens
            self.hardware.backward(loss + beside)
            self.ledger.update(self.generator, part.tokens.numel())
            total += float(loss.detach())
        self.hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return total

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
    drawn = [by_length(batches.at(i)) for i in range(min(20, batches.per_epoch))]
    sizes = [sum(part.tokens.numel() for part in parts) for parts in drawn]
    return int(flops // (of_update(generator) * float(np.mean(sizes))))
