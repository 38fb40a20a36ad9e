"""One system on trial: a generator, its temperatures from validation text, its measures on test text."""

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
class Temperatures:
    """Each measure at the temperature that is best for it on validation text.

    likelihood: lowest NLL; there the likelihood and the pair are judged. sampling: lowest NLL + n-gram gap; there
    samples are drawn for the fresh discriminator and for people. nll, score: those lowest values, nats a token.
    """

    likelihood: float
    sampling: float
    nll: float
    score: float


@dataclass(frozen=True)
class Trial:
    """Per-text results of one system on the test split, from which every interval is drawn.

    nll, tokens, pair_gain: [texts]. real_right, fake_right: [texts], how often the fresh discriminator was right about
    a text and about the sample written in its place; ½ where it was undecided. discriminator: the pair's.
    """

    name: str
    temperatures: Temperatures
    discriminator: Discriminator
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
    """Tries every system the same way: same texts, same numbers, same budget for its fresh discriminators."""

    def __init__(
        self,
        settings: Config,
        splits: tuple[Rows, Rows, Rows],
        vocabulary: int,
        eos: int | None,
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

    def trial(self, name: str, generator: Generator, partner: Discriminator | None = None) -> Trial:
        """Temperatures from validation text; everything else on test text and samples that trained nothing.

        partner: the pair's discriminator, trained in the game's own distribution, at whose temperature the likelihood
        is then judged; None: a fresh one.
        """
        seed = stream(self.settings.seed, 73)
        chosen = self.temperatures(generator, self.settings.adversarial.temperature if partner else None)
        pair = partner or self.fresh_discriminator(generator, chosen.likelihood)
        same = partner is None and chosen.sampling == chosen.likelihood
        fresh = pair if same else self.fresh_discriminator(generator, chosen.sampling)

        nll, tokens = text_nll(generator, self.test.rows, self.test.texts, (chosen.likelihood,), self.hardware)
        real = self.test.real.to(self.hardware.device)
        d_real = self._logits(pair, real)
        candidates = self._candidates(generator, pair, real, chosen.likelihood, seed)
        held = self.test.measure(generator, (chosen.sampling,), seed)[0]
        told_real, told_fake = self._logits(fresh, real), self._logits(fresh, held.samples)
        return Trial(
            name, chosen, pair, nll[0], tokens,
            real_right=self._per_text(np.where(told_real == 0, 0.5, told_real > 0), np.mean),
            fake_right=self._per_text(np.where(told_fake == 0, 0.5, told_fake < 0), np.mean),
            pair_gain=self._per_text(resampling_gain(d_real, candidates), np.sum),
            energy=energy_gain(d_real, candidates, bool((real.prompt_length == 1).all())),
            gap=held.gap, entropy=held.entropy, distinct_2=held.distinct_2, samples=held.samples,
        )  # fmt: skip

    def temperatures(self, generator: Generator, likelihood: float | None = None) -> Temperatures:
        """likelihood: the only temperature that may be judged at; None: whichever is best."""
        seed = stream(self.settings.seed, 71)
        measured = self.validation.measure(generator, self.settings.evaluation.temperatures, seed)
        allowed = measured if likelihood is None else self.validation.measure(generator, (likelihood,), seed)
        likeliest = min(allowed, key=lambda held: held.nll)
        best = min(measured, key=lambda held: held.score)
        return Temperatures(likeliest.temperature, best.temperature, nll=likeliest.nll, score=best.score)

    def fresh_discriminator(self, generator: Generator, temperature: float) -> Discriminator:
        """A new discriminator fitted to fresh text of this generator, stopped where validation text says."""
        settings, seed = self.settings, stream(self.settings.seed, 72)
        steps = settings.evaluation.discriminator_steps
        real = Batches(self.train, settings.rows_per_step, seed)
        torch.manual_seed(seed)
        discriminator = self.new_discriminator()
        update = DiscriminatorUpdate(
            discriminator,
            learning_rate=settings.adversarial.discriminator_rate,
            clip=settings.adversarial.clip,
            signal=settings.game.signal,
            hardware=self.hardware,
            ledger=Ledger(),
            micro_batches=settings.adversarial.micro_batches,
        )

        def batch(step: int) -> tuple[Batch, Batch]:
            texts = real.at(step).to(self.hardware.device)
            return texts, self._write(generator, texts, temperature, stream(seed, step))

        held = self.validation.real.to(self.hardware.device)
        fake = self.validation.sample(generator, temperature, stream(seed, -1))
        fit_discriminator(update, batch, (held, fake), steps=steps, evaluate_every=max(1, steps // 10))
        return discriminator

    def _candidates(
        self, generator: Generator, discriminator: Discriminator, real: Batch, temperature: float, seed: int
    ) -> np.ndarray:
        """[rows, k - 1] logits of completions of the test prompts."""
        columns = [
            self._logits(discriminator, self._write(generator, real, temperature, stream(seed, k)))
            for k in range(self.settings.evaluation.candidates - 1)
        ]
        return np.stack(columns, axis=1)

    def _logits(self, discriminator: Discriminator, batch: Batch) -> np.ndarray:
        return verdicts(discriminator, batch).cpu().double().numpy()

    def _per_text(self, of_rows: np.ndarray, combine: Callable[[np.ndarray], np.floating]) -> np.ndarray:
        """[texts] from [rows]: the windows of a long text are not independent of each other."""
        ends = np.searchsorted(self.test.rows.text_index, np.arange(1, self.test.texts))
        return np.array([combine(part) for part in np.split(of_rows, ends)], dtype=float)

    def _write(self, generator: Generator, prompts: Batch, temperature: float, seed: int) -> Batch:
        return sample(
            generator, prompts, max_length=self.settings.generator.context, eos=self.eos, pad=self.pad,
            seed=seed, sampling=Sampling(temperature),
        )  # fmt: skip
