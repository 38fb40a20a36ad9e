"""Folders made once: written beside, renamed when whole, checked when opened, made again when damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mgan.errors import UserError

MANIFEST = "manifest.json"
ABANDONED = 24 * 3600
"""Seconds after which an unfinished folder is taken for a killed process's."""


def root() -> Path:
    """Where caches live: ``$MGAN_CACHE``, else ``~/.cache/mgan``."""
    return Path(os.environ.get("MGAN_CACHE") or "~/.cache/mgan").expanduser()


def folder(parent: Path, key: str, write: Callable[[Path], None]) -> Path:
    """``parent/key`` as ``write(path)`` fills it; reused if it is there and whole.

    A kill at any moment leaves no such folder or a whole one. Raises UserError if it cannot be written.
    """
    final = parent / key
    if is_whole(final):
        return final
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        beside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
        try:
            write(beside)
            sums = {file.name: digest(file) for file in sorted(beside.iterdir())}
            _flush(beside, json.dumps(sums))
            _put(beside, final)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        reason = "no space left" if error.errno == errno.ENOSPC else error.strerror or error
        raise UserError(
            f"the cache {parent} cannot be written ({reason}); make room or name another folder in MGAN_CACHE"
        ) from error
    return final


def is_whole(path: Path) -> bool:
    """Every file is there and holds what was written."""
    try:
        sums = json.loads((path / MANIFEST).read_text())
        return all(digest(path / name) == sum for name, sum in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _flush(beside: Path, manifest: str) -> None:
    """The manifest, and everything down to the disk, before the folder gets its name."""
    (beside / MANIFEST).write_text(manifest)
    for file in beside.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _put(beside: Path, final: Path) -> None:
    try:
        beside.rename(final)
    except OSError:
        if is_whole(final):  # another process was quicker
            return
        shutil.rmtree(final)
        beside.rename(final)


def _sweep(parent: Path) -> None:
    for leftover in parent.glob(".unfinished-*"):
        if time.time() - leftover.stat().st_mtime > ABANDONED:
            shutil.rmtree(leftover, ignore_errors=True)
