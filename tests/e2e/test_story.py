"""The recipe story through the command line: poems under titles, poems of a label, a play in paragraphs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgan.data.readers import CORPORA

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def poems(tmp_path: Path) -> Callable[[Callable[[int, str], dict[str, Any]]], Path]:
    """A file with a record for each of 120 quatrains."""

    def write(record: Callable[[int, str], dict[str, Any]]) -> Path:
        content = gzip.decompress((CORPORA / "tang.txt.gz").read_bytes())
        quatrains = content.decode("utf-8").splitlines()[:120]
        path = tmp_path / "poems.jsonl"
        lines = (json.dumps(record(i, poem), ensure_ascii=False) + "\n" for i, poem in enumerate(quatrains))
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


def test_poems_under_titles(tmp_path: Path, poems: Any, command: Command) -> None:
    data, run = poems(lambda i, poem: {"title": f"詠{poem[0]}其{i}\n", "text": poem}), tmp_path / "run"
    code, _, errors = command(
        "train", "story", "--data", data, "--run", run, "--smoke", "--quiet",
        "data.prompt_field=title", "data.completion_field=text",
    )  # fmt: skip
    assert code == 0, errors
    found = json.loads((run / "results.json").read_text())["task"]
    assert found["name"] == "verse" and set(found["measures"]) == {"adversarial", "mle", "real"}
    assert found["measures"]["real"]["quatrains"]["value"] == 1.0
    assert len(found["examples"]) == min(10, found["prompts"])
    for example in found["examples"]:
        assert example["prompt"].startswith(f"詠{example['references'][0][0]}") and example["label"] is None
        assert set(example["outputs"]) == {"adversarial", "mle"}
    page, card = (run / "report.html").read_text(), (run / "generator" / "README.md").read_text()
    assert "<h2>The task: verse</h2>" in page and "Regular quatrains" in page
    assert "- real text: Known form 1.000" in card

    code, out, _ = command("generate", run, "--prompt", "春\\n", "-n", 4, "--length", 80)
    assert code == 0 and max(map(len, out.splitlines())) > 32, "the smoke run's context is 32"


def test_poems_of_a_label_are_asked_for_by_it(tmp_path: Path, poems: Any, command: Command) -> None:
    data, run = poems(lambda i, poem: {"label": "甲乙"[i % 2], "text": poem}), tmp_path / "run"
    code, _, errors = command(
        "train", "story", "--data", data, "--run", run, "--smoke", "--quiet", "prompt.source=label",
        "adversarial.steps=0", "warmup.steps=0",
    )  # fmt: skip
    assert code == 0, errors
    found = json.loads((run / "results.json").read_text())["task"]
    assert set(found["measures"]) == {"pretrained", "real"}
    assert {example["label"] for example in found["examples"]} <= {"甲", "乙"}


def test_a_task_of_answers_needs_prompts(tmp_path: Path, sentences: Path, command: Command) -> None:
    code, _, errors = command(
        "train", "mle", "--data", sentences, "--run", tmp_path / "run", "--smoke", "evaluation.task=answering"
    )
    assert code == 2 and "evaluation.task=answering" in errors and "prompt and a completion" in errors
