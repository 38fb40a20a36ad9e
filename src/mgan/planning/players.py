"""The two players of a configuration as networks without weights. Of a pretrained model only config.json is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mgan.config import ORACLE, PRETRAINED_JUDGES, Config, Lora
from mgan.data import pretrained
from mgan.models.build import Architecture
from mgan.planning.live import size
from mgan.sections.values import EVERY_PREFIX, PAIRS
from mgan.types import UserError

ENCODER_DECODER = "mgan plan cannot tell yet what an encoder-decoder generator takes: plan for a causal one of its size"
FROM_SCRATCH = ", with generator.architecture=transformer"
INSTEAD = {
    "relgan": "discriminator.architecture=cnn",
    "language_model": "discriminator.architecture=lstm game.loss=binary game.value=minimax",
}
"""Discriminators that cannot be planned for, and what to type for the nearest that can."""
LAYERS_OF_FEATURES = 4
"""Of a text the means of three layers and one maximum (models/features.py)."""


@dataclass(frozen=True)
class Player:
    """module: what is built. base, learns: bytes of weights that do not learn, which copies share, and that do.

    read: [B, L] tokens -> a tensor with a gradient, what an update begins from: features, or logits.
    output: the generator's output layer. state: numbers that a row of L tokens holds while it is written.
    copies: as many networks (an ensemble's) of which a text meets one. stepwise: reads a token after the other.
    """

    module: nn.Module
    base: int
    learns: int
    kept: int
    read: Callable[[Tensor], Tensor]
    output: nn.Linear | None = None
    state: Callable[[int], int] = lambda length: 0
    copies: int = 1
    stepwise: bool = False


def vocabulary(config: Config) -> int:
    """Tokens of a network from scratch: an oracle's own, else the most that the tokenizer may have."""
    return config.data.oracle.vocabulary if config.data.path == ORACLE else config.tokenizer.vocabulary


def generator(config: Config) -> Player:
    section = config.generator
    if section.architecture == "encoder_decoder":
        raise UserError(ENCODER_DECODER + FROM_SCRATCH)
    if section.per_label:
        raise UserError(
            "mgan plan reads no data, so it cannot tell how many networks generator.per_label=true makes: plan for one "
            "with generator.per_label=false, and count its rows 'generator', 'copies', 'optimizers', 'kept weights' "
            "and 'best so far' once a label"
        )
    if section.pretrained is None:
        network: Any = Architecture.of("generator", section, vocabulary(config), section).build()
    else:
        network = _causal(section.pretrained, section.context)
        _save_memory(network.model, config, section.lora, ())
    stepwise = section.pretrained is None and section.architecture == "relational"

    def read(tokens: Tensor) -> Tensor:
        noise = tokens.new_zeros(len(tokens), section.latent, dtype=torch.float)
        return network.features(tokens, noise) if section.latent else network.features(tokens)

    return Player(network, *_sizes(network, config), read, network.output, network.state_size, stepwise=stepwise)


def discriminator(config: Config) -> Player:
    section = config.discriminator
    if instead := INSTEAD.get(section.architecture):
        raise UserError(
            f"mgan plan cannot tell yet what discriminator.architecture={section.architecture} takes: plan for the "
            f"nearest it knows, with {instead}"
        )
    if section.architecture not in PRETRAINED_JUDGES:
        network: Any = Architecture.of("discriminator", section, vocabulary(config), config.generator).build()

        def judge(tokens: Tensor) -> Tensor:
            if config.game.signal in EVERY_PREFIX and config.game.loss not in PAIRS:
                return network(tokens)
            return network.verdict(tokens, torch.ones_like(tokens, dtype=torch.bool))

        return Player(network, *_sizes(network, config), judge)
    shape = _shape(config.discriminator_source() or "")
    if section.architecture == "features":
        return _on_features(config, shape)
    model = _classifier(shape)
    head = {name for name, _ in model.named_parameters() if name.startswith(("score", "classifier"))}
    _save_memory(model, config, section.lora, head)
    limit = getattr(shape, "max_position_embeddings", None) or config.generator.context

    def ask(tokens: Tensor) -> Tensor:
        inputs = tokens[:, :limit]
        if section.architecture == "causal":
            body = model.base_model(input_ids=inputs, use_cache=False)
            return model.score(body.last_hidden_state)
        return model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits

    return Player(model, *_sizes(model, config), ask, copies=section.ensemble)


def _on_features(config: Config, shape: Any) -> Player:
    import transformers

    loader: Any = transformers.AutoModel  # its from_config carries no types
    backbone = loader.from_config(shape)
    backbone.eval().requires_grad_(False)
    section, width = config.discriminator, LAYERS_OF_FEATURES * shape.hidden_size
    heads = nn.ModuleList(
        nn.Sequential(nn.LayerNorm(width), nn.Linear(width, section.hidden), nn.GELU(), nn.Linear(section.hidden, 1))
        for _ in range(section.ensemble)
    )

    def ask(tokens: Tensor) -> Tensor:
        for rows in torch.split(tokens[:, : shape.max_position_embeddings], 64):
            with torch.no_grad():
                backbone(input_ids=rows, attention_mask=torch.ones_like(rows), output_hidden_states=True)
        return torch.stack([head(torch.empty(len(tokens), width)) for head in heads])

    whole = nn.ModuleList([backbone, heads])
    return Player(whole, *_sizes(whole, config), ask)


def _causal(model: str, context: int) -> Any:
    import transformers

    from mgan.models.pretrained import PretrainedGenerator

    shape = pretrained.load(model, "configuration", _configuration())
    if shape.is_encoder_decoder:
        raise UserError(ENCODER_DECODER)
    loader: Any = transformers.AutoModelForCausalLM
    return PretrainedGenerator(loader.from_config(shape, dtype=torch.float32), context).eval()


def _classifier(shape: Any) -> Any:
    import transformers

    shape.num_labels = 1
    loader: Any = transformers.AutoModelForSequenceClassification
    return loader.from_config(shape, dtype=torch.float32).eval()


def _shape(model: str) -> Any:
    from mgan.models.hub import Source, loading

    if model.endswith(".gguf"):
        return pretrained.load(model, "configuration", _configuration())
    source = Source.of(model)
    with loading(source):
        return _configuration()(source.place, trust_remote_code=False)


def _configuration() -> Callable[..., Any]:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained


def _save_memory(model: Any, config: Config, lora: Lora, head: set[str] | tuple[()]) -> None:
    """LoRA's matrices beside the weights, and activations computed again, as the configuration says."""
    if lora.rank:
        model.requires_grad_(False)
        output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        layers = [(name, part) for name, part in model.named_modules() if _is_linear(part) and part is not output]
        for name, layer in layers:
            if lora.targets is None or name.endswith(lora.targets):
                owner, _, last = name.rpartition(".")
                setattr(model.get_submodule(owner), last, _Adapted(layer, lora))
        for name, parameter in model.named_parameters():
            if name in head:
                parameter.requires_grad_(True)
    if config.memory.checkpointing:
        from mgan.models.recompute import recompute

        recompute(model)


class _Adapted(nn.Module):
    """What peft puts in the place of a linear layer, in shape."""

    def __init__(self, layer: Any, lora: Lora):
        super().__init__()
        wide = isinstance(layer, nn.Linear)
        inputs, outputs = reversed(layer.weight.shape) if wide else layer.weight.shape
        self.layer, self.dropout = layer, nn.Dropout(lora.dropout)
        self.down, self.up = nn.Linear(inputs, lora.rank, bias=False), nn.Linear(lora.rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(self.dropout(x))) * 1.0


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, (nn.Linear, Conv1D))


def _sizes(module: nn.Module, config: Config) -> tuple[int, int, int]:
    learns = size(p for p in module.parameters() if p.requires_grad)
    rest = size(p for p in module.parameters() if not p.requires_grad)
    named = (p for _, p in module.named_parameters(remove_duplicate=False) if p.requires_grad)
    kept = sum(p.numel() * p.element_size() for p in named)
    return rest // (2 if config.memory.base == "bf16" else 1), learns, kept
