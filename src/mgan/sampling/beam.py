"""Beam search (Sutskever et al. 2014, section 3.2): the likeliest completion that a narrow search finds.

Each step the ``width`` likeliest of all continuations go on, one fewer for every hypothesis that has ended: it keeps
its place. What has ended is compared by log P(y) / |y|^alpha, EOS counted, as in transformers and fairseq: with alpha 0
short ones are favoured, with alpha 1 it is the mean a token. A hypothesis that fills its room without EOS counts where
none has ended. Width 1 is greedy decoding; a width of all hypotheses finds the best one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mgan.models.latent import noise_of
from mgan.models.protocols import Generator, Opaque, ReadsSource
from mgan.sampling.conditional import Shift
from mgan.sampling.distribution import Sampling
from mgan.types import Batch, UserError


@dataclass(frozen=True)
class Beam:
    """width: hypotheses of a prompt that are followed. length_penalty: alpha, 0 or more. suppress: tokens that are
    never written.
    """

    width: int = 4
    length_penalty: float = 1.0
    suppress: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or not 0 <= self.length_penalty < float("inf"):
            raise ValueError(
                f"a beam has a width of 1 or more and a length penalty of 0 or more, not {self.width} and "
                f"{self.length_penalty}"
            )

    def value(self, logprob: Tensor, tokens: Tensor) -> Tensor:
        """What hypotheses of so many tokens are compared by. logprob: [B, W], tokens: [B]."""
        return logprob / tokens[:, None] ** self.length_penalty


def searchable(generator: Generator) -> bool:
    """Whether ``search`` takes it: its state can be had, and a text depends on no noise."""
    return not isinstance(generator, Opaque) and noise_of(generator) is None


@torch.no_grad()
def search(generator: Generator, prompts: Batch, beam: Beam, *, max_length: int, eos: int | None, pad: int) -> Batch:
    """The best completion of every row of ``prompts``, of which only the prompt parts are read; in eval mode.

    max_length: tokens a row may have in all, BOS and prompt included. logprobs: at temperature 1, what is suppressed
    left out. Raises UserError for a generator that is not ``searchable``.
    """
    if int(prompts.prompt_length.max()) >= max_length:
        raise ValueError(
            f"a prompt of {int(prompts.prompt_length.max())} tokens leaves nothing to write within {max_length}"
        )
    if isinstance(generator, Opaque):
        raise UserError(
            f"beam search follows several texts at once, and of this generator {generator.difference}: take a beam of 1"
        )
    if noise_of(generator) is not None:
        raise UserError("a generator with latent noise writes another text for every noise: sample instead of a beam")
    was_training = generator.training
    generator.eval()
    try:
        if not isinstance(generator, ReadsSource):
            limit = torch.full_like(prompts.prompt_length, max_length)
            return _search(generator, prompts, generator.start(len(prompts)), limit, beam, eos, pad)
        shift = Shift.of(generator, prompts.tokens)
        found = _search(
            generator, shift.apart(prompts), shift.encode(generator), max_length - shift.by, beam, eos, pad
        )  # fmt: skip
        return shift.behind_sources(found, max_length, pad).rows(slice(None))
    finally:
        generator.train(was_training)


def _search(
    generator: Generator, prompts: Batch, state: Any, limit: Tensor, beam: Beam, eos: int | None, pad: int
) -> Batch:
    """limit: [B], tokens that each row may have in all. Below, b of the rows are still searched, W hypotheses each."""
    device, given, width = limit.device, prompts.prompt_length, beam.width
    count, shortest, longest = len(prompts), int(given.min()), int(limit.max())
    precise = torch.float32 if device.type == "mps" else torch.float64
    sampling, slots = Sampling(suppress=beam.suppress), torch.arange(width, device=device)
    rows = torch.full((count, longest), pad, dtype=torch.long, device=device)
    read = min(longest, prompts.tokens.shape[1])
    rows[:, :read] = prompts.tokens[:, :read]
    place = torch.arange(longest, device=device)
    rows = rows.masked_fill(place >= given[:, None], pad)

    best = torch.full((count,), -torch.inf, dtype=precise, device=device)
    written, lengths = rows.clone(), given.clone()
    logprobs = torch.zeros(count, longest, device=device)
    # Of each hypothesis: its tokens, their logprobs and the sum of these; in the beginning there is one.
    row = torch.arange(count, device=device)
    tokens, steps = rows[:, None].repeat(1, width, 1), logprobs[:, None].repeat(1, width, 1)
    score = torch.full((count, width), -torch.inf, dtype=precise, device=device)
    score[:, 0] = 0.0
    places = torch.full((count,), width, device=device)
    feature, state = generator.read(rows[:, :shortest], state)
    chosen = row.repeat_interleave(width)
    feature, state = feature[chosen], state.select(chosen)
    for i in range(shortest, longest):
        parent, token, step, total = _extended(sampling.log_probabilities(generator.output(feature)), score)
        total = total.masked_fill(slots >= places[:, None], -torch.inf)
        free = (i >= given[row])[:, None]
        parent, token = torch.where(free, parent, slots), torch.where(free, token, rows[row, i][:, None])
        step, total = torch.where(free, step, 0.0), torch.where(free, total, score)
        tokens, steps = (_of(parent, values) for values in (tokens, steps))
        tokens[:, :, i], steps[:, :, i] = token, step

        ended = free & (total > -torch.inf) & (token == (-1 if eos is None else eos))
        last = (limit[row] == i + 1)[:, None]
        cut = last & ~ended.any(1, keepdim=True) & (best[row] == -torch.inf)[:, None]
        values = beam.value(total, (i + 1 - given[row]).clamp(min=1)).masked_fill(~(ended | cut), -torch.inf)
        value, slot = values.max(1)
        better = value > best[row]
        found, slot = row[better], slot[better]
        best[found], lengths[found] = value[better], i + 1
        written[found], logprobs[found] = tokens[better, slot], steps[better, slot]

        score = total.masked_fill(ended | last, -torch.inf)
        places = places - ended.sum(1)
        # More tokens never make a hypothesis likelier: at its best it has its room for the sum that it has now.
        hope = beam.value(score, limit[row] - given[row]).amax(1)
        kept = (hope > best[row]).nonzero().squeeze(1)
        if not len(kept):
            break
        chosen = (kept[:, None] * width + parent[kept]).flatten()
        row, tokens, steps, score, places = (of[kept] for of in (row, tokens, steps, score, places))
        feature, state = generator.read(token[kept].view(-1, 1), state.select(chosen))
    mask = (place >= given[:, None]) & (place < lengths[:, None])
    return Batch(written.masked_fill(place >= lengths[:, None], pad), mask, given, logprobs).rows(slice(None))


def _extended(logprobs: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The W likeliest hypotheses of each row that are one token longer, [b, W] each: which they go on from, the token,
    its logprob, and the sum. logprobs: [b * W, V], score: [b, W].
    """
    width = score.shape[1]
    # Of one hypothesis no more than W go on.
    step, token = logprobs.topk(min(width, logprobs.shape[1]))
    share = step.shape[1]
    step, token = step.view(len(score), -1), token.view(len(score), -1)
    total, place = (score.repeat_interleave(share, 1) + step).topk(width)
    return place // share, token.gather(1, place), step.gather(1, place), total


def _of(parent: Tensor, values: Tensor) -> Tensor:
    """[b, W, L]: the values of the hypotheses that these go on from."""
    return values.gather(1, parent[..., None].expand_as(values))
