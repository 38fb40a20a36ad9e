"""Divergences between a generator and a known oracle: Monte-Carlo estimates without bias, each with its standard error.

Source: SeqGAN (Yu et al. 2017) for NLL_oracle, TextGAN-PyTorch for NLL_gen, and the same samples for what neither says
alone: low NLL_oracle is also reached by writing one likely text again and again, low NLL_gen by writing everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgan.data.rows import Rows
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, collate, concatenate

START = 0
"""The token every text begins with: an ordinary one, given and not judged. Also the padding, of which there is none."""
CHUNK = 64
"""Rows scored at once, of which the whole distributions are in memory."""
WRITTEN = 500
"""Rows written at once."""
UNFILTERED = Sampling()


@dataclass(frozen=True)
class Measured:
    """A Monte-Carlo estimate in nats: its value, its standard error (inf where the value is), the texts it rests on."""

    value: float
    error: float
    n: int

    @classmethod
    def of(cls, nats: np.ndarray, tokens: np.ndarray) -> Measured:
        """sum(nats) / sum(tokens), both [texts]; the error by linearising the ratio, exact for texts of one length."""
        n, total = len(nats), tokens.sum()
        value = float(nats.sum() / total)
        if not math.isfinite(value):
            return cls(value, math.inf, n)
        variance = float(((nats - value * tokens) ** 2).sum()) * n / max(n - 1, 1)
        return cls(value, math.sqrt(variance) / float(total), n)

    def scaled(self, factor: float) -> Measured:
        return Measured(self.value * factor, self.error * factor, self.n)


@dataclass(frozen=True)
class Divergences:
    """What a generator G is to an oracle o. All but ``js`` in nats a token; x ~ G samples, y ~ o held-out oracle text.

    nll_oracle: -E[log o(x)] / length, in [0, inf). The target is ``entropy``; below it G writes only likely text,
        which is as wrong as writing unlikely text: never quote it alone.
    nll_gen: -E[log G(y)] / length, in [0, inf]; lower is better, ``entropy`` is the least there is. Infinite as soon
        as top-k or top-p cuts off one token of the held-out text.
    kl_generated: KL(G || o) = E[log G(x) - log o(x)] / length, 0 for the oracle itself, lower is better. Blind to what
        G never writes. Estimates of a divergence near 0 may come out negative.
    kl_oracle: KL(o || G) = E[log o(y) - log G(y)] / length, 0 for the oracle itself, lower is better; infinite where
        nll_gen is. Equals nll_gen - entropy on the same text.
    js: the Jensen-Shannon divergence of whole texts (E[log G(x) - log m(x)] + E[log o(y) - log m(y)]) / 2 with
        m = (G + o) / 2, nats a *text*, in [0, log 2], 0 for the oracle itself, lower is better. It saturates: texts
        of 20 tokens that differ by half a nat a token are told apart nearly always, so most generators stand at
        log 2 = 0.693 and it says nothing of which is nearer.
    entropy: -E[log o(y)] / length: the oracle's own NLL, what real text's value is.
    generated_tokens, oracle_tokens: tokens a text on either side, to turn nats a token into nats a text.
    """

    nll_oracle: Measured
    nll_gen: Measured
    kl_generated: Measured
    kl_oracle: Measured
    js: Measured
    entropy: Measured
    generated_tokens: float
    oracle_tokens: float

    def per_text(self) -> dict[str, Measured]:
        """Every measure in nats a text."""
        generated, oracle = self.generated_tokens, self.oracle_tokens
        return {
            "nll_oracle": self.nll_oracle.scaled(generated),
            "nll_gen": self.nll_gen.scaled(oracle),
            "kl_generated": self.kl_generated.scaled(generated),
            "kl_oracle": self.kl_oracle.scaled(oracle),
            "js": self.js,
            "entropy": self.entropy.scaled(oracle),
        }


def divergences(
    generator: Generator,
    oracle: Generator,
    held_out: Batch | Rows,
    samples: Batch,
    sampling: Sampling = UNFILTERED,
    own: tuple[np.ndarray, np.ndarray] | None = None,
) -> Divergences:
    """How far a generator is from an oracle.

    held_out: text of the oracle. own: its log-likelihood under the oracle, if that is known already.
    samples: text of the generator. sampling: how the samples were drawn, and so what
    distribution G is: the tempered and filtered one. With a filter ``samples`` must hold their logprobs.
    """
    if not len(held_out) or not len(samples):
        raise ValueError("divergences need at least one held-out text and one sample")
    x_oracle, x_tokens = log_likelihood(oracle, samples)
    y_oracle, y_tokens = own or log_likelihood(oracle, held_out)
    x_generator = _of_samples(generator, samples, sampling)
    y_generator, _ = log_likelihood(generator, held_out, sampling)
    return Divergences(
        nll_oracle=Measured.of(-x_oracle, x_tokens),
        nll_gen=Measured.of(-y_generator, y_tokens),
        kl_generated=Measured.of(x_generator - x_oracle, x_tokens),
        kl_oracle=Measured.of(y_oracle - y_generator, y_tokens),
        js=_jensen_shannon(x_generator, x_oracle, y_oracle, y_generator),
        entropy=Measured.of(-y_oracle, y_tokens),
        generated_tokens=float(x_tokens.mean()),
        oracle_tokens=float(y_tokens.mean()),
    )


@torch.no_grad()
def log_likelihood(
    network: Generator, texts: Batch | Rows, sampling: Sampling = UNFILTERED
) -> tuple[np.ndarray, np.ndarray]:
    """[texts] log P(completion | prompt) in nats and [texts] completion tokens; of a row of 0 probability -inf.

    In eval mode, on the device the network is on; the mode it was in is left as it was.
    """
    device = next(network.parameters()).device
    nats, tokens = [], []
    was_training = network.training
    network.eval()
    try:
        for chunk in _chunks(texts):
            batch = chunk.to(device)
            distribution = sampling.log_probabilities(network(batch.tokens[:, :-1]))
            chosen = distribution.gather(-1, batch.tokens[:, 1:, None]).squeeze(-1)
            nats.append(_sums(chosen, batch.mask[:, 1:]))
            tokens.append(batch.mask.sum(1).cpu().numpy().astype(float))
    finally:
        network.train(was_training)
    return np.concatenate(nats), np.concatenate(tokens)


def write(generator: Generator, rows: int, length: int, seed: int, sampling: Sampling = UNFILTERED) -> Batch:
    """``rows`` texts of ``length`` tokens after the start token, with their logprobs; the same for the same seed."""
    device = next(generator.parameters()).device
    parts = []
    for first in range(0, rows, WRITTEN):
        count = min(WRITTEN, rows - first)
        start = collate([([START], 1)] * count, START).to(device)
        seeds = row_seeds(seed, count, first)
        parts.append(
            sample(generator, start, max_length=length + 1, eos=None, pad=START, seeds=seeds, sampling=sampling)
        )
    return concatenate(parts, START)


def _of_samples(generator: Generator, samples: Batch, sampling: Sampling) -> np.ndarray:
    """[texts] log G(x). Under a filter as it was recorded: a token on its edge may fall out when scored again."""
    if not (sampling.top_k or sampling.top_p < 1 or sampling.suppress):
        return log_likelihood(generator, samples, sampling)[0]
    if samples.logprobs is None:
        raise ValueError("samples drawn with a filter need their logprobs")
    return _sums(samples.logprobs, samples.mask)


def _sums(logprobs: Tensor, mask: Tensor) -> np.ndarray:
    return torch.where(mask, logprobs.double(), 0.0).sum(1).cpu().numpy()


def _chunks(texts: Batch | Rows) -> Iterator[Batch]:
    for first in range(0, len(texts), CHUNK):
        last = min(first + CHUNK, len(texts))
        yield texts.rows(slice(first, last)) if isinstance(texts, Batch) else texts.batch(range(first, last))


def _jensen_shannon(
    x_generator: np.ndarray, x_oracle: np.ndarray, y_oracle: np.ndarray, y_generator: np.ndarray
) -> Measured:
    terms = [
        own - (np.logaddexp(own, other) - math.log(2))
        for own, other in ((x_generator, x_oracle), (y_oracle, y_generator))
    ]
    left, right = (Measured.of(term, np.ones_like(term)) for term in terms)
    return Measured((left.value + right.value) / 2, math.hypot(left.error, right.error) / 2, left.n + right.n)
