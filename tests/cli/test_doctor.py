from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mgan.cli.doctor import EXTRAS, survey
from mgan.cli.main import app
from mgan.cli.speed import WORKS, Rate, Speed, measure


@pytest.fixture
def two_threads() -> None:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_the_object_has_everything_and_the_rates_are_of_this_machine() -> None:
    done = CliRunner().invoke(app, ["doctor", "--seconds", "0.1", "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["versions"]["torch"] == torch.__version__
    assert set(record["extras"]) == set(EXTRAS)
    assert record["devices"][0]["device"] == "cpu" and record["devices"][0]["memory"] > 0.1
    assert record["threads"]["count"] == torch.get_num_threads()
    assert record["threads"]["reason"] == "OMP_NUM_THREADS"
    assert record["cache"]["free"] > 0
    assert [rate["work"] for rate in record["speed"]["rates"]] == [work.name for work in WORKS]
    for rate in record["speed"]["rates"]:
        assert 0.01 < rate["by_place"]["1 thread"] < 1e9
    assert isinstance(record["remarks"], list)


def test_the_page_names_every_part() -> None:
    done = CliRunner().invoke(app, ["doctor", "--seconds", "0"])
    assert done.exit_code == 0, done.output
    for word in (
        "torch",
        "extra tensorboard",
        "precision, cpu",
        "threads",
        "wait policy",
        "cache",
        "GFLOP/s",
        "1 thread",
    ):
        assert re.search(rf"^{word}|{word}", done.stdout, re.MULTILINE), word


def test_what_was_measured_at_all_threads_leaves_torch_as_it_was(two_threads: None) -> None:
    speed = measure(0.0, threads=3)
    assert {place for rate in speed.rates for place in rate.by_place} >= {"1 thread", "3 threads"}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("two", "share", "words"),
    [(90.0, 1.0, ["2 threads are slower than one at: sampling"]), (96.0, 1.0, []), (150.0, 0.5, ["busy"])],
)
def test_slower_threads_and_a_busy_machine_are_said_in_words(two: float, share: float, words: list[str]) -> None:
    rate = Rate("sampling", "tokens/s", {"1 thread": 100.0, "2 threads": two})
    said = Speed([rate], share).remarks(2)
    assert len(said) == len(words) and all(word in line for word, line in zip(words, said, strict=True))


def test_one_thread_is_not_compared_with_itself() -> None:
    assert Speed([Rate("sampling", "tokens/s", {"1 thread": 100.0})], 1.0).remarks(1) == []


def test_an_absent_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "tensorboard", ("no-such-package-as-this",))
    assert survey()["extras"]["tensorboard"] == {"no-such-package-as-this": None}


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {name: project["optional-dependencies"][name] for name in EXTRAS}
    assert {name: list(packages) for name, packages in EXTRAS.items()} == {
        name: [re.split("[<>=]", requirement)[0] for requirement in requirements]
        for name, requirements in wanted.items()
    }
