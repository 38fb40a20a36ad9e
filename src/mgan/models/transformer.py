"""A small GPT-style pair on transformers' GPT-2 (Radford et al. 2019), trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from mgan.game.signals import final
from mgan.models.kv_cache import CacheState, empty_cache, read_cached, read_embedded, room
from mgan.models.latent import needed, noise_layer


def gpt2_config(
    vocabulary: int, hidden: int, layers: int, heads: int, dropout: float, context: int, tied: bool = True
) -> GPT2Config:
    return GPT2Config(
        vocab_size=vocabulary,
        n_embd=hidden,
        n_layer=layers,
        n_head=heads,
        n_positions=context,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        tie_word_embeddings=tied,
        # The same function as GPT-2's own "gelu_new", in one operation: half the memory of a training step.
        activation_function="gelu_pytorch_tanh",
        bos_token_id=None,
        eos_token_id=None,
    )


def gpt2_flops(config: GPT2Config) -> int:
    """Per token: 12 H^2 weights a block, and attention over half a context on average."""
    weights = 12 * config.n_embd**2
    attention = 2 * config.n_embd * config.n_positions // 2
    return config.n_layer * 2 * (weights + attention)


@dataclass(frozen=True)
class ShiftedState:
    """cache: what has been read. shift: [B, H], what noise adds to every input embedding."""

    cache: CacheState
    shift: Tensor

    def select(self, index: Tensor) -> ShiftedState:
        return ShiftedState(self.cache.select(index), self.shift[index])


class TransformerGenerator(nn.Module):
    """A GPT-2 of any size. Reads at most ``context`` tokens.

    latent: size of the noise z, a linear function of which is added to every input embedding; 0: none.
    """

    def __init__(self, config: GPT2Config, latent: int = 0):
        super().__init__()
        self.model = GPT2LMHeadModel(config)
        self.noise = noise_layer(latent, config.n_embd, config.initializer_range)

    @property
    def output(self) -> nn.Linear:
        return self.model.lm_head

    def features(self, tokens: Tensor, latent: Tensor | None = None) -> Tensor:
        body = self.model.transformer
        if self.noise is None:
            return body(input_ids=tokens, use_cache=False).last_hidden_state
        embedded = body.wte(tokens) + self.noise(needed(latent))[:, None]
        return body(inputs_embeds=embedded, use_cache=False).last_hidden_state

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int, latent: Tensor | None = None) -> CacheState | ShiftedState:
        cache = empty_cache(self.model.transformer, rows)
        return cache if self.noise is None else ShiftedState(cache, self.noise(needed(latent)))

    def state_size(self, length: int) -> int:
        config = self.model.config
        return 2 * config.n_layer * config.n_embd * room(length, config.n_positions)

    def read(self, tokens: Tensor, state: CacheState | ShiftedState) -> tuple[Tensor, CacheState | ShiftedState]:
        body = self.model.transformer
        if isinstance(state, CacheState):
            return read_cached(body, tokens, state)
        feature, cache = read_embedded(body, body.wte(tokens) + state.shift[:, None], state.cache)
        return feature, ShiftedState(cache, state.shift)

    @property
    def flops_per_token(self) -> int:
        config = self.model.config
        return gpt2_flops(config) + 2 * config.n_embd * config.vocab_size


class TransformerDiscriminator(nn.Module):
    """A causal GPT-2 body with a linear head at every prefix (zero at the start)."""

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.model = nn.ModuleDict({"transformer": GPT2Model(config)})
        self.head = nn.Linear(config.n_embd, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self._hidden(tokens)).squeeze(-1)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.head(final(self._hidden(tokens), mask)).squeeze(-1)

    def _hidden(self, tokens: Tensor) -> Tensor:
        return self.model["transformer"](input_ids=tokens, use_cache=False).last_hidden_state

    @property
    def flops_per_token(self) -> int:
        return gpt2_flops(self.model["transformer"].config)  # type: ignore[arg-type]

    @property
    def flops_per_verdict(self) -> int:
        return 2 * self.head.in_features
