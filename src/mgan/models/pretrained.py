"""Any causal language model of transformers as a generator, its cache as a state, and how it is opened and saved."""

from __future__ import annotations

import copy
import errno
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from mgan import files
from mgan.data import pretrained
from mgan.models import adapters, probe
from mgan.models.opaque import OpaqueGenerator
from mgan.types import UserError

SCALES: dict[str, Callable[[float], float]] = {
    "logit_scale": lambda scale: scale,  # Cohere
    "logits_scaling": lambda scale: 1 / scale,  # Granite
}
"""Fields of a configuration by which a model multiplies its logits."""


@dataclass(frozen=True)
class CachedState:
    """transformers' cache of the tokens read so far. A value: whoever reads on writes into a copy."""

    cache: DynamicCache

    def select(self, index: Tensor) -> CachedState:
        chosen = self.copy()
        if chosen.cache.layers and _has_read(chosen.cache.layers[0]):
            chosen.cache.reorder_cache(cast(torch.LongTensor, index))
        return chosen

    def copy(self) -> CachedState:
        cache = copy.copy(self.cache)
        cache.layers = [_copied(layer) for layer in self.cache.layers]
        return CachedState(cache)


def _copied(layer: Any) -> Any:
    """Attention layers put new tensors in the place of the old ones; others may write into theirs."""
    return copy.copy(layer) if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) else copy.deepcopy(layer)


def _has_read(layer: Any) -> bool:
    return bool(getattr(layer, "is_initialized", True))


class PretrainedGenerator(nn.Module):
    """A causal language model that reads at most ``context`` tokens. Raises UserError if it has not as many positions.

    Of the model's two parts the base makes the features, scaled where the model scales its logits.
    """

    def __init__(self, model: Any, context: int):
        super().__init__()
        self.model = model
        self.context = context
        positions = getattr(self._config, "max_position_embeddings", None)
        if positions is not None and 0 < positions < context:  # XLNet says -1: no end
            raise UserError(
                f"generator.context={context} is more than the {positions} positions of {type(model).__name__}; set "
                f"generator.context={positions} or less"
            )
        self._scale = 1.0
        for name, scale in SCALES.items():
            if getattr(self._config, name, None) is not None:
                self._scale = scale(getattr(self._config, name))

    @property
    def _config(self) -> Any:
        return self.model.config.get_text_config()

    @property
    def output(self) -> nn.Linear:
        return self.model.get_output_embeddings()

    def features(self, tokens: Tensor) -> Tensor:
        return self._scaled(self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> CachedState:
        """Whatever the rows, nothing has been read of them."""
        return CachedState(DynamicCache(config=self.model.config))

    def state_size(self, length: int) -> int:
        return 2 * length * sum(keys * width for _, keys, width in self._heads())

    @torch.no_grad()
    def read(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        after = state.copy()
        read = self.model.base_model(input_ids=tokens, past_key_values=after.cache, use_cache=True)
        return self._scaled(read.last_hidden_state[:, -1]), after

    def _scaled(self, features: Tensor) -> Tensor:
        return features if self._scale == 1 else features * self._scale

    @property
    def flops_per_token(self) -> int:
        """2 for each weight that is no embedding, and attention over half a context (Kaplan et al. 2020, table 1)."""
        tables = {id(m.weight): m.weight for m in self.model.modules() if isinstance(m, nn.Embedding)}
        weights = {id(p): p for p in self.model.parameters()}
        inner = sum(p.numel() for key, p in weights.items() if key not in tables and p is not self.output.weight)
        attention = self.context * sum(queries * width for queries, _, width in self._heads())
        return 2 * (inner + self.output.weight.numel() + attention)

    def _heads(self) -> Iterator[tuple[int, int, int]]:
        """Of every layer: how many heads ask, how many are kept, and how wide they are; Gemma 4's layers differ."""
        config = self._config
        for layer in getattr(config, "per_layer_config", None) or [config] * config.num_hidden_layers:
            queries = layer.num_attention_heads
            keys = getattr(layer, "num_key_value_heads", None) or queries
            yield queries, keys, getattr(layer, "head_dim", None) or layer.hidden_size // queries


def load(model: str, context: int) -> PretrainedGenerator | OpaqueGenerator:
    """``generator.pretrained=model`` in eval mode, weights in fp32. Raises UserError if it cannot be a generator."""
    opened = open_model(model, AutoModelForCausalLM, "causal language model")
    return generator_of(opened, context)


def generator_of(model: Any, context: int) -> PretrainedGenerator | OpaqueGenerator:
    """In eval mode, with features and state if the model has them as mgan knows them. Raises UserError if it has not,
    and cannot write by itself either.
    """
    generator = PretrainedGenerator(model, context).eval()
    difference = probe.difference(generator)
    if difference is None:
        return generator
    opaque = OpaqueGenerator(model, f"{type(model).__name__} {difference}").eval()
    probe.must_write(opaque)
    return opaque


def open_model(model: str, family: Any, what: str) -> Any:
    """The model itself, as ``family`` of transformers opens it. Raises UserError if it is no ``what``."""
    opened, told = pretrained.load(
        model, "model", family.from_pretrained, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if told["missing_keys"] or told["mismatched_keys"]:
        name = sorted(map(str, (*told["missing_keys"], *told["mismatched_keys"])))[0]
        raise UserError(
            f"generator.pretrained: {model!r} lacks weights of a {type(opened).__name__} ({name} for one): it is no "
            f"{what}, or its files are incomplete"
        )
    _without_quantization(opened)
    return opened


def _without_quantization(model: Any) -> None:
    """A .gguf file's weights have become ordinary ones, but the model still says that they are not."""
    if hasattr(model.config, "quantization_config"):
        about = model.config.quantization_config
        method = about.get("quant_method") if isinstance(about, dict) else about.quant_method
        if method != "gguf":
            raise UserError("generator.pretrained: quantized weights cannot be trained; take the model's full weights")
        del model.config.quantization_config
        model.hf_quantizer, model.is_quantized = None, False


def save(folder: Path, generator: PretrainedGenerator | OpaqueGenerator, facts: Mapping[str, Any]) -> None:
    """Write the model as transformers does, ``facts`` into its config.json, each file atomically, config.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as beside, files.disk_errors(folder):
        with pretrained.quiet():
            adapted = any(adapters.adapted(generator))
            weights = adapters.merged(generator) if adapted else None
            generator.model.save_pretrained(beside, state_dict=weights)
        if adapted:
            adapters.save(folder / adapters.FOLDER, generator)
        written = sorted(Path(beside).iterdir(), key=lambda path: path.name == "config.json")
        description = json.loads(written.pop().read_text(encoding="utf-8")) | {"mgan": dict(facts)}
        for path in written:
            files.flush(path)
            path.replace(folder / path.name)
        files.write_json(folder / "config.json", description)


def load_saved(folder: Path, context: int) -> PretrainedGenerator | OpaqueGenerator:
    """What ``save`` wrote. Raises OSError, ValueError and the like if it is not whole."""
    return generator_of(open_saved(folder, AutoModelForCausalLM), context)


def open_saved(folder: Path, family: Any) -> Any:
    """The model itself that ``save`` wrote."""
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(errno.ENOENT, "no weights", str(folder / "model.safetensors"))
    with pretrained.quiet():
        model, told = family.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
    if told["missing_keys"] or told["mismatched_keys"] or told["unexpected_keys"]:
        raise ValueError("the file holds other tensors than the network")
    return model
