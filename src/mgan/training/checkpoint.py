"""Checkpoints: a tree of tensors and plain values as safetensors and JSON, whole or not at all.

checkpoints/NUMBER/{tensors.safetensors, state.json, manifest.json}; the manifest is written last and holds the
others' SHA-256, so a checkpoint that was cut short or altered is told from a good one. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor

from mgan.files import disk_errors, flush
from mgan.types import UserError

FORMAT = 1
FILES = ("tensors.safetensors", "state.json")


def save(folder: Path, number: int, tree: dict[str, Any], keep: int) -> Path:
    """Write checkpoint ``number`` and drop all but the newest ``keep``. The tree nests dicts, lists and tuples."""
    target, temporary = folder / f"{number:08d}", folder / f"{number:08d}.tmp"
    with disk_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.tmp"):
            shutil.rmtree(unfinished)
        temporary.mkdir()
        tensors: dict[str, Tensor] = {}
        state = _flatten(tree, "", tensors)
        # safetensors' own writing hides which error of the disk it was.
        (temporary / "tensors.safetensors").write_bytes(serialized(tensors))
        (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
        manifest = {"format": FORMAT, "sha256": {name: _digest(temporary / name) for name in FILES}}
        (temporary / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        for file in temporary.iterdir():
            flush(file)
        flush(temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        flush(folder)
        for outdated in numbers(folder)[:-keep]:
            shutil.rmtree(folder / f"{outdated:08d}")
    return target


def numbers(folder: Path) -> list[int]:
    """The whole checkpoints of a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal() and p.is_dir())


def load(folder: Path, number: int) -> dict[str, Any]:
    """The tree of checkpoint ``number``, on the CPU. Raises UserError if a byte of it is not as written."""
    path = folder / f"{number:08d}"
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        written_by = manifest["format"]
        whole = all(_digest(path / name) == manifest["sha256"][name] for name in FILES)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is cut short: {_advice(folder, number)}") from error
    if not whole:
        raise UserError(f"{path} is cut short or altered (checksum): {_advice(folder, number)}")
    if written_by != FORMAT:
        raise UserError(f"{path} was written by another version of mgan (format {written_by})")
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    return _restore(state, load_file(path / "tensors.safetensors"))


def _advice(folder: Path, number: int) -> str:
    others = [n for n in numbers(folder) if n < number]
    if others:
        return f"delete that folder to go on from {others[-1]:08d}"
    return "delete that folder to start the run over"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for everything but tensors, which go to ``tensors`` under their place in the tree."""
    if isinstance(value, Tensor):
        name = f"{len(tensors)}{name}"  # "a/b" is also the b of an a
        # A copy: safetensors refuses tensors that share memory, as tied weights do.
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]}
    return value


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "list" in value:
        return [_restore(item, tensors) for item in value["list"]]
    return {key: _restore(item, tensors) for key, item in value["dict"]}


def random_state() -> dict[str, Any]:
    """Every generator that code of ours or of a library may draw from on this process's devices."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
