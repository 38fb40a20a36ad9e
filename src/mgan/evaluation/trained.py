"""The measures that train a model of their own: fresh discriminators and independent language models."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from mgan.evaluation.jackknife import groups
from mgan.evaluation.metrics.divergence import donsker_varadhan
from mgan.evaluation.metrics.language_model import LanguageModel, reverse_lm_score, word_tokenizer
from mgan.evaluation.metrics.two_sample import TwoSample, two_sample_test
from mgan.evaluation.scorecard import GROUPS, SEED, ratio_of_sums
from mgan.evaluation.sweep import Decoding, Sweeper
from mgan.models.protocols import Generator
from mgan.sampling.uniforms import stream


class Trained:
    """Takes them for one sweep; what is fitted on real text alone is fitted once."""

    def __init__(self, sweeper: Sweeper):
        self.sweeper, self.halves, self.embedder = sweeper, sweeper.halves, sweeper.scorecard.embedder

    def point(self, generator: Generator, decoding: Decoding, seed: int) -> dict[str, Any]:
        """One setting's measures as JSON: each its ``value`` and what that rests on."""
        samples = self.sweeper.decode(self.sweeper.write(generator, decoding, seed))
        measures: dict[str, Any] = {}
        if self.embedder is not None:
            embedded = self.embedder(samples)
            measures["two_sample"] = _two_sample(two_sample_test(self._reference, embedded))
            measures["kl_bound"] = self._bound(generator, decoding, embedded, stream(seed, 1))
        judge = self._judge
        forward = judge.score(samples, self.halves.real)
        backward = reverse_lm_score(samples, self.halves.reference, self.halves.real, target=judge)
        measures["lm_score"] = {
            "value": forward.value,
            "real": forward.real_value,
            "error": _error(forward.samples * forward.sample_tokens, forward.sample_tokens),
        }
        measures["lm_distance"] = {"value": forward.distance, "real": 0.0}
        measures["reverse_lm_score"] = {
            "value": backward.value,
            "real": backward.target,
            "error": _error(backward.by_samples, backward.tokens),
        }
        return measures

    def measured(self, real: dict[str, Any]) -> bool:
        """Whether ``real`` holds what ``real()`` gives."""
        return self.embedder is None or "two_sample" in real

    def real(self) -> dict[str, Any]:
        """What real text scores in the samples' place, where the measure does not say so itself."""
        if self.embedder is None:
            return {}
        n = min(len(self.halves.real), len(self.halves.training) // 2)
        real, known = self.embedder(self.halves.real), self.embedder(self.halves.training[: 2 * n])
        bound = donsker_varadhan(known[:n], known[n:], self._reference, real)
        return {
            "two_sample": _two_sample(two_sample_test(self._reference, real)),
            "kl_bound": {"value": bound.gain} | asdict(bound),
        }

    def _bound(self, generator: Generator, decoding: Decoding, embedded: np.ndarray, seed: int) -> dict[str, Any]:
        """The discriminator is fitted on training text and on samples that are used for nothing else."""
        assert self.embedder is not None
        prompts = self.halves.training_rows
        others = self.sweeper.decode(self.sweeper.world.complete(generator, prompts, decoding, seed))
        known = self.halves.training[: len(others)]
        bound = donsker_varadhan(self.embedder(known), self.embedder(others), self._reference, embedded)
        return {"value": bound.gain} | asdict(bound)

    @cached_property
    def _reference(self) -> np.ndarray:
        embedded = self.sweeper.scorecard.embedded
        assert embedded is not None
        return embedded

    @cached_property
    def _judge(self) -> LanguageModel:
        """Fitted on as many reference texts as there are samples: so it is the reverse score's target too."""
        texts = self.halves.reference[: len(self.halves.real)]
        return LanguageModel.fit(texts, word_tokenizer(self.halves.reference), hardware=self.sweeper.world.hardware)


def _error(nats: np.ndarray, tokens: np.ndarray) -> float:
    """The standard error over texts of nats a word; the judge's own training is not in it."""
    found = ratio_of_sums(nats, tokens, groups(len(nats), min(GROUPS, len(nats)), SEED))
    return float(found.error)


def _two_sample(found: TwoSample) -> dict[str, Any]:
    return {"value": found.accuracy, "p_value": found.p_value}
