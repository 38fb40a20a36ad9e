"""Keys and values of the tokens read so far, and a GPT-2's step over them: its own weights, without its bookkeeping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Model

SPARE = 64
PAGE, LINE = 4096, 16


@dataclass
class Buffer:
    """layers: keys and values of each layer, [2, B, heads, room, H / heads]. filled: positions that are in use."""

    layers: list[Tensor]
    filled: int


@dataclass(frozen=True)
class CacheState:
    """Keys and values of each row's first ``length`` tokens.

    A value: nothing that is done with it changes it. A step writes behind ``length`` into the room that the state
    before it has left; if another step has already written there, or none is left, into a copy.

    matrices: the four of each layer, as they were when nothing had been read: a state is for one set of weights.
    """

    matrices: list[list[Tensor]]
    buffer: Buffer
    length: int

    def select(self, index: Tensor) -> CacheState:
        layers = [_empty(layer, len(index), layer.shape[3]) for layer in self.buffer.layers]
        for layer, chosen in zip(self.buffer.layers, layers, strict=True):
            torch.index_select(layer[..., : self.length, :], 1, index, out=chosen[..., : self.length, :])
        return CacheState(self.matrices, Buffer(layers, self.length), self.length)

    def longer(self, count: int, limit: int) -> CacheState:
        """The state of ``count`` more tokens, at most ``limit`` in all, whose keys and values are yet to be written."""
        end = self.length + count
        if end > limit:
            raise ValueError(f"{end} tokens are more than the context of {limit}")
        if self.buffer.filled == self.length and end <= self.buffer.layers[0].shape[3]:
            self.buffer.filled = end
            return CacheState(self.matrices, self.buffer, end)
        layers = [_empty(layer, layer.shape[1], room(end, limit)) for layer in self.buffer.layers]
        for layer, larger in zip(self.buffer.layers, layers, strict=True):
            larger[..., : self.length, :] = layer[..., : self.length, :]
        return CacheState(self.matrices, Buffer(layers, end), end)


def _empty(layer: Tensor, rows: int, positions: int) -> Tensor:
    return layer.new_empty(2, rows, layer.shape[2], positions, layer.shape[4])


def room(length: int, limit: int) -> int:
    """Positions to set aside for ``length`` tokens, of at most ``limit``: some to spare, because fresh memory is dear,
    and half as many again, so that growing copies an entry about twice in all.
    """
    return min(limit, length + max(SPARE, length // 2))


def empty_cache(model: GPT2Model, rows: int) -> CacheState:
    """The state of ``rows`` sequences of which nothing has been read."""
    config, weight = model.config, model.wte.weight
    shape = (2, rows, config.n_head, 0, config.n_embd // config.n_head)
    blocks: Iterable[Any] = model.h
    matrices = [
        [_apart(layer.weight) for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)]
        for block in blocks
    ]
    return CacheState(matrices, Buffer([weight.new_empty(shape)] * config.n_layer, 0), 0)


@torch.no_grad()
def _apart(matrix: Tensor) -> Tensor:
    """The same matrix, its rows apart by other than whole pages of memory.

    Rows whole pages apart share few lines of a processor's cache: a product of 64 rows of text with such a matrix takes
    twice as long, which is far more than copying it once.
    """
    if matrix.device.type != "cpu" or matrix.stride(0) * matrix.element_size() % PAGE:
        return matrix
    return F.pad(matrix, (0, LINE))[:, :-LINE]


def _linear(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """x @ matrix + bias, its rows as far apart as the matrix's."""
    result = x.new_empty(len(x), matrix.stride(0))[:, : matrix.shape[1]]
    return torch.addmm(bias, x, matrix, out=result)


@torch.no_grad()
def read_cached(model: GPT2Model, tokens: Tensor, state: CacheState) -> tuple[Tensor, CacheState]:
    """Read [B, T] more tokens. Returns the model's last hidden state at the last of them, [B, H], and the new state.

    In eval mode whatever mode the model is in, and without a gradient.
    """
    return read_embedded(model, F.embedding(tokens, model.wte.weight), state)


@torch.no_grad()
def read_embedded(model: GPT2Model, embedded: Tensor, state: CacheState) -> tuple[Tensor, CacheState]:
    """The same of embedded tokens, [B, T, H]."""
    rows, count, _ = embedded.shape
    after = state.longer(count, model.config.n_positions)
    x = embedded + model.wpe.weight[state.length : after.length]
    x = x.flatten(0, 1)
    blocks: Iterable[Any] = model.h
    for block, matrices, cached in zip(blocks, state.matrices, after.buffer.layers, strict=True):
        attention, mlp = block.attn, block.mlp
        to_mixed, from_attended, to_inner, from_inner = matrices
        mixed = _linear(block.ln_1(x), to_mixed, attention.c_attn.bias)
        mixed = mixed.view(rows, count, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        cached[:, :, :, state.length : after.length] = mixed[1:]
        key, value = cached[:, :, :, : after.length]
        attended = _attention(mixed[0], key, value, attention.scaling).transpose(1, 2).reshape(len(x), -1)
        x.add_(attention.c_proj.bias).addmm_(attended, from_attended)
        inner = _gelu(_linear(block.ln_2(x), to_inner, mlp.c_fc.bias))
        x.add_(mlp.c_proj.bias).addmm_(inner, from_inner)
    return model.ln_f(x.view(rows, count, -1)[:, -1]), after


def _attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """query: [B, heads, T, D], of the last T of L positions. key, value: [B, heads, L, D]. Returns [B, heads, T, D]."""
    rows, heads, count, _ = query.shape
    if count == 1 and query.device.type == "cpu":
        # Products of a matrix and a vector, for which the fused kernel is the slower one.
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))
        weight = torch.baddbmm(query.new_empty(1, 1, 1), query, key.transpose(1, 2), beta=0, alpha=scale).softmax(-1)
        return torch.bmm(weight, value).view(rows, heads, 1, -1)
    seen = None
    if count > 1:
        length = key.shape[2]
        seen = torch.ones(count, length, dtype=torch.bool, device=query.device).tril(length - count)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)


def _gelu(x: Tensor) -> Tensor:
    """GPT-2's own, with a tanh, which is x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): half the time on a CPU."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return F.gelu(x, approximate="tanh")
    slope = 2 * math.sqrt(2 / math.pi)
    return torch.addcmul(x.new_tensor(slope), x, x, value=0.044715 * slope).mul_(x).sigmoid_().mul_(x)
