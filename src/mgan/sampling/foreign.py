"""Sampling from a generator that writes by itself: it keeps the state, the tokens are chosen here.

Every token comes from the number of its row and position, as in the decode loop: equal models write equal texts,
whichever of the two wrote them. Prompts of several lengths need no padding on the left: what the longer ones still
have behind the shortest is chosen for them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.models.protocols import Opaque
from mgan.sampling.distribution import Sampling, draw_tokens
from mgan.types import Batch


def complete(
    generator: Opaque, tokens: Tensor, prompt_length: Tensor, numbers: Tensor, eos: int | None, sampling: Sampling
) -> Batch:
    """The prompts completed, in the mode that the generator is in.

    tokens: [B, L] int64, the prompts and padding, L the most tokens of a row. numbers: [B, L] in [0, 1).
    """
    shortest, length = int(prompt_length.min()), tokens.shape[1]
    given = torch.arange(length, device=tokens.device) < prompt_length[:, None]
    tokens, mask = tokens.clone(), torch.zeros_like(given)
    logprobs = torch.zeros(tokens.shape, device=tokens.device)
    going = torch.ones_like(given[:, 0])
    places = iter(range(shortest, length))

    def choose(logits: Tensor) -> tuple[Tensor, bool]:
        nonlocal going
        i = next(places)
        token, logprob = draw_tokens(logits, numbers[:, i], sampling)
        free = going & ~given[:, i]
        tokens[:, i] = token = torch.where(free, token, tokens[:, i])
        mask[:, i] = free
        logprobs[:, i] = torch.where(free, logprob, 0.0)
        if eos is not None:
            going = going & ~(free & (token == eos))
        return token, i + 1 < length and bool(going.any())

    generator.write(tokens[:, :shortest], length - shortest, choose)
    return Batch(tokens, mask, prompt_length, logprobs).rows(slice(None))
