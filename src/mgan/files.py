"""Files that survive a kill: written beside, flushed, renamed; and what an error of the disk means."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mgan.types import UserError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """A full or read-only disk is the user's to mend."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"{path} could not be written: the disk is full; free some space and type mgan resume"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise UserError(f"{path} could not be written: {error.strerror}") from error
        raise


def flush(path: Path) -> None:
    """Have the file's bytes, or a folder's entries, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """The old file or the one that ``write`` makes at the path it is given, never half of it."""
    temporary = path.with_name(path.name + ".tmp")
    with disk_errors(path):
        write(temporary)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)


def write_text(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    replace(path, write)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


class JSONLines:
    """An append-only file of JSON objects, one a line, that can be cut back to a checkpoint's length."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        with disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    @property
    def size(self) -> int:
        """Bytes on the disk, flushed."""
        if not self.path.exists():
            return 0
        flush(self.path)
        return self.path.stat().st_size

    def cut(self, size: int) -> None:
        """Forget what was written after ``size`` bytes: it will be written again."""
        if self.path.exists():
            # A file that is shorter than that would be filled up with zeros.
            os.truncate(self.path, min(size, self.path.stat().st_size))

    def read(self) -> list[dict[str, Any]]:
        """Every whole line; a last line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1] if line]
