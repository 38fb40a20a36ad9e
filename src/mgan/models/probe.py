"""What an opened model really does, tried on a few tokens: how it makes its logits, keeps its state, and writes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from mgan.models.opaque import OpaqueGenerator
from mgan.types import UserError

LENGTH, FIRST = 9, 4
TOLERANCE = 1e-3
"""Of the largest logit or feature."""


@torch.no_grad()
def difference(generator: Any) -> str | None:
    """What a ``PretrainedGenerator`` does in another way than the model inside, in words; None: nothing."""
    model = generator.model
    # On small logits a cap can hardly be seen.
    if getattr(model.config.get_text_config(), "final_logit_softcapping", None) is not None:
        return "caps its logits"
    found = "makes its logits in a way of its own"
    # An architecture that differs may differ in anything.
    with suppress(Exception):
        tokens = _tokens(model)
        features = generator.features(tokens)
        if not agree(generator.output(features), model(input_ids=tokens, use_cache=False).logits):
            return found
        found = "keeps its state in a way of its own"
        sizes = generator.state_size(LENGTH) + generator.flops_per_token
        if sizes > 0 and _reads_on(generator, tokens, features):
            return None
    return found


def _reads_on(generator: Any, tokens: Tensor, features: Tensor) -> bool:
    """Whether rows chosen from a state go on by one token and by several; and once more, the state being a value."""
    swap = torch.tensor([1, 0])
    rows, expected = tokens[swap], features[swap]
    _, state = generator.read(tokens[:, :FIRST], generator.start(2))
    for _ in range(2):
        one, further = generator.read(rows[:, FIRST : FIRST + 1], state.select(swap))
        last, _ = generator.read(rows[:, FIRST + 1 :], further)
        if not (agree(one, expected[:, FIRST]) and agree(last, expected[:, -1])):
            return False
    return True


@torch.no_grad()
def must_write(generator: OpaqueGenerator) -> None:
    """Raises UserError if what the model says of a text depends on what follows, or differs while it writes."""
    name = type(generator.model).__name__
    try:
        tokens = _tokens(generator.model)
        expected = generator(tokens)
        other = torch.cat([tokens[:, :FIRST], tokens[:, FIRST:].flip(0)], 1)
        causal = agree(generator(other)[:, :FIRST], expected[:, :FIRST])
        written = _while_writing(generator, tokens)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"generator.pretrained: a {name} cannot write text ({reason})") from error
    if not causal:
        raise UserError(
            f"generator.pretrained: a {name} looks ahead: what it says of a text's beginning depends on what follows; "
            "take a causal language model, like Llama, Qwen or SmolLM"
        )
    if not agree(written, expected[:, FIRST - 1 : -1]):
        raise UserError(
            f"generator.pretrained: a {name} says another thing of a text that it reads bit by bit than of the whole; "
            "take a causal language model, like Llama, Qwen or SmolLM"
        )


def _while_writing(generator: OpaqueGenerator, tokens: Tensor) -> Tensor:
    """[2, LENGTH - FIRST, V]: the logits while it is made to write the tokens."""
    said: list[Tensor] = []

    def choose(logits: Tensor) -> tuple[Tensor, bool]:
        said.append(logits)
        return tokens[:, FIRST + len(said) - 1], FIRST + len(said) < LENGTH

    generator.write(tokens[:, :FIRST], LENGTH - FIRST, choose)
    return torch.stack(said, 1)


def _tokens(model: Any) -> Tensor:
    vocabulary = model.config.get_text_config().vocab_size
    return torch.arange(2 * LENGTH).view(2, LENGTH) * 7 % vocabulary


def agree(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max())
