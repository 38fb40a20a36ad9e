"""What ``mgan.evaluation`` offers: every name is there, documented, and costs nothing until it is used."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mgan import evaluation

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize("name", evaluation.__all__)
def test_every_name_can_be_had(name: str) -> None:
    found = getattr(evaluation, name)
    assert callable(found) and found.__doc__


def test_names_are_listed_once_and_no_others_exist() -> None:
    assert evaluation.__all__ == sorted(set(evaluation.__all__)) == dir(evaluation)
    with pytest.raises(AttributeError, match="no attribute 'perplexity'"):
        evaluation.perplexity  # noqa: B018


def test_every_name_is_documented() -> None:
    explained = set(re.findall(r"`(\w+)", PAGE.read_text(encoding="utf-8")))
    assert set(evaluation.__all__) - explained == set()


def test_importing_the_room_imports_no_heavy_package() -> None:
    heavy = "{'torch', 'numpy', 'scipy', 'transformers'} & set(sys.modules)"
    program = f"import sys, mgan.evaluation; assert not {heavy}; from mgan.evaluation import words, bleu; "
    program += "assert not {'torch', 'transformers', 'scipy', 'sacrebleu'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_programs_of_the_page_print_what_it_says() -> None:
    programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        promised = re.findall(r"^print\(.*\)  # (.*)$", program, re.MULTILINE)
        assert promised and printed.getvalue().splitlines() == promised
