"""The decode loop: one pass over the positions, all rows in lockstep, logprobs from the same pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mgan.models.protocols import Generator
from mgan.sampling.uniforms import row_seeds, uniforms
from mgan.types import Batch


@dataclass(frozen=True)
class Sampling:
    """How a next token is drawn. Filters act after the temperature; top_k 0 and top_p 1 switch theirs off.

    suppress: token ids that are never drawn.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    suppress: tuple[int, ...] = ()

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """[..., V] -> [..., V]: the log of the distribution tokens are drawn from."""
        logits = logits.float() / self.temperature
        if self.suppress:
            logits = logits.index_fill(-1, torch.tensor(self.suppress, device=logits.device), -torch.inf)
        if 0 < self.top_k < logits.shape[-1]:
            smallest = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < smallest, -torch.inf)
        if self.top_p < 1.0:
            # A token stays if the likelier ones together have less than top_p (Holtzman et al. 2020).
            ordered, place = logits.softmax(-1).sort(dim=-1, descending=True)
            surplus = (ordered.cumsum(-1) - ordered) >= self.top_p
            logits = logits.masked_fill(surplus.scatter(-1, place, surplus), -torch.inf)
        return logits.log_softmax(-1)


def draw(log_probabilities: Tensor, uniform: Tensor) -> Tensor:
    """[B]: inverse-CDF sampling, one uniform a row. log_probabilities: [B, V], uniform: [B] in [0, 1)."""
    cumulative = log_probabilities.exp().cumsum(-1)
    # The sum is 1 only up to rounding; scaled by it, no uniform can fall behind the last token.
    threshold = uniform.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    token = torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
    # A uniform that rounds to 1 lands behind the last token that may be drawn: step back to it.
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous()).squeeze(1)
    return torch.minimum(token, last).clamp(max=log_probabilities.shape[-1] - 1)


@torch.no_grad()
def sample(
    generator: Generator,
    prompts: Batch,
    *,
    max_length: int,
    eos: int | None,
    pad: int,
    seed: int = 0,
    seeds: Tensor | None = None,
    sampling: Sampling = Sampling(),
) -> Batch:
    """One completion for every row of ``prompts``, of which only the prompt parts are read.

    max_length: tokens a row may have in all, BOS and prompt included; a row that reaches it ends without EOS.
    eos: None where nothing else ends a row.
    seeds: [B] int64, a seed a row; by default the rows of the stream ``seed``.

    Runs in eval mode whatever mode the generator is in, and leaves that mode as it was. Logprobs are those of
    the distribution drawn from, filters and temperature included.
    """
    device = prompts.tokens.device
    rows = len(prompts)
    prompt_length = prompts.prompt_length
    shortest, longest = int(prompt_length.min()), int(prompt_length.max())
    if longest >= max_length:
        raise ValueError(f"a prompt of {longest} tokens leaves nothing to write within {max_length}")
    seeds = row_seeds(seed, rows) if seeds is None else seeds
    numbers = uniforms(seeds, max_length).float().to(device)
    tokens = torch.full((rows, max_length), pad, dtype=torch.long, device=device)
    given = torch.arange(longest, device=device) < prompt_length[:, None]
    tokens[:, :longest] = torch.where(given, prompts.tokens[:, :longest], pad)
    logprobs = torch.zeros(rows, max_length, device=device)
    mask = torch.zeros(rows, max_length, dtype=torch.bool, device=device)

    was_training = generator.training
    generator.eval()
    try:
        alive = torch.arange(rows, device=device)
        feature, state = generator.read(tokens[:, :shortest], generator.start(rows))
        for i in range(shortest, max_length):
            distribution = sampling.log_probabilities(generator.output(feature))
            chosen = draw(distribution, numbers[alive, i])
            free = i >= prompt_length[alive]
            token = torch.where(free, chosen, tokens[alive, i])
            tokens[alive, i] = token
            mask[alive, i] = free
            logprobs[alive, i] = torch.where(free, distribution.gather(1, token[:, None]).squeeze(1), 0.0)
            going = torch.ones_like(free) if eos is None else ~(free & (token == eos))
            if i + 1 == max_length or not going.any():
                break
            if not going.all():
                kept = going.nonzero().squeeze(1)
                alive, token, state = alive[kept], token[kept], state.select(kept)
            feature, state = generator.read(token[:, None], state)
    finally:
        generator.train(was_training)
    return Batch(tokens, mask, prompt_length, logprobs).rows(slice(None))


def tempered_logprobs(logits: Tensor, tokens: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """[B, L]: log P(tokens[:, i] | tokens[:, :i]) at a temperature, 0 off the mask, with a gradient.

    logits: [B, L, V] as a generator returns them: logits[:, i] speaks of position i + 1. tokens, mask: [B, L].
    """
    # Only the positions asked for: the distributions of the others are most of the memory, and of the time.
    kept = mask[:, 1:]
    predicted = logits[:, :-1][kept].float()
    if temperature != 1:
        predicted = predicted / temperature
    chosen = -torch.nn.functional.cross_entropy(predicted, tokens[:, 1:][kept], reduction="none")
    return torch.nn.functional.pad(chosen.new_zeros(kept.shape).masked_scatter(kept, chosen), (1, 0))
