"""Vectors by key, in memory and in an SQLite file: whole after a kill, and for many processes at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mgan.types import UserError

PATIENCE = 60
"""Seconds to wait for another process that writes."""


class Shelf:
    """float32 vectors on the CPU by their keys. Raises UserError if the file cannot be read or written."""

    def __init__(self, path: Path):
        self.path = path
        self._held: dict[bytes, Tensor] = {}
        self._file: sqlite3.Connection | None = None

    def __contains__(self, key: bytes) -> bool:
        if key not in self._held:
            for (vector,) in self._run("SELECT vector FROM vectors WHERE key = ?", [(key,)]):
                self._held[key] = torch.frombuffer(bytearray(vector), dtype=torch.float32)
        return key in self._held

    def __getitem__(self, key: bytes) -> Tensor:
        """[F]; KeyError if the shelf was not asked whether it holds it."""
        return self._held[key]

    def put(self, vectors: dict[bytes, Tensor]) -> None:
        """vectors: [F] float32 each, on the CPU."""
        self._held |= vectors
        entries = [(key, vector.numpy().tobytes()) for key, vector in vectors.items()]
        self._run("INSERT OR IGNORE INTO vectors VALUES (?, ?)", entries)

    def _run(self, command: str, values: list[tuple[Any, ...]]) -> list[Any]:
        try:
            with self._opened() as file:
                if command.startswith("SELECT"):
                    return file.execute(command, *values).fetchall()
                file.executemany(command, values)
                return []
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"the cache {self.path} cannot be used ({error}): delete it, make room, or name another folder in "
                "MGAN_CACHE"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self.path, timeout=PATIENCE, check_same_thread=False)
            file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
            self._file = file
        return self._file
