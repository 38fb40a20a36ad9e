"""Log-probabilities of given tokens under a generator, without the logits of a whole batch, [B, L, V].

The output layer and the softmax are computed for the positions asked for only, a chunk of them at a time, and a chunk
that fits into the cache is read there again and again: less memory, and less time. Where the weight of every token is
known beforehand (1 for maximum likelihood, the advantages for a policy gradient), the gradient is computed in the same
pass, chunk by chunk: three matrix products for the output layer (Hsu et al. 2024, Liger Kernel). Where it is not, a
chunk's logits are computed again in the backward pass: four.

A generator that is opaque says logits only: of a batch that has many, a few rows at a time are read, and read again in
the backward pass.

Shapes: N positions asked for, T temperatures, V vocabulary, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import cross_entropy, linear
from torch.utils.checkpoint import checkpoint

from mgan.game.estimators import all_action_loss
from mgan.models.protocols import Generator, Opaque

CHUNK = {"cpu": (128, 2**19), "accelerator": (1024, 2**26)}
"""A chunk's positions, and its logits where so many positions have fewer: what stays in a cache; what fills a GPU."""
Head = tuple[Tensor, Tensor, Tensor | None]
"""Features [N, H], output weight [V, H] and bias [V]."""
TOGETHER = 2**26
"""Logits of the rows of an opaque generator that are read together, unless one row has more."""


