"""Opening what transformers can open: a folder, a .gguf file, a name on the Hugging Face hub; no code, no pickles."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

from mgan.errors import UserError

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def load(model: str, part: str, loader: Callable[..., Any], **options: Any) -> Any:
    """``loader(folder or name, ...)`` of ``generator.pretrained=model``; UserError if it raises.

    part: what is being loaded, in words. The loaders never run code of the model's, nor unpickle.
    """
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        _need_gguf(path)
        options["gguf_file"] = path.name
        path = path.parent
    elif path.is_dir():
        _refuse_pickles(path)
    elif path.exists() or path.is_absolute() or model.startswith(("./", "../", "~")):
        raise UserError(f"generator.pretrained: {model!r} is no model's folder, no .gguf file and no name on the hub")
    where = str(path) if path.exists() else model
    try:
        # Of a .gguf file's progress bar there is no switch.
        with quiet(), redirect_stderr(io.StringIO()) if "gguf_file" in options else nullcontext():
            return loader(where, trust_remote_code=False, **options)
    # Whatever the library or the network raises, the user's remedy is the same: another model.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"generator.pretrained: the {part} of {model!r} cannot be loaded ({reason})") from error


def _need_gguf(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"generator.pretrained: there is no file {str(path)!r}")
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise UserError("generator.pretrained: a .gguf file needs the package gguf: pip install gguf") from None


def _refuse_pickles(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise UserError(
            f"generator.pretrained: {folder} holds its weights pickled ({pickles[0]}), which mgan never opens; save "
            "them as model.safetensors, with transformers' save_pretrained"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """transformers' progress bars and remarks off."""
    from transformers.utils import logging

    switch: Any = logging  # its switches carry no types
    bars, level = switch.is_progress_bar_enabled(), switch.get_verbosity()
    switch.disable_progress_bar()
    switch.set_verbosity_error()
    try:
        yield
    finally:
        switch.set_verbosity(level)
        if bars:
            switch.enable_progress_bar()
