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
from torch import Tensor

from mgan.files import disk_errors, flush
from mgan.types import UserError

FORMAT = 2
"""Raised whenever an older checkpoint could not be gone on from."""
FILES = ("tensors.safetensors", "state.json")
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""As the safetensors format calls them."""


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
        _write(temporary / "tensors.safetensors", tensors)
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
        tensors[name] = value.detach()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]}
    return value


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file, a tensor at a time: a second copy of everything is what a full machine has no room for.

    The library's own writing copies all that shares memory, as tied weights do, and hides which error of the disk it
    was.
    """
    # The widest first, so that each begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: -tensors[name].element_size())
    header, end = {}, 0
    for name in names:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        place = {"shape": list(tensors[name].shape), "data_offsets": [start, end]}
        header[name] = {"dtype": DTYPES[tensors[name].dtype]} | place
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(tensors[name].cpu().contiguous().view(-1).view(torch.uint8).numpy().data)


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
