"""The program of the page on TRL runs as it stands."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")

PAGE = Path(__file__).parents[2] / "docs" / "ecosystem.md"


def test_the_program_runs_and_leaves_what_the_page_says(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    accuracies = ast.literal_eval(done.stdout.splitlines()[-1])
    assert accuracies and all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert (tmp_path / "grpo" / "checkpoint-2" / "adversary").is_dir()
    assert (tmp_path / "grpo" / "discriminator" / "model.safetensors").is_file()
