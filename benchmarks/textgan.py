"""TextGAN-PyTorch (https://github.com/williamSYSU/TextGAN-PyTorch, MIT) as a peer, from a folder the user gives."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from pairing import AbsentError

CHANGES = "told that there is no CUDA, as its settings ask for one; nothing else"
PACKAGES = ("instructor", "metrics", "models", "utils")


def textgan(path: str | None, **settings: Any) -> ModuleType:
    """Its settings (the module ``config``), by default its own but on the CPU; its other modules can be imported after.

    settings: fields of ``config`` to set, before a module that reads them is imported. Raises AbsentError.
    """
    if path is None:
        raise AbsentError("give --peer the folder of a clone of https://github.com/williamSYSU/TextGAN-PyTorch")
    folder = Path(path).expanduser().resolve()
    if not (folder / "config.py").is_file() or not (folder / "instructor").is_dir():
        raise AbsentError(f"{path} is no clone of TextGAN-PyTorch")
    sys.path.insert(0, str(folder))
    # Its folders are namespace packages, to which any module of the same name elsewhere on the path is preferred.
    for name in PACKAGES:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name)]
    # Its settings ask nvidia-smi which device is the least busy, and write a file beside.
    with patch("torch.cuda.is_available", return_value=False):
        config = importlib.import_module("config")
    for name, value in {"CUDA": False, **settings}.items():
        getattr(config, name)  # a field it does not have would be set in vain
        setattr(config, name, value)
    try:
        importlib.import_module("utils.text_process")
    except ModuleNotFoundError as error:
        raise AbsentError(f"TextGAN-PyTorch needs the package {error.name}") from error
    return config
