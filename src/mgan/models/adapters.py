"""LoRA through peft: small matrices that learn, on a pretrained model that does not (Hu et al. 2021).

A player that is adapted remains the module that it was. Its ``state_dict`` holds what learns, and the digest of what
does not; ``copied`` and ``share`` let several players have the same weights beneath adapters of their own.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mgan import files
from mgan.config import Lora
from mgan.types import UserError

ADAPTER = "default"
"""peft's name of a model's only adapter."""
FOLDER = "adapter"
"""Beside a saved player's merged weights."""
SAMPLED = 4096
"""Values of each tensor that its digest goes by: a model that was trained on differs in nearly all."""

Some = TypeVar("Some")


class Adapter(nn.Module):
    """What an adapted player knows of its adapter; the digest goes with its state, so that it meets no other model.

    config: peft's. learns: names of the player's parameters that learn. whole: names of the model's that learn beside
    the adapter, without it.
    """

    def __init__(self, config: Any, digest: bytes, whole: frozenset[str]):
        super().__init__()
        self.config, self.digest, self.whole = config, digest, whole
        self.learns: frozenset[str] = frozenset()

    def get_extra_state(self) -> Tensor:
        return torch.frombuffer(bytearray(self.digest), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        if bytes(state.tolist()) != self.digest:
            raise UserError(
                "the pretrained model is another than the one that this adapter was trained on: restore it, or start a "
                "new run"
            )


def adapt(player: Any, role: str, lora: Lora, base: str = "fp32", whole: Collection[str] = ()) -> None:
    """Add an adapter to ``player.model``, which then says what it said before, until the adapter has learned.

    role: generator or discriminator. base: precision of what does not learn. whole: names of parameters that learn
    themselves, as a new head must. Raises UserError if peft is absent or finds nothing to adapt.
    """
    model, peft = player.model, _peft(role)
    player.add_module(
        "adapter", Adapter(_config(model, peft, role, lora, whole), _digest(model, whole), frozenset(whole))
    )
    try:
        with warnings.catch_warnings():
            # What peft remarks on is for those who call it.
            warnings.simplefilter("ignore")
            peft.inject_adapter_in_model(player.adapter.config, model, ADAPTER)
    except ValueError as error:
        raise UserError(
            f"{role}.lora.targets: no linear layers of {type(model).__name__} are called so; its layers are "
            f"{', '.join(_linear_names(model, _excluded(model, whole)))}"
        ) from error
    for name, parameter in model.named_parameters():
        if name in whole:
            parameter.requires_grad_(True)
    player.adapter.learns = frozenset(name for name, p in player.named_parameters() if p.requires_grad)
    if base == "bf16":
        _halve(model)
    player.register_state_dict_post_hook(_only_what_learns)
    player.register_load_state_dict_post_hook(_the_rest_is_there)
    player.train(player.training)


def adapted(player: Any) -> Iterator[Any]:
    """The parts of a player that have an adapter: itself, or an ensemble's members, or none."""
    return (part for part in player.modules() if isinstance(getattr(part, "adapter", None), Adapter))


def outside_the_base(model: Any) -> set[str]:
    """Names of a model's parameters that are no part of the body beneath its head."""
    body = {id(parameter) for parameter in model.base_model.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) not in body}


def copied(player: Some) -> Some:
    """A player of its own, with the same weights where these do not learn."""
    frozen = (p for part in adapted(player) for name, p in part.named_parameters() if name not in part.adapter.learns)
    return copy.deepcopy(player, {id(parameter): parameter for parameter in frozen})


def share(player: Any, other: Any) -> None:
    """Put what does not learn of ``other`` in the place of what does not learn of ``player``: the same model's."""
    for ours, theirs in zip(adapted(player), adapted(other), strict=True):
        ours.adapter.set_extra_state(theirs.adapter.get_extra_state())
        for name, parameter in list(theirs.named_parameters(remove_duplicate=False)):
            if name not in theirs.adapter.learns:
                owner, _, leaf = name.rpartition(".")
                setattr(ours.get_submodule(owner), leaf, parameter)


