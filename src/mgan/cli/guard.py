"""What every command does with what goes wrong: one sentence on stderr and an exit code, no traceback."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec

import typer

from mgan.errors import UserError
from mgan.locate import shown

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """``command``, its foreseeable failures said in a sentence; a bug keeps its traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except UserError as error:
            _fail(str(error), 2)
        except KeyboardInterrupt as error:
            _fail(str(error) or "stopped", 130)
        except BrokenPipeError:
            # Whoever read has enough; the interpreter's own last flush must find a place to write to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception as error:
            if not _disk_full(error):
                raise
            place = getattr(error, "filename", None)
            _fail(f"the disk is full{f' at {place}' if place else ''}: free some space and run it again", 2)

    return run


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """While a run works in ``folder``, an interrupt says how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        if not (folder / "config.yaml").exists():
            raise KeyboardInterrupt("stopped before the run began; nothing was saved") from None
        name = shlex.quote(shown(folder))
        raise KeyboardInterrupt(f"stopped; go on from the last checkpoint with: mgan resume {name}") from None


def _fail(sentence: str, code: int) -> NoReturn:
    print("mgan:", " ".join(sentence.split()), file=sys.stderr)
    raise typer.Exit(code)


def _disk_full(error: Exception) -> bool:
    # safetensors and torch wrap the system's error in their own and keep only its text.
    full = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in full or "No space left on device" in str(error)
