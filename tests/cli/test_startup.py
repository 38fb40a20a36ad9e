from __future__ import annotations

import os
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mgan

SOURCE = Path(mgan.__file__).parents[1]
HEAVY = ("torch", "transformers", "datasets", "pyarrow", "matplotlib", "accelerate")


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


def run_light(arguments: list[str], cwd: Path) -> tuple[subprocess.CompletedProcess[str], float, str]:
    """What ``mgan`` did, the seconds of processor time it took, and the heavy modules it imported."""
    code = (
        f"import sys, time; sys.argv[1:] = {arguments}\n"
        "import mgan.cli.main as cli\n"
        "try: cli.main()\n"
        f"finally: print(time.process_time(), *(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    )
    done = python("-c", code, cwd=cwd)
    seconds, _, heavy = done.stderr.splitlines()[-1].partition(" ")
    return done, float(seconds), heavy


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["recipes"], ["runs"]])
def test_light_commands_are_quick_and_import_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    done, seconds, heavy = run_light(arguments, tmp_path)
    assert (done.returncode, heavy) == (0, "")
    assert seconds < 1


def test_help_answers_at_once_as_a_module_too(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "generate" in python("-m", "mgan", "--help", cwd=tmp_path).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_a_user_error_needs_no_torch_and_shows_no_traceback(tmp_path: Path) -> None:
    done, seconds, heavy = run_light(["train", "game.kl=-1"], tmp_path)
    assert (done.returncode, done.stdout, heavy) == (2, "", "")
    assert done.stderr.startswith("mgan: game.kl: expected a number of at least 0, got -1\n")
    assert "Traceback" not in done.stderr and seconds < 1
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "mgan", "recipes", "show", "mgan"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


def test_results_are_utf8_whatever_the_terminal_says(tmp_path: Path) -> None:
    (tmp_path / "诗.yaml").write_text("recipe: 诗\n", "utf-8")
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "mgan", "recipes", "show", "诗.yaml"],
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0 and "recipe: 诗" in done.stdout.decode("utf-8")


def test_the_public_names_are_all_there_and_no_others() -> None:
    assert set(mgan.__all__) == set(dir(mgan))
    for name in ("Config", "UserError", "load_config", "train", "resume", "load", "evaluate", "report"):
        assert getattr(mgan, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = mgan.trian  # type: ignore[attr-defined]


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert mgan.__version__ == project["version"]
