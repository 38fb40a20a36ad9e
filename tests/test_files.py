"""Files that survive a kill, and logs that can be cut back."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.files import JSONLines, disk_errors, write_json, write_text
from mgan.types import UserError


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EFBIG, "disk is full"),
        (errno.EACCES, "Permission denied"),
        (errno.EROFS, "Read-only file system"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(code: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught, disk_errors(Path("run/metrics.jsonl")):
        raise OSError(code, os.strerror(code))
    assert "metrics.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_another_error_of_the_system_is_not_hidden() -> None:
    with pytest.raises(OSError, match="Input/output"), disk_errors(Path("x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_on_a_full_disk() -> None:
    with pytest.raises(UserError, match="disk is full"):
        JSONLines(Path("/dev/full")).append({"a": 1})


def test_a_text_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_text(path, "old")
    write_text(path, "月\n")
    assert path.read_bytes() == "月\n".encode()
    write_json(tmp_path / "results.json", {"text": "月", "n": [1, None]})
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == {"text": "月", "n": [1, None]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "results.json"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = tmp_path / "results.json"
    write_text(path, "old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new and longer")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_text(path, "newest")
    assert path.read_text() == "newest" and [p.name for p in tmp_path.iterdir()] == ["results.json"]


records = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
        max_size=4,
    ),
    max_size=8,
)


@given(records, records, records)
@settings(max_examples=40, deadline=None)
def test_a_log_cut_back_to_a_checkpoint_goes_on_as_if_nothing_had_been_written_since(
    tmp_path_factory: pytest.TempPathFactory, kept: list[object], lost: list[object], after: list[object]
) -> None:
    """Line separators inside a text, which are no line feeds, cut no line."""
    log = JSONLines(tmp_path_factory.mktemp("log") / "metrics.jsonl")
    assert log.read() == [] and log.size == 0
    log.cut(0)
    for record in kept:
        log.append(record)  # type: ignore[arg-type]
    size = log.size
    for record in lost:
        log.append(record)  # type: ignore[arg-type]
    assert log.read() == kept + lost
    log.cut(size)
    for record in after:
        log.append(record)  # type: ignore[arg-type]
    assert log.read() == kept + after


def test_a_last_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    log = JSONLines(tmp_path / "metrics.jsonl")
    log.append({"step": 1})
    log.append({"step": 2, "text": "月"})
    whole = log.path.read_bytes()
    for cut in range(len(b'{"step": 1}\n'), len(whole)):
        log.path.write_bytes(whole[:cut])
        assert log.read() == [{"step": 1}]


def test_a_log_that_is_shorter_than_its_checkpoint_says_is_not_filled_with_nothing(tmp_path: Path) -> None:
    log = JSONLines(tmp_path / "metrics.jsonl")
    log.append({"step": 1})
    log.cut(log.size + 100)
    log.append({"step": 2})
    assert log.read() == [{"step": 1}, {"step": 2}]