@torch.no_grad()
def merged(player: Any) -> dict[str, Tensor]:
    """The weights of ``player.model`` with the adapter added, in fp32 and on the CPU, under their names without one."""
    state = {name: tensor for name, tensor in player.model.state_dict().items() if ".lora_" not in name}
    # Tied weights remain one tensor.
    full: dict[int, Tensor] = {}
    found = {name: full.setdefault(tensor.data_ptr(), tensor.float().cpu()) for name, tensor in state.items()}
    for name, module in _layers(player.model):
        found[f"{name}.base_layer.weight"] = found[f"{name}.base_layer.weight"] + module.get_delta_weight(ADAPTER).cpu()
    return {name.replace(".base_layer.", "."): tensor.detach() for name, tensor in found.items()}


def save(folder: Path, player: Any) -> None:
    """Write the adapter as peft does: ``PeftModel.from_pretrained(model, folder)``."""
    folder.mkdir(parents=True, exist_ok=True)
    adapter, model = player.adapter, player.model
    heads = sorted({name.partition(".")[0] for name in adapter.whole}) or None
    base = {"base_model_name_or_path": model.name_or_path}
    config = replace(adapter.config, **base, modules_to_save=heads, inference_mode=True)
    weights = {
        f"base_model.model.{name.replace(f'.{ADAPTER}', '')}": parameter.detach().contiguous().cpu()
        for name, parameter in model.named_parameters()
        if f"model.{name}" in adapter.learns
    }
    path = folder / "adapter_model.safetensors"
    files.replace(path, lambda beside: save_file(weights, beside, metadata={"format": "pt"}))
    files.write_json(folder / "adapter_config.json", json.loads(json.dumps(config.to_dict(), default=sorted)))


def _peft(role: str) -> Any:
    try:
        import peft
    except ImportError:
        raise UserError(f"{role}.lora.rank needs the package peft: pip install 'mgan[lora]'") from None
    return peft


def _config(model: Any, peft: Any, role: str, lora: Lora, whole: Collection[str]) -> Any:
    excluded = _excluded(model, whole)
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets or _linear_names(model, excluded)),
        exclude_modules=sorted(excluded),
        task_type="SEQ_CLS" if role == "discriminator" else "SEQ_2_SEQ_LM" if _two_parts(model) else "CAUSAL_LM",
    )


def _two_parts(model: Any) -> bool:
    return bool(model.config.is_encoder_decoder)


def _excluded(model: Any, whole: Collection[str]) -> set[str]:
    """Names of the layers that take no adapter: the output layer, and those that learn whole."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    last = {name for name, module in model.named_modules() if module is output and output is not None}
    return last | {name.rpartition(".")[0] for name in whole}


def _linear_names(model: Any, excluded: Collection[str]) -> list[str]:
    """Ends of the names of a model's linear layers; peft knows transformers' Conv1D as one."""
    linear = (nn.Linear, _conv1d())
    names = (name for name, module in model.named_modules() if isinstance(module, linear) and name not in excluded)
    return sorted({name.rpartition(".")[2] for name in names})


def _conv1d() -> type[nn.Module]:
    from transformers.pytorch_utils import Conv1D

    return Conv1D


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if hasattr(module, "get_delta_weight"))


def _digest(model: nn.Module, whole: Collection[str] = ()) -> bytes:
    """Names, shapes and some values of all weights but those that learn."""
    found = hashlib.blake2b(digest_size=16)
    # What is computed when a model is opened is in no file, and may differ in its last bits elsewhere.
    for name, tensor in model.state_dict().items():
        if name in whole:
            continue
        some = tensor.detach().flatten()[:: max(1, tensor.numel() // SAMPLED)].contiguous()
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(some.cpu().view(torch.uint8).numpy().tobytes())
    return found.digest()


def _halve(model: nn.Module) -> None:
    """What does not learn in bf16; what learns in fp32, given numbers of that kind."""
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if any(parameter.requires_grad for parameter in own):
            module.register_forward_pre_hook(_in_full)
        for parameter in own:
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        if isinstance(module, nn.Embedding):
            for name, table in module.named_buffers(recurse=False):
                setattr(module, name, table.bfloat16())


def _in_full(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments)


def _only_what_learns(player: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    kept = {prefix + name for name in player.adapter.learns} | {f"{prefix}adapter._extra_state"}
    for name in [name for name in state if name.startswith(prefix) and name not in kept]:
        del state[name]


def _the_rest_is_there(player: Any, incompatible: Any) -> None:
    learns = tuple(player.adapter.learns)
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if name.endswith(learns)]