def token_logprobs(generator: Generator, tokens: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """[B, L]: log P(tokens[:, i] | tokens[:, :i]) at a temperature, 0 off the mask, with a gradient.

    tokens, mask: [B, L].
    """
    if isinstance(generator, Opaque):
        return _by_rows(generator, tokens, mask, (temperature,))[0]
    chosen: Tensor = _TokenLogprobs.apply(*_positions(generator, tokens, mask, temperature))  # type: ignore[no-untyped-call]
    return _spread(chosen, mask)


def weighted_logprobs(
    generator: Generator, tokens: Tensor, mask: Tensor, weights: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """sum_i weights_i log P(tokens[:, i] | tokens[:, :i]) over the mask, with a gradient; and the logprobs, without.

    tokens, mask, weights: [B, L]; the weights are constants. Returns a scalar and [B, L].
    """
    if isinstance(generator, Opaque):
        found = _by_rows(generator, tokens, mask, (temperature,))[0]
        return (weights.detach() * found).sum(), found.detach()
    positions = _positions(generator, tokens, mask, temperature)
    total, chosen = _WeightedSum.apply(weights.detach()[:, 1:][mask[:, 1:]], *positions)  # type: ignore[no-untyped-call]
    return total, _spread(chosen, mask)


@torch.no_grad()
def tempered_logprobs(generator: Generator, tokens: Tensor, mask: Tensor, temperatures: Sequence[float]) -> Tensor:
    """[T, B, L]: ``token_logprobs`` at several temperatures, without a gradient; the generator's body runs once."""
    if isinstance(generator, Opaque):
        return _by_rows(generator, tokens, mask, temperatures)
    chosen = _logprobs(*_positions(generator, tokens, mask, 1.0), temperatures)
    return torch.stack([_spread(row, mask) for row in chosen])


def next_token_kl(
    generator: Generator, other: Generator, tokens: Tensor, mask: Tensor, temperature: float = 1.0
) -> Tensor:
    """sum_i KL(P(. | tokens[:, :i]) || M(. | tokens[:, :i])) over the mask, nats: a scalar with a gradient to P alone.

    P: the generator at a temperature; M: the other, one of the same kind, at 1. tokens, mask: [B, L]. No [B, L, V].
    """
    if isinstance(generator, Opaque):
        parts = _parts(generator, tokens)
        rows = zip(tokens.tensor_split(parts), mask.tensor_split(parts), strict=True)
        found = [checkpoint(_kl_of_rows, generator, other, *some, temperature, use_reentrant=False) for some in rows]
        return torch.stack(found).sum()
    ours = _positions(generator, tokens, mask, temperature)[:3]
    with torch.no_grad():
        theirs = _positions(other, tokens, mask, 1.0)[:3]
    parts = -(-len(ours[0]) // max(1, _together(ours[0], ours[1])))
    chunks = zip(ours[0].tensor_split(max(1, parts)), theirs[0].tensor_split(max(1, parts)), strict=True)
    return torch.stack(
        [checkpoint(_kl_of_positions, (p, *ours[1:]), (m, *theirs[1:]), use_reentrant=False) for p, m in chunks]
    ).sum()


def _kl_of_rows(generator: Opaque, other: Opaque, tokens: Tensor, mask: Tensor, temperature: float) -> Tensor:
    kept = mask[:, 1:]
    with torch.no_grad():
        theirs = other(tokens[:, :-1])[kept]
    return _kl(generator(tokens[:, :-1])[kept] / temperature, theirs)


def _kl_of_positions(ours: Head, theirs: Head) -> Tensor:
    with torch.no_grad():
        logits = linear(*theirs)
    return _kl(linear(*ours), logits)


def _kl(ours: Tensor, theirs: Tensor) -> Tensor:
    """The sum over N. ours, theirs: [N, V] logits."""
    ours, theirs = (logits.to(_exact(logits.dtype)) for logits in (ours, theirs))
    return all_action_loss(ours, theirs.log_softmax(-1) - ours.log_softmax(-1)).sum()


def _parts(generator: Opaque, tokens: Tensor) -> int:
    return min(len(tokens), -(-tokens.numel() * generator.vocabulary // TOGETHER))


def _by_rows(generator: Opaque, tokens: Tensor, mask: Tensor, temperatures: Sequence[float]) -> Tensor:
    """[T, B, L]: as ``token_logprobs``, from the logits that the generator says."""
    parts = _parts(generator, tokens)
    if parts <= 1:
        return _read_whole(generator, tokens, mask, temperatures)
    rows = zip(tokens.tensor_split(parts), mask.tensor_split(parts), strict=True)
    found = [checkpoint(_read_whole, generator, *some, temperatures, use_reentrant=False) for some in rows]
    return torch.cat(found, 1)


def _read_whole(generator: Opaque, tokens: Tensor, mask: Tensor, temperatures: Sequence[float]) -> Tensor:
    kept = mask[:, 1:]
    logits, targets = generator(tokens[:, :-1])[kept], tokens[:, 1:][kept]
    logits = logits.to(_exact(logits.dtype))
    scaled = (logits / temperature if temperature != 1 else logits for temperature in temperatures)
    return torch.stack([_spread(-cross_entropy(x, targets, reduction="none"), mask) for x in scaled])


def _positions(
    generator: Generator, tokens: Tensor, mask: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor | None, Tensor, torch.dtype]:
    """Features [N, H], output weight [V, H] and bias [V], targets [N], and the type of the matrix products."""
    kept = mask[:, 1:]
    features = generator.features(tokens[:, :-1])[kept]
    bias: Tensor | None = generator.output.bias
    if temperature != 1:
        features, bias = features / temperature, None if bias is None else bias / temperature
    device = features.device.type
    low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
    return features, generator.output.weight, bias, tokens[:, 1:][kept], low


def _spread(chosen: Tensor, mask: Tensor) -> Tensor:
    """[N] -> [B, L]: each number at its place under the mask, 0 elsewhere."""
    kept = mask[:, 1:]
    return torch.nn.functional.pad(chosen.new_zeros(kept.shape).masked_scatter(kept, chosen), (1, 0))


def _chunks(features: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Which positions, and their logits [C, V], all in the same place."""
    size = _together(features, weight)
    # New memory for every chunk would take as long as a product.
    place = weight.new_empty(size, len(weight), dtype=_exact(weight.dtype))
    for start in range(0, len(features), max(size, 1)):
        rows = slice(start, start + size)
        found = place[: len(features) - start]
        if place.dtype != weight.dtype:
            found.copy_(linear(features[rows], weight, bias))
        elif bias is None:
            torch.mm(features[rows], weight.t(), out=found)
        else:
            torch.addmm(bias, features[rows], weight.t(), out=found)
        yield rows, found


def _together(features: Tensor, weight: Tensor) -> int:
    """Positions of a chunk."""
    fewest, logits = CHUNK["cpu" if features.device.type == "cpu" else "accelerator"]
    return min(len(features), max(fewest, logits // len(weight)))


def _shares(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The softmax before its division [C, V], written over the logits; its sums [C, 1]; the targets' logprobs [C]."""
    top = logits.amax(1, keepdim=True)
    chosen = logits.gather(1, targets[:, None]) - top
    shares = logits.sub_(top).exp_()
    total = shares.sum(1, keepdim=True)
    return shares, total, (chosen - total.log()).squeeze(1)


def _logprobs(
    features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, low: torch.dtype,
    temperatures: Sequence[float] = (1.0,),
) -> Tensor:  # fmt: skip
    """[T, N]. A chunk's logits are computed once for all temperatures."""
    x, w, b = _cast(low, features, weight, bias)
    found = targets.new_empty(len(temperatures), len(targets), dtype=_exact(low))
    for rows, logits in _chunks(x, w, b):
        for row, temperature in zip(found, temperatures, strict=True):
            row[rows] = _shares(logits / temperature if len(found) > 1 else logits.div_(temperature), targets[rows])[2]
    return found


def _gradients(
    weights: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, low: torch.dtype,
    needed: Sequence[bool],
) -> tuple[Tensor, list[Tensor | None]]:  # fmt: skip
    """The logprobs [N], and the gradients of sum(weights * logprobs) to features, weight and bias where needed.

    The gradient to the logits is weights * (one-hot - softmax). Its one-hot part needs no product over the vocabulary.
    """
    exact = _exact(low)
    x, w, b = _cast(low, features, weight, bias)
    weights = weights.to(exact)[:, None]
    logprobs = targets.new_empty(len(targets), dtype=exact)
    parts = zip((features, weight, bias), needed, strict=True)
    gradients = [torch.zeros_like(part, dtype=exact) if part is not None and wanted else None for part, wanted in parts]
    to_features, to_weight, to_bias = gradients
    for rows, logits in _chunks(x, w, b):
        shares, total, logprobs[rows] = _shares(logits, targets[rows])
        scale, shares = -weights[rows] / total, shares.to(low)
        if to_features is not None:
            to_features[rows] = scale * (shares @ w) + weights[rows] * w[targets[rows]]
        if to_weight is not None:
            _add_product(to_weight, shares.t(), (scale * x[rows]).to(low))
        if to_bias is not None:
            _add_product(to_bias[:, None], shares.t(), scale.to(low))
    if to_weight is not None:
        to_weight.index_add_(0, targets, weights * x)
    if to_bias is not None:
        to_bias.index_add_(0, targets, weights.squeeze(1))
    return logprobs, gradients


def _exact(low: torch.dtype) -> torch.dtype:
    """The type of softmax, sums and gradients."""
    return torch.promote_types(low, torch.float32)


def _cast(
    low: torch.dtype, features: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    return features.to(low), weight.to(low), None if bias is None else bias.to(low)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b, in one operation where all three have the same type."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


class _TokenLogprobs(Function):
    """[N], of which the backward pass computes the logits again."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, low: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(features, weight, bias, targets)
        ctx.low = low
        return _logprobs(features, weight, bias, targets, low)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, targets = ctx.saved_tensors
        _, gradients = _gradients(upstream, features, weight, bias, targets, ctx.low, ctx.needs_input_grad[:3])
        return (*gradients, None, None)


class _WeightedSum(Function):
    """sum(weights * logprobs) and the logprobs [N]. The gradient is ready when the sum is."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor,
        low: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        logprobs, gradients = _gradients(weights, features, weight, bias, targets, low, ctx.needs_input_grad[1:4])
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(logprobs)
        return (weights * logprobs).sum(), logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *(None if part is None else part * upstream for part in ctx.saved_tensors), None, None)
