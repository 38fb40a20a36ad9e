"""Soft samples: texts through which a discriminator's gradient flows back into the generator.

The Gumbel-softmax relaxation (Jang et al. 2017; Maddison et al. 2017; for text GANs Kusner & Hernandez-Lobato 2016,
Nie et al. 2019, eq. 7-9): with o the logits of a position, g Gumbel noise and tau the temperature,

    token = argmax(o + g)             distributed as softmax(o): the next input, through which nothing flows
    y     = softmax((o + g) / tau)    what the discriminator reads in its place: sum_v y_v E_v

The gradient needs y [B, L, V] and the features [B, L, H], and nothing else of that size is kept: logits and noise live
for one position, one-hot vectors never exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.models.latent import started
from mgan.models.protocols import Generator
from mgan.sampling.latent import latent_of
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch

CHUNK = 256
"""Distributions, [CHUNK, V], of which the gradient is held at once."""


@dataclass(frozen=True)
class SoftBatch:
    """Texts and their relaxations.

    batch: the hard texts. T = L minus the ``given`` leading positions that every row was given.
    probabilities: [T, B, V], y without a gradient; one-hot off the mask. features: [T, B, H], what the output layer
    read to write each, with the generator's graph if one was recorded.
    """

    batch: Batch
    probabilities: Tensor
    features: Tensor
    output: nn.Linear
    given: int
    temperature: float

    def embedded(self, weight: Tensor) -> Tensor:
        """[B, L, E]: the texts as a discriminator learns from them: the gradient goes to ``weight`` [V, E] alone."""
        return self._behind_given(weight, (self.probabilities @ weight).transpose(0, 1))

    def attached(self, weight: Tensor, straight_through: bool = False) -> Tensor:
        """[B, L, E]: the texts as the generator learns from them: the gradient goes to the generator alone.

        weight: [V, E], a constant. straight_through: the value is the hard text's, the gradient still y's.
        """
        hard = self.batch.tokens[:, self.given :].t() if straight_through else None
        soft = _Relaxed.apply(  # type: ignore[no-untyped-call]
            self.features, self.output.weight, self.output.bias, self.probabilities, weight, hard, self.temperature
        )
        return self._behind_given(weight.detach(), soft.transpose(0, 1))

    def _behind_given(self, weight: Tensor, free: Tensor) -> Tensor:
        return torch.cat([functional.embedding(self.batch.tokens[:, : self.given], weight), free], 1)


def soft_sample(
    generator: Generator,
    prompts: Batch,
    *,
    max_length: int,
    eos: int | None,
    pad: int,
    temperature: float = 1.0,
    seed: int = 0,
    seeds: Tensor | None = None,
    suppress: tuple[int, ...] = (),
) -> SoftBatch:
    """One completion of every prompt with its relaxation, in one pass; the arguments are those of ``sample``.

    temperature: tau of the relaxation; the texts are drawn at temperature 1. Runs in eval mode. Under ``no_grad``
    the result has no graph, and only a discriminator can learn from it.
    """
    rows, prompt_length, device = len(prompts), prompts.prompt_length, prompts.tokens.device
    given, longest = int(prompt_length.min()), int(prompt_length.max())
    if longest >= max_length:
        raise ValueError(f"a prompt of {longest} tokens leaves nothing to write within {max_length}")
    seeds = row_seeds(seed, rows) if seeds is None else seeds
    noise, latent = GumbelNoise(seeds), latent_of(generator, seeds)
    tokens = torch.full((rows, max_length), pad, dtype=torch.long, device=device)
    prompt = torch.arange(longest, device=device) < prompt_length[:, None]
    tokens[:, :longest] = torch.where(prompt, prompts.tokens[:, :longest], pad)
    mask = torch.zeros(rows, max_length, dtype=torch.bool, device=device)
    vocabulary = generator.output.out_features
    probabilities = generator.output.weight.new_empty(max_length - given, rows, vocabulary)
    logprobs = torch.zeros(rows, max_length, device=device)
    features: list[Tensor] = []
    going = torch.ones(rows, dtype=torch.bool, device=device)

    was_training = generator.training
    generator.eval()
    try:
        feature, state = generator.read(tokens[:, :given], started(generator, rows, latent))
        for i in range(given, max_length):
            features.append(feature)
            mask[:, i] = going & (i >= prompt_length)
            with torch.no_grad():
                scores = generator.output(feature)
                scores[:, list(suppress)] = -torch.inf
                total, minus = scores.logsumexp(1), noise.minus_gumbel(vocabulary, mask[:, i]).to(scores)
                scores -= minus
                token = torch.where(mask[:, i], scores.argmax(1), tokens[:, i])
                drawn = sum(part.gather(1, token[:, None]).squeeze(1) for part in (scores, minus)) - total
                logprobs[:, i] = torch.where(mask[:, i], drawn, 0.0)
                relaxed = torch.softmax(scores.div_(temperature), 1, out=probabilities[i - given])
                if not mask[:, i].all():
                    hard = functional.one_hot(token, vocabulary).to(relaxed)
                    relaxed.copy_(torch.where(mask[:, i, None], relaxed, hard))
            # Not written in place: what was read of the prompt belongs to the graph.
            tokens = torch.cat([tokens[:, :i], token[:, None], tokens[:, i + 1 :]], 1)
            if eos is not None:
                going = going & ~(mask[:, i] & (token == eos))
            if i + 1 == max_length or not going.any():
                break
            feature, state = generator.read(token[:, None], state)
    finally:
        generator.train(was_training)
    length = given + len(features)
    batch = Batch(tokens[:, :length], mask[:, :length], prompt_length, logprobs[:, :length], latent)
    return SoftBatch(batch, probabilities[: len(features)], torch.stack(features), generator.output, given, temperature)


class GumbelNoise:
    """Gumbel noise of every entry of the vocabulary, from a generator of its own for each row.

    So a row's noise depends on its seed alone. A counter-based generator in tensor operations, as ``uniforms`` has for
    its one number a position, would cost several times as much, and noise is most of what relaxing costs.
    """

    def __init__(self, seeds: Tensor):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]

    def minus_gumbel(self, vocabulary: int, wanted: Tensor) -> Tensor:
        """[B, V]: log(-log u) of the next uniforms of each wanted row, a constant in the others. wanted: [B] bool."""
        noise = torch.full((len(self.generators), vocabulary), 0.5)
        for row in wanted.nonzero().flatten().tolist():
            noise[row].uniform_(generator=self.generators[row])
        return noise.log_().neg_().log_()


class _Relaxed(torch.autograd.Function):
    """sum_v y_v E_v of distributions y that are known already; its gradient from y, chunk by chunk.

    With dL/dx = h for x = y E and logits o:   dL/do = y (h E' - h x') / tau, the dot product h x' being y's mean of
    h E'.   features: [T, B, H], probabilities: [T, B, V], embedding: [V, E], hard: [T, B] or None. -> [T, B, E]
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, probabilities: Tensor, embedding: Tensor,
        hard: Tensor | None, temperature: float,
    ) -> Tensor:  # fmt: skip
        soft = probabilities @ embedding
        ctx.temperature, ctx.biased = temperature, bias is not None
        ctx.save_for_backward(features, weight, probabilities, embedding, soft)
        # A copy: what is saved must not be what is returned.
        return soft.clone() if hard is None else embedding[hard]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, probabilities, embedding, soft = ctx.saved_tensors
        given = (gradients[0] / ctx.temperature).flatten(0, 1)
        mean = (given * soft.flatten(0, 1)).sum(1, keepdim=True)
        read, likely = features.flatten(0, 1), probabilities.flatten(0, 1)
        to_features = torch.empty_like(read)
        to_weight = torch.zeros_like(weight)
        to_bias = weight.new_zeros(len(weight)) if ctx.biased else None
        for start in range(0, len(read), CHUNK):
            some = slice(start, start + CHUNK)
            to_logits = (given[some] @ embedding.t()).sub_(mean[some]).mul_(likely[some])
            torch.mm(to_logits, weight, out=to_features[some])
            to_weight.addmm_(to_logits.t(), read[some])
            if to_bias is not None:
                to_bias += to_logits.sum(0)
        return to_features.view_as(features), to_weight, to_bias, None, None, None, None
