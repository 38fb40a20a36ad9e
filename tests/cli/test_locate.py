from __future__ import annotations

from pathlib import Path

import pytest

from mgan.errors import UserError
from mgan.locate import find_run, new_run, shown


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    return folder


def test_a_run_is_found_by_name_by_path_and_from_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(here / "runs" / "a")
    assert find_run("a") == find_run("runs/a") == find_run(run) == find_run(str(run)) == run
    make(here / "other" / "x")
    monkeypatch.chdir(here / "other")
    assert find_run(run) == find_run("../runs/a").resolve() == run
    assert find_run("x") == here / "other" / "x"


def test_a_folder_that_happens_to_have_the_name_does_not_hide_the_run(here: Path) -> None:
    (here / "a").mkdir()
    run = make(here / "runs" / "a")
    assert find_run("a") == run


def test_a_missing_run_names_the_nearest(here: Path) -> None:
    make(here / "runs" / "poems-1")
    with pytest.raises(UserError, match=r"there is no run 'poems1'.*did you mean 'poems-1'\?"):
        find_run("poems1")
    with pytest.raises(UserError, match="'mgan runs' lists"):
        find_run("zzzzz")


def test_new_runs_by_name_by_path_and_by_default(here: Path) -> None:
    assert new_run("mgan", "a") == here / "runs" / "a"
    assert new_run("mgan", "x/a") == here / "x" / "a"
    assert new_run("mgan", "./a") == new_run("mgan", Path("a")) == here / "a"
    default = new_run("my recipe/é")
    assert default.parent == here / "runs" and default.name.startswith("my-recipe-é-20")
    assert list(here.iterdir()) == []


def test_two_default_runs_never_share_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda format: "-now")
    first = new_run("mle")
    first.mkdir(parents=True)
    assert (first.name, new_run("mle").name) == ("mle-now", "mle-now-2")


def test_an_empty_folder_is_as_good_as_none(here: Path) -> None:
    (here / "runs" / "a").mkdir(parents=True)
    assert new_run("mgan", "a") == here / "runs" / "a"


def test_shown_is_what_finds_it_again(here: Path) -> None:
    for run in (make(here / "runs" / "a"), make(here / "b")):
        assert find_run(shown(run)) == run
    assert shown(here / "runs" / "a") == "a"
