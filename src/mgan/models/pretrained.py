"""Any causal language model of transformers as a generator, its cache as a state, and how it is opened and saved."""

from __future__ import annotations

import copy
import errno
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from mgan import files
from mgan.data import pretrained
from mgan.types import UserError

SCALES: dict[str, Callable[[float], float]] = {
    "logit_scale": lambda scale: scale,  # Cohere
    "logits_scaling": lambda scale: 1 / scale,  # Granite
}
"""Fields of a configuration by which a model multiplies its logits."""
PROBED = 9
TOLERANCE = 1e-3
"""Of the largest logit or feature."""


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
        if positions is not None and context > positions:
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
        config = self._config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * config.num_hidden_layers * heads * width * length

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
        config = self._config
        tables = {id(m.weight): m.weight for m in self.model.modules() if isinstance(m, nn.Embedding)}
        weights = {id(p): p for p in self.model.parameters()}
        inner = sum(p.numel() for key, p in weights.items() if key not in tables and p is not self.output.weight)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        attention = config.num_hidden_layers * config.num_attention_heads * width * self.context
        return 2 * (inner + self.output.weight.numel() + attention)


def load(model: str, context: int) -> PretrainedGenerator:
    """``generator.pretrained=model`` in eval mode, weights in fp32. Raises UserError if it cannot be a generator."""
    opened, told = pretrained.load(
        model, "model", AutoModelForCausalLM.from_pretrained,
        dtype=torch.float32, use_safetensors=True, output_loading_info=True,
    )  # fmt: skip
    if told["missing_keys"] or told["mismatched_keys"]:
        name = sorted(map(str, (*told["missing_keys"], *told["mismatched_keys"])))[0]
        raise UserError(
            f"generator.pretrained: {model!r} lacks weights of a {type(opened).__name__} ({name} for one): it is no "
            "causal language model, or its files are incomplete"
        )
    _without_quantization(opened)
    generator = PretrainedGenerator(opened, context).eval()
    _probe(generator)
    return generator


def _without_quantization(model: Any) -> None:
    """A .gguf file's weights have become ordinary ones, but the model still says that they are not."""
    if hasattr(model.config, "quantization_config"):
        about = model.config.quantization_config
        method = about.get("quant_method") if isinstance(about, dict) else about.quant_method
        if method != "gguf":
            raise UserError("generator.pretrained: quantized weights cannot be trained; take the model's full weights")
        del model.config.quantization_config
        model.hf_quantizer, model.is_quantized = None, False


@torch.no_grad()
def _probe(generator: PretrainedGenerator) -> None:
    """Raises UserError unless the features, the output layer and the state do what the model itself does."""
    model = generator.model
    name, config = type(model).__name__, model.config.get_text_config()
    if getattr(config, "final_logit_softcapping", None) is not None:
        raise UserError(
            f"generator.pretrained: {name} caps its logits (final_logit_softcapping), which is not supported; take a "
            "model without, like Gemma 3, Llama, Qwen or SmolLM"
        )
    tokens = torch.arange(2 * PROBED).view(2, PROBED) * 7 % config.vocab_size
    refusal = UserError(f"generator.pretrained: mgan does not know how a {name} makes its logits or keeps its state")
    try:
        features = generator.features(tokens)
        same = _close(generator.output(features), model(input_ids=tokens, use_cache=False).logits)
        _, state = generator.read(tokens[:, :4], generator.start(2))
        feature, _ = generator.read(tokens[[1, 0], 4:], state.select(torch.tensor([1, 0])))
        same &= _close(feature, features[[1, 0], -1])
    # An architecture that differs may differ in anything.
    except Exception as error:
        raise refusal from error
    if not same:
        raise refusal


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max())


def save(folder: Path, generator: PretrainedGenerator, facts: Mapping[str, Any]) -> None:
    """Write the model as transformers does, ``facts`` into its config.json, each file atomically, config.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as beside, files.disk_errors(folder):
        with pretrained.quiet():
            generator.model.save_pretrained(beside)
        written = sorted(Path(beside).iterdir(), key=lambda path: path.name == "config.json")
        description = json.loads(written.pop().read_text(encoding="utf-8")) | {"mgan": dict(facts)}
        for path in written:
            files.flush(path)
            path.replace(folder / path.name)
        files.write_json(folder / "config.json", description)


def load_saved(folder: Path, context: int) -> PretrainedGenerator:
    """What ``save`` wrote. Raises OSError, ValueError and the like if it is not whole."""
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(errno.ENOENT, "no weights", str(folder / "model.safetensors"))
    loader: Any = AutoModelForCausalLM  # its return types do not know what output_loading_info does
    with pretrained.quiet():
        model, told = loader.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    if told["missing_keys"] or told["mismatched_keys"] or told["unexpected_keys"]:
        raise ValueError("the file holds other tensors than the network")
    return PretrainedGenerator(model, context).eval()
