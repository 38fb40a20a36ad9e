"""Where runs live: a bare name is a folder under ``runs`` here, anything with a separator is a path."""

from __future__ import annotations

import os
import re
import time
from difflib import get_close_matches
from pathlib import Path

from mgan.errors import UserError

RUNS = Path("runs")


def find_run(run: str | Path) -> Path:
    """The absolute folder of a run given by path or by name under ``runs``; UserError if there is none."""
    places = [Path(run).expanduser(), RUNS / run]
    for place in places:
        if (place / "config.yaml").is_file():
            return place.absolute()
    for place in places:
        if place.is_dir():
            raise UserError(f"{place} is not a run folder: it has no config.yaml")
    near = get_close_matches(str(run), run_names(RUNS), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "'mgan runs' lists the runs here"
    raise UserError(f"there is no run {str(run)!r}, neither at that path nor under {RUNS.absolute()}; {hint}")


def run_names(folder: Path) -> list[str]:
    """The names of the runs in ``folder``, sorted; none if there is no such folder."""
    return sorted(path.parent.name for path in folder.glob("*/config.yaml"))


def new_run(recipe: str, run: str | Path | None = None) -> Path:
    """The absolute folder for a new run, not yet made.

    run: None: ``runs/<recipe>-<date>-<time>``; a name without a separator: ``runs/<name>``; else a path.

    Raises UserError if there is something in that place already.
    """
    if run is None:
        return _unused(re.sub(r"[^\w.-]+", "-", recipe) + time.strftime("-%Y%m%d-%H%M%S")).absolute()
    if run in ("", ".", ".."):
        raise UserError(f"a run needs a name or the path of a new folder, got {str(run)!r}")
    bare = isinstance(run, str) and os.sep not in run and not (os.altsep and os.altsep in run)
    folder = RUNS / run if bare else Path(run).expanduser()
    if (folder / "config.yaml").exists():
        raise UserError(f"{folder} is a run already: go on with 'mgan resume {shown(folder)}' or choose another name")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: a new run needs a new folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: a new run needs a new folder")
    return folder.absolute()


def shown(folder: Path) -> str:
    """What to type for a run from here: its name if it lies under ``runs``, else its path."""
    return folder.name if folder.absolute().parent == RUNS.absolute() else str(folder)


def _unused(name: str) -> Path:
    folder, number = RUNS / name, 2
    while folder.exists():
        folder, number = RUNS / f"{name}-{number}", number + 1
    return folder
