"""The applications' study: what it computes, what its pages say, and that it goes all the way."""

from __future__ import annotations

import copy
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "applications.py"))


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_applications.py"))


def smoke(study: dict[str, Any], folder: Path, *typed: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        given = [*typed, "--smoke", "--quiet", "--work", str(folder / "runs"), "--save", str(folder)]
        patched.setattr(sys, "argv", ["applications.py", *given])
        study["main"]()
    (path,) = folder.glob("application-*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def record(study: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The smoke form's."""
    return smoke(study, tmp_path_factory.mktemp("study"), "quatrains")


def seed(ours: float, theirs: float, real: float) -> dict[str, Any]:
    systems = {
        name: {"nll": value, "two_sample": 0.6, "temperature": 1.0, "task": {"lines": value}}
        for name, value in (("adversarial", ours), ("mle", theirs))
    }
    return {"systems": systems, "real": {"lines": real}}


def test_differences_are_by_seed_and_distances_from_real_text(study: dict[str, Any]) -> None:
    found = study["summary"]([seed(3.0, 5.0, 4.5), seed(4.0, 6.0, 4.5), seed(5.0, 7.0, 4.5)])
    assert found["mle"]["nll"][0] == 6 and found["difference"]["nll"] == [-2, -2, -2]
    # |3 - 4.5| - |5 - 4.5| = 1, then -1, then -2
    mean, low, high = found["farther"]["lines"]
    assert mean == pytest.approx(-2 / 3, abs=1e-5) and low < -2 < high, "Student's interval of three values is wide"
    assert "nll" not in found["farther"] and found["farther"]["two_sample"] == [0, 0, 0]


def test_past_the_target_is_not_better(record: dict[str, Any], study: dict[str, Any], made: dict[str, Any]) -> None:
    """As far above real text's value as maximum likelihood lies below it, though surely different."""
    found = copy.deepcopy(record)
    found["summary"] = study["summary"]([seed(0.594, 0.405, 0.5), seed(0.595, 0.407, 0.5), seed(0.593, 0.406, 0.5)])
    assert found["summary"]["difference"]["lines"][1] > 0.1
    assert made["_sentence"](found) == (
        "The game against maximum likelihood: better in none; worse in NLL of held-out text; undecided in fresh "
        "discriminator's accuracy, Lines.\n"
    )


def test_the_smoke_form_goes_all_the_way_and_is_no_record(
    record: dict[str, Any], made: dict[str, Any], tmp_path: Path
) -> None:
    assert record["smoke"] and len(record["examples"]) == 10 and set(record["seeds"]) == {"0", "1"}
    assert [len(tried) for tried in record["trials"].values()] == [2, 2]
    page = (ROOT / "docs" / "applications" / "story.md").read_text(encoding="utf-8")
    name = tmp_path / "application-quatrains.json"
    name.write_text(json.dumps(record), encoding="utf-8")
    assert "| Lines |" not in made["page"](page, tmp_path)
    name.write_text(json.dumps(record | {"smoke": False}), encoding="utf-8")
    shown = made["page"](page, tmp_path)
    assert "| Lines |" in shown and made["page"](shown, tmp_path) == shown
    first = record["examples"][0]
    assert first["references"][0] in shown


@pytest.mark.slow
def test_a_pretrained_model_plays_gad_on_the_same_questions(
    study: dict[str, Any], pretrained: Callable[[str], Path], made: dict[str, Any], tmp_path: Path
) -> None:
    lines = [{"q": f"What is {i} plus {i}?", "a": [f"It is {2 * i}.", str(2 * i)]} for i in range(200)]
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "red_trivia_qa.json").write_text(json.dumps(lines), encoding="utf-8")
    found = smoke(study, tmp_path, "trivia", "--data", str(tmp_path), "--model", str(pretrained("llama")))
    assert (found["recipe"], found["task"], found["model"]) == ("gad", "answering", pretrained("llama").name)
    assert str(tmp_path) not in json.dumps(found["settings"])
    (tmp_path / "application-trivia-gad.json").write_text(json.dumps(found | {"smoke": False}), encoding="utf-8")
    page = (ROOT / "docs" / "applications" / "answering.md").read_text(encoding="utf-8")
    assert "| Exact match |" in made["page"](page, tmp_path)
