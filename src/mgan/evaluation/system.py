"""One system on trial: a generator, its temperature from validation, its measures on test text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from mgan.config import Config
from mgan.data.rows import Batches, Rows
from mgan.evaluation.heldout import HeldOut
from mgan.evaluation.pair import EnergyGain, energy_gain, resampling_gain
from mgan.fit.classifier import DiscriminatorUpdate, fit_discriminator, verdicts
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import text_nll
from mgan.models.protocols import Discriminator, Generator
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import stream
from mgan.types import Batch


@dataclass(frozen=True)
class Trial:
    """Per-text results of one system on the test split, from which every interval is drawn.

    nll, tokens, pair_gain: [texts]; real_right: [texts], fake_right: [samples], 1 where the fresh discriminator
    was right, ½ where it was undecided.
    """

    name: str
    temperature: float
    nll: np.ndarray
    tokens: np.ndarray
    real_right: np.ndarray
    fake_right: np.ndarray
    pair_gain: np.ndarray
    energy: EnergyGain
    gap: float
    entropy: float
    distinct_2: float
    samples: Batch


class Court:
    """Tries every system the same way: same texts, same numbers, same budget for its fresh discriminator."""

    def __init__(
        self,
        settings: Config,
        splits: tuple[Rows, Rows, Rows],
        vocabulary: int,
        eos: int,
        pad: int,
        hardware: Hardware,
        new_discriminator: Callable[[], Discriminator],
    ):
        self.settings, self.hardware, self.new_discriminator = settings, hardware, new_discriminator
        self.train, validation, test = splits
        self.eos, self.pad = eos, pad
        held = (settings.evaluation.samples, vocabulary, eos, pad, settings.generator.context, hardware)
        self.validation = HeldOut(self.train, validation, *held)
        self.test = HeldOut(self.train, test, *held)

    def temperature(self, generator: Generator) -> float:
        """The temperature with the best held-out score on validation text."""
        seed = stream(self.settings.seed, 71)
        measured = self.validation.measure(generator, self.settings.evaluation.temperatures, seed)
        return min(measured, key=lambda held: held.score).temperature

    def fresh_discriminator(self, generator: Generator, temperature: float, ledger: Ledger) -> Discriminator:
        """A new discriminator fitted to this generator's text, stopped where validation text says."""
        settings, seed = self.settings, stream(self.settings.seed, 72)
        steps, size = settings.evaluation.discriminator_steps, min(settings.rows_per_step, len(self.train))
        real = Batches(self.train, size, seed)
        count = min(steps, real.per_epoch)
        pairs = []
        for i in range(count):
            batch = real.at(i).to(self.hardware.device)
            pairs.append((batch, self._write(generator, batch, temperature, stream(seed, i))))
        torch.manual_seed(seed)
        discriminator = self.new_discriminator()
        update = DiscriminatorUpdate(
            discriminator,
            learning_rate=settings.adversarial.discriminator_rate,
            clip=settings.adversarial.clip,
            signal=settings.game.signal,
            hardware=self.hardware,
            ledger=ledger,
        )
        held = self.validation.real.to(self.hardware.device)
        fake = self.validation.sample(generator, temperature, stream(seed, -1))
        fit_discriminator(update, pairs, (held, fake), steps=steps, evaluate_every=max(1, steps // 10))
        return discriminator

    def try_system(self, name: str, generator: Generator, temperature: float, discriminator: Discriminator) -> Trial:
        """Everything measured on test text and on samples that trained nothing."""
        seed = stream(self.settings.seed, 73)
        nll, tokens = text_nll(generator, self.test.rows, self.test.texts, (temperature,), self.hardware)
        held = self.test.measure(generator, (temperature,), seed)[0]
        real = self.test.real.to(self.hardware.device)
        d_real = verdicts(discriminator, real).double().cpu().numpy()
        d_fake = verdicts(discriminator, held.samples).double().cpu().numpy()
        candidates = self._candidates(generator, discriminator, real, temperature, seed)
        gain = np.zeros(self.test.texts)
        text_of_row = self.test.rows.text_index[: len(real)]
        np.add.at(gain, text_of_row, resampling_gain(d_real, candidates))
        shared = bool((real.prompt_length == 1).all())
        return Trial(
            name, temperature, nll[0], tokens,
            real_right=np.where(d_real == 0, 0.5, d_real > 0), fake_right=np.where(d_fake == 0, 0.5, d_fake < 0),
            pair_gain=gain, energy=energy_gain(d_real, candidates, shared),
            gap=held.gap, entropy=held.entropy, distinct_2=held.distinct_2, samples=held.samples,
        )  # fmt: skip

    def _candidates(
        self, generator: Generator, discriminator: Discriminator, real: Batch, temperature: float, seed: int
    ) -> np.ndarray:
        """[texts, k - 1] logits of completions of the test prompts."""
        columns = []
        for k in range(self.settings.evaluation.candidates - 1):
            written = self._write(generator, real, temperature, stream(seed, k))
            columns.append(verdicts(discriminator, written).double().cpu().numpy())
        return np.stack(columns, axis=1)

    def _write(self, generator: Generator, prompts: Batch, temperature: float, seed: int) -> Batch:
        return sample(
            generator, prompts, max_length=self.settings.generator.context, eos=self.eos, pad=self.pad,
            seed=seed, sampling=Sampling(temperature),
        )  # fmt: skip
