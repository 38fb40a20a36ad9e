"""What a teacher whose probabilities are known says of a student's answers to prompts that nobody was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mgan.data import tokenizers
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import Tokenizer
from mgan.evaluation.metrics.diversity import distinct_n
from mgan.evaluation.metrics.embedders import Embedder
from mgan.evaluation.metrics.mauve import mauve
from mgan.evaluation.metrics.words import words
from mgan.evaluation.seeds import t_interval
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import text_nll
from mgan.models import pretrained
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import stream
from mgan.types import collate

CHUNK = 256
CONFIDENCE = 0.95
MEASURES = {
    "teacher_logprob_token": "teacher's log-likelihood of the answers, nats a token",
    "teacher_logprob_text": "teacher's log-likelihood of an answer, nats",
    "kl_from_student": "KL(student ‖ teacher), nats an answer",
    "nll": "NLL of the teacher's answers, nats a token",
    "two_sample": "fresh discriminator's accuracy",
    "mauve": "MAUVE",
    "distinct_2": "distinct-2",
    "length": "length, words",
}
"""Their titles. The target of each is what the teacher itself scores; past it is not better."""


@dataclass(frozen=True)
class Writer:
    """A generator with its own tokenizer. Texts go from one writer to another as texts, as a user would send them."""

    generator: Generator
    tokenizer: Tokenizer
    context: int
    hardware: Hardware

    @classmethod
    def open(cls, folder: str | Path, context: int, hardware: Hardware) -> Writer:
        """A causal language model's folder: what a run saved, or anybody's."""
        generator = cast(Generator, pretrained.load(str(folder), context).to(hardware.device))
        return cls(generator, tokenizers.pretrained(str(folder), "auto", prompted=True), context, hardware)

    def answers(self, prompts: Sequence[Example], temperature: float, seed: int) -> tuple[list[Example], np.ndarray]:
        """An answer to each prompt, and the log-probability it was drawn with, [N] nats."""
        found: list[Example] = []
        logprobs = np.zeros(len(prompts))
        settings = Sampling(temperature, suppress=self.tokenizer.never)
        for start in range(0, len(prompts), CHUNK):
            some = prompts[start : start + CHUNK]
            given = collate([(row, len(row)) for row in self.tokenizer.prompts(some)], self.tokenizer.pad)
            written = sample(
                self.generator, given.to(self.hardware.device), max_length=self.context, eos=self.tokenizer.eos,
                pad=self.tokenizer.pad, seed=stream(seed, start), sampling=settings,
            )  # fmt: skip
            assert written.logprobs is not None
            logprobs[start : start + CHUNK] = written.logprobs.sum(1).cpu().double().numpy()
            for example, tokens, mask in zip(some, written.tokens.tolist(), written.mask.tolist(), strict=True):
                text = self.tokenizer.decode(t for t, mine in zip(tokens, mask, strict=True) if mine)
                found.append(Example(example.prompt, text, example.chat))
        return found, logprobs

    def nll(self, answers: Sequence[Example], temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """-log P(answer | prompt) of each, [N] nats, and its tokens, [N], EOS among them."""
        rows = encode(answers, self.tokenizer, self.context)
        nats, tokens = text_nll(self.generator, rows, len(answers), (temperature,), self.hardware)
        return nats[0], tokens


@dataclass(frozen=True)
class Measurer:
    """held_out: the teacher's answers to the prompts that are kept for this."""

    teacher: Writer
    held_out: list[Example]
    embedder: Embedder

    def sampled(self, writer: Writer, temperature: float, seed: int) -> dict[str, float]:
        """What is said of the writer's answers to the held-out prompts."""
        answers, drawn = writer.answers(self.held_out, temperature, seed)
        nats, tokens = self.teacher.nll(answers)
        texts = [words(answer.text) for answer in answers]
        real, written = (self.embedder([e.text for e in examples]) for examples in (self.held_out, answers))
        return {
            "teacher_logprob_token": -float(nats.sum() / tokens.sum()),
            "teacher_logprob_text": -float(nats.mean()),
            "kl_from_student": float((drawn + nats).mean()),
            "mauve": mauve(real, written),
            "distinct_2": distinct_n(texts, 2),
            "length": float(np.mean([len(text) for text in texts])),
        }

    def likelihood(self, writer: Writer, temperature: float) -> float:
        """Nats a token of the teacher's held-out answers."""
        nats, tokens = writer.nll(self.held_out, temperature)
        return float(nats.sum() / tokens.sum())

    def system(
        self, writer: Writer, figures: dict[str, Any], temperatures: Sequence[float], seed: int
    ) -> dict[str, Any]:
        """A system at every temperature, and at those that validation text chose. figures: its own of results.json."""
        torch.manual_seed(seed)
        chosen = figures["temperatures"]
        sweep = {f"{t:g}": self.sampled(writer, t, seed) for t in temperatures}
        return {
            "temperatures": chosen,
            "validation": figures["validation"],
            "nll": self.likelihood(writer, chosen["likelihood"]),
            "two_sample": figures["fresh_discriminator_accuracy"]["value"],
            **sweep[f"{chosen['sampling']:g}"],
            "sweep": sweep,
        }


def summary(
    seeds: dict[str, dict[str, Any]], teacher: dict[str, Any], ours: str = "gad", theirs: str = "seqkd"
) -> dict[str, Any]:
    """Student's intervals over seeds, [mean, low, high] each: of every system; and, seed by seed, of how much farther
    from the teacher's own value ours lies than theirs (below 0: nearer).

    seeds: systems by seed. teacher: its own figures.
    """

    def interval(values: list[float]) -> list[float]:
        found = t_interval(np.array(values), CONFIDENCE)
        return [round(x, 5) for x in (found.value, found.low, found.high)]

    def distance(system: dict[str, Any], measure: str) -> float:
        return abs(float(system[measure]) - float(teacher[measure]))

    trees = list(seeds.values())
    return {
        "confidence": CONFIDENCE,
        "systems": {
            name: {m: interval([tree[name][m] for tree in trees]) for m in MEASURES if m in trees[0][name]}
            for name in trees[0]
        },
        "farther": {m: interval([distance(t[ours], m) - distance(t[theirs], m) for t in trees]) for m in MEASURES},
    }
