"""RelGAN's generator: a relational memory core (Santoro et al. 2018; as a text GAN's generator Nie et al. 2019).

A memory m of M slots takes in a token x by self-attention over slots and token together, and is gated like an LSTM's
cell (Santoro et al. 2018, section 3):

    a = LN(y + attention(y)),  b = LN(a + MLP(a))        with y = [m; W x], once a block
    m' = sigmoid(g_i) tanh(b) + sigmoid(g_f) m           with (g_i, g_f) = U W x + V tanh(m)

The output layer reads m'. Layer norms run over slots and width together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgan.models.latent import needed, noise_layer


@dataclass(frozen=True)
class MemoryState:
    """memory: [B, M, H]."""

    memory: Tensor

    def select(self, index: Tensor) -> MemoryState:
        return MemoryState(self.memory[index])


class RelationalMemory(nn.Module):
    """The memory core: [B, M, H] and a token's embedding [B, E] to the next [B, M, H].

    The blocks of one step share their weights. The forget gate starts at sigmoid(1).
    """

    def __init__(self, embedding: int, hidden: int, heads: int, slots: int, blocks: int):
        super().__init__()
        if hidden % heads:
            raise ValueError(f"a memory of width {hidden} cannot be cut into {heads} heads")
        self.hidden, self.heads, self.slots, self.blocks = hidden, heads, slots, blocks
        self.project = nn.Linear(embedding, hidden)
        self.attention = nn.Linear(hidden, 3 * hidden)
        self.attention_norm = nn.LayerNorm([slots + 1, 3 * hidden])
        self.memory_norm = nn.LayerNorm([slots + 1, hidden])
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.mlp_norm = nn.LayerNorm([slots + 1, hidden])
        self.input_gates = nn.Linear(hidden, 2 * hidden)
        self.memory_gates = nn.Linear(hidden, 2 * hidden, bias=False)
        with torch.no_grad():
            self.input_gates.bias[hidden:] += 1

    def start(self, rows: int) -> MemoryState:
        """Every slot another unit vector, so that attention can tell them apart."""
        slots = torch.eye(self.slots, self.hidden, device=self.project.weight.device, dtype=self.project.weight.dtype)
        return MemoryState(slots.expand(rows, -1, -1))

    def forward(self, embedded: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """[B, T, E] -> [B, T, M H], the memory after every token, and the state after the last."""
        # What does not depend on the memory is one product for all tokens.
        inputs = self.project(embedded)
        gates = self.input_gates(inputs)
        memory, memories = state.memory, []
        for token, gate in zip(inputs.unbind(1), gates.unbind(1), strict=True):
            memory = self._step(token, gate, memory)
            memories.append(memory.flatten(1))
        return torch.stack(memories, 1), MemoryState(memory)

    def _step(self, token: Tensor, gate: Tensor, memory: Tensor) -> Tensor:
        """token: [B, H], gate: [B, 2 H], memory: [B, M, H] -> [B, M, H]."""
        mixed = torch.cat([memory, token[:, None]], 1)
        for _ in range(self.blocks):
            mixed = self.memory_norm(mixed + self._attend(mixed))
            mixed = self.mlp_norm(mixed + self.mlp(mixed))
        written, kept = (self.memory_gates(memory.tanh()) + gate[:, None]).sigmoid().chunk(2, -1)
        return torch.addcmul(kept * memory, written, mixed[:, :-1].tanh())

    def _attend(self, mixed: Tensor) -> Tensor:
        """[B, M + 1, H] -> [B, M + 1, H]: scaled dot-product attention of every slot and the token to all of them."""
        parts = self.attention_norm(self.attention(mixed)).unflatten(-1, (self.heads, 3, -1))
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(3))
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    @property
    def flops_per_token(self) -> int:
        rows, hidden = self.slots + 1, self.hidden
        block = rows * 2 * hidden * (3 * hidden + 2 * hidden) + 2 * 2 * rows * rows * hidden
        gates = (1 + self.slots) * 2 * hidden * 2 * hidden
        return 2 * self.project.in_features * hidden + self.blocks * block + gates


class RelationalGenerator(nn.Module):
    """Embedding, relational memory, linear. hidden: width H of a slot; its heads are H / heads wide.

    layers: attention blocks a token. embedding: width of the token embeddings; H by default, as ``tied`` needs it.
    latent: size of the noise z, a linear function of which is added to the initial memory; 0: none.
    """

    def __init__(
        self,
        vocabulary: int,
        hidden: int,
        layers: int = 1,
        heads: int = 2,
        dropout: float = 0.0,
        tied: bool = True,
        slots: int = 1,
        embedding: int | None = None,
        latent: int = 0,
    ):
        super().__init__()
        width = hidden if embedding is None else embedding
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.memory = RelationalMemory(width, hidden, heads, slots, layers)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(slots * hidden, vocabulary)
        if tied:
            if width != slots * hidden:
                raise ValueError(f"an embedding of width {width} cannot be tied to an output of {slots * hidden}")
            self.output.weight = self.embedding.weight
        # As long as the unit vectors that it is added to.
        self.noise = noise_layer(latent, slots * hidden, hidden**-0.5)

    def features(self, tokens: Tensor, latent: Tensor | None = None) -> Tensor:
        return self._read(tokens, self.start(len(tokens), latent))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int, latent: Tensor | None = None) -> MemoryState:
        start = self.memory.start(rows)
        if self.noise is None:
            return start
        return MemoryState(start.memory + self.noise(needed(latent)).view_as(start.memory))

    def state_size(self, length: int) -> int:
        return self.memory.slots * self.memory.hidden

    def read(self, tokens: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        features, state = self._read(tokens, state)
        return features[:, -1], state

    def _read(self, tokens: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        features, state = self.memory(self.dropout(self.embedding(tokens)), state)
        return self.dropout(features), state

    @property
    def flops_per_token(self) -> int:
        return self.memory.flops_per_token + 2 * self.output.in_features * self.output.out_features
