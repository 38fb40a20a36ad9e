"""Train a language model against a text classifier until it cannot tell its text from yours.

Every name is loaded when it is first used, so that ``import mgan`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Waiting OpenMP threads that spin slow shared machines down manyfold; read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from mgan.api import compare, evaluate, load, plan, push, report, resume, runs, train
    from mgan.config import Config
    from mgan.errors import UserError
    from mgan.extending import value_function
    from mgan.settings import load_config

__version__ = "0.1.0"

__all__ = [
    "Config",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "load_config",
    "plan",
    "push",
    "report",
    "resume",
    "runs",
    "train",
    "value_function",
]

_HOMES = {
    "Config": "mgan.config",
    "UserError": "mgan.errors",
    "compare": "mgan.api",
    "evaluate": "mgan.api",
    "load": "mgan.api",
    "load_config": "mgan.settings",
    "plan": "mgan.api",
    "push": "mgan.api",
    "report": "mgan.api",
    "resume": "mgan.api",
    "runs": "mgan.api",
    "train": "mgan.api",
    "value_function": "mgan.extending",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mgan' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
