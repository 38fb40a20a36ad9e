"""Suites as data: every one that is shipped can be played, and says so when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mgan.bench import suite as suites
from mgan.bench.suite import Suite, SweepSettings, candidates, family, load_suite, suite_names
from mgan.cli.main import app
from mgan.errors import UserError
from mgan.evaluation.published.published import SUITES

SPACE = {"a": [1, 2, 3], "b": ["x", "y"], "c": [0.5]}


def small(**fields: Any) -> Suite:
    method = {"recipe": "mle", "about": "it"}
    return Suite.model_validate(
        {"about": "a", "protocol": "p", "trials": 2, "seeds": [0], "methods": {"mle": method}} | fields
    )


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_is_valid(name: str) -> None:
    loaded = load_suite(name)
    assert loaded.about and loaded.protocol and loaded.sweep.sweep().decodings
    assert len(set(loaded.seeds)) == len(loaded.seeds)
    assert loaded.published is None or loaded.published in SUITES
    for method in loaded.methods.values():
        assert method.after is None or method.after in loaded.methods
        own = loaded.trials - method.inherits
        assert method.after or not method.inherits
        assert len(candidates(method.search, own, 0)) == (max(own, 1) if method.search else 1), "the grid is too small"
        assert all(method.search.values())


def test_all_methods_of_a_suite_have_one_budget_and_one_text() -> None:
    """What a method may set is not what the protocol sets for all."""
    for name in suite_names():
        loaded = load_suite(name)
        for method in loaded.methods.values():
            mine = {*method.settings, *method.search, *method.alike}
            assert not [field for field in mine if field.startswith(("data.", "tokenizer.", "pretrain.epochs"))]


def test_candidates_are_distinct_and_the_first_is_what_a_person_would_try() -> None:
    found = candidates(SPACE, 4, 0)
    assert found[0] == {"a": 1, "b": "x", "c": 0.5}
    assert len({tuple(one.items()) for one in found}) == len(found) == 4
    assert found == candidates(SPACE, 4, 0) != candidates(SPACE, 4, 1)
    assert candidates(SPACE, 3, 0) == found[:3], "a larger budget tries the same first"
    assert len(candidates(SPACE, 100, 0)) == 6
    assert all(list(one) == list(SPACE) and one[field] in SPACE[field] for one in found for field in SPACE)


def test_candidates_of_nothing_to_search() -> None:
    assert candidates({}, 5, 0) == [{}]
    assert candidates(SPACE, 0, 0) == [{"a": 1, "b": "x", "c": 0.5}]


def test_a_family_is_its_members() -> None:
    assert family("oracle") == ["oracle-20", "oracle-40"]
    assert family("oracle-20") == ["oracle-20"] and family("tang") == ["tang"]
    with pytest.raises(UserError, match="there is no suite 'orac': expected one of coco, news, oracle-20"):
        family("orac")


def test_files_are_where_the_user_says(tmp_path: Path) -> None:
    wants = small(files={"data.path": "here/train.txt", "data.test_path": "here/test.txt"})
    with pytest.raises(UserError, match=r"give --data FOLDER with here/test\.txt, here/train\.txt in it"):
        wants.located(None)
    with pytest.raises(UserError, match=r"train\.txt is missing"):
        wants.located(tmp_path)
    (tmp_path / "here").mkdir()
    for name in ("train", "test"):
        (tmp_path / "here" / f"{name}.txt").write_text("a\n")
    assert wants.located(tmp_path)["data.path"] == str(tmp_path / "here/train.txt")
    can_do_without = small(files={"data.oracle.weights": "w.npz"}, required=False)
    assert can_do_without.located(None) == {}
    with pytest.raises(UserError, match=r"w\.npz is missing"):
        can_do_without.located(tmp_path)
    assert small().located(None) == {} == small().located(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"seeds": []}, {"methods": {}}, {"trials": -1}, {"surprise": 1}, {"sweep": {"samples": 0}}], ids=str
)
def test_a_suite_that_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        small(**wrong)


def test_a_broken_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("about: a\nprotocol: p\ntrials: many\nseeds: [0]\nmethods: {}\n")
    monkeypatch.setattr(suites, "SUITES", tmp_path)
    assert suite_names() == ["mine"]
    with pytest.raises(UserError, match=r"^mine\.yaml: (trials|methods): [^\n]*$"):
        load_suite("mine")


def test_a_sweep_of_a_suite_is_a_sweep() -> None:
    assert SweepSettings(temperatures=(1.0,), samples=30).sweep().samples == 30
    with pytest.raises(UserError, match="20 or more"):
        SweepSettings(samples=3).sweep()


# --- the command, as far as it does not play


def test_suites_are_listed() -> None:
    done = CliRunner().invoke(app, ["bench"])
    assert done.exit_code == 0
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["suite", "methods", "about"]
    assert [line.split()[0] for line in lines] == suite_names()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "there is no suite 'nothing': expected one of coco, news"),
        (["tang", "--method", "magic"], "there is no method 'magic' in this suite: expected mle or mgan"),
        (["coco"], "give --data FOLDER with coco in it"),
        (["coco", "--data", "here"], "coco is missing: the folder given with --data must hold it"),
        (["news", "--method", "mle"], "give --data FOLDER with emnlp_news/test.txt, emnlp_news/train.txt in it"),
        (["oracle", "--data", "here"], "seqgan_oracle.npz is missing"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["bench", *arguments])
    assert (done.exit_code, done.stdout) == (2, "") and sentence in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
