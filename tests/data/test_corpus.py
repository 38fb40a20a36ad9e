"""Splits that leak nothing, and a cache that survives whatever happens to it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import corpus as corpora
from mgan.data import readers
from mgan.data.corpus import Corpus
from mgan.data.readers import Example
from mgan.types import UserError


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def build(path: Path | str, cache: Path, **fields: Any) -> Corpus:
    return corpora.build(config.Data(path=str(path), **fields), cache)


def splits(corpus: Corpus) -> dict[str, str]:
    """Each text's split; a text of two splits would show as a lost one."""
    parts = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}
    return {example.text: name for name, part in parts.items() for example in part}


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=30), st.data())
@settings(max_examples=40, deadline=None)
def test_splits_partition_the_distinct_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("c")
    distinct = {text for text in texts if text.strip()}
    path = write(folder / "t.jsonl", texts)
    if len(distinct) < 3:
        with pytest.raises(UserError, match="at least 3"):
            build(path, folder / "cache")
        return
    corpus = build(path, folder / "cache")
    found = splits(corpus)
    assert set(found) == distinct
    assert len(corpus.train) + len(corpus.validation) + len(corpus.test) == len(distinct)
    assert min(len(corpus.train), len(corpus.validation), len(corpus.test)) >= 1
    again = write(folder / "again.jsonl", data.draw(st.permutations(texts)) + texts[:3])
    assert splits(build(again, folder / "cache")) == found


def test_shares_are_as_asked_and_no_text_moves_when_others_come(tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(3000)]
    few = splits(build(write(tmp_path / "few.jsonl", texts[:1500]), tmp_path, validation=0.2, test=0.05))
    corpus = build(write(tmp_path / "all.jsonl", texts), tmp_path, validation=0.2, test=0.05)
    assert 520 < len(corpus.validation) < 680
    assert 105 < len(corpus.test) < 195
    found = splits(corpus)
    assert all(found[text] == split for text, split in few.items())


@pytest.mark.parametrize(("prompts", "together"), [(60, True), (20, False)])
def test_the_answers_of_a_prompt_are_in_one_split(tmp_path: Path, prompts: int, together: bool) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"prompt": f"question {i}", "completion": f"answer {j}"} for i in range(prompts) for j in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = build(path, tmp_path)
    parts = [{example.prompt for example in part} for part in (corpus.train, corpus.validation, corpus.test)]
    assert all(parts) and sum(map(len, (corpus.train, corpus.validation, corpus.test))) == 8 * prompts
    assert (sum(map(len, parts)) == prompts) == together


def test_prompt_and_text_together_make_a_text(tmp_path: Path) -> None:
    rows = [{"prompt": p, "completion": c} for p, c in (("a", "bc"), ("ab", "c"), ("", "abc"), ("a", "bc"))]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = build(path, tmp_path)
    assert {*corpus.train, *corpus.validation, *corpus.test} == {
        Example("a", "bc"),
        Example("ab", "c"),
        Example("", "abc"),
    }


def test_description_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ["a", "b", "", "c", "a", "a", " "])
    description = build(path, tmp_path).description
    assert "3 distinct texts (1 train, 1 validation, 1 test)" in description
    assert "2 empty ones skipped, 2 duplicates dropped" in description


@pytest.mark.parametrize(
    ("split", "blank", "hinted"), [("line", 0, False), ("line", 1, False), ("line", 2, True), ("paragraph", 2, False)]
)
def test_description_tells_of_paragraphs(tmp_path: Path, split: str, blank: int, hinted: bool) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a\n\nb\n\nc" if split == "paragraph" else "\n".join(map(str, range(9))) + "\n" * (blank + 1))
    description = build(path, tmp_path / "cache", split=split).description
    assert ("data.split=paragraph" in description) == hinted


def test_texts_by_number_and_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "BATCH_TEXTS", 7)
    corpus = build(write(tmp_path / "t.jsonl", [f"text {i}" for i in range(200)]), tmp_path)
    train = corpus.train
    assert [train[i] for i in range(len(train))] == list(train)
    assert train[-1] == list(train)[-1]
    with pytest.raises(IndexError):
        train[len(train)]


@pytest.mark.parametrize(("name", "content"), [("t.txt", ""), ("t.jsonl", ""), ("t.json", "[]"), ("t.csv", "text\n")])
def test_a_file_without_texts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="holds 0 distinct non-empty texts; at least 3"):
        build(tmp_path / name, tmp_path / "cache")


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    reads: list[int] = []
    true = readers.examples

    def spy(*arguments: Any) -> Any:
        reads.append(1)
        return true(*arguments)

    monkeypatch.setattr(readers, "examples", spy)
    return reads


def test_cache_is_reused_until_file_or_config_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = count_reads(monkeypatch)
    path = write(tmp_path / "t.jsonl", ["One", "two", "three"])
    first = build(path, tmp_path)
    assert build(path, tmp_path).fingerprint == first.fingerprint
    assert len(reads) == 1
    assert build(path, tmp_path, lowercase=True).fingerprint != first.fingerprint
    assert len(reads) == 2
    write(path, ["One", "two", "four!"])
    assert "four!" in splits(build(path, tmp_path))
    assert len(reads) == 3


def test_same_contents_elsewhere_have_the_same_fingerprint(tmp_path: Path) -> None:
    one = build(write(tmp_path / "one.jsonl", ["a", "b", "c"]), tmp_path)
    two = build(write(tmp_path / "two.jsonl", ["a", "b", "c"]), tmp_path)
    assert one.fingerprint == two.fingerprint
    assert one.train.fingerprint == two.train.fingerprint != one.test.fingerprint


@pytest.mark.parametrize("name", ["texts.arrow", "split.npy", "about.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_cache_is_built_again(tmp_path: Path, name: str, damage: str) -> None:
    path = write(tmp_path / "t.jsonl", ["a", "b", "c", "d"])
    expected = splits(build(path, tmp_path / "cache"))
    (file,) = (tmp_path / "cache").rglob(name)
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 0x11]) + content[half + 1 :]
        file.write_bytes(content[:half] if damage == "cut" else flipped)
    assert splits(build(path, tmp_path / "cache")) == expected


def test_a_kill_while_building_leaves_nothing_half(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [f"text {i}" for i in range(50)])
    script = f"""
        import time
        from pathlib import Path
        from mgan import config
        from mgan.data import corpus, readers
        true = readers.examples
        def slowly(*arguments):
            for i, example in enumerate(true(*arguments)):
                yield example
                if i == 20:
                    Path({str(tmp_path / "started")!r}).touch()
                    time.sleep(60)
        readers.examples = slowly
        corpus.build(config.Data(path={str(path)!r}), Path({str(tmp_path / "cache")!r}))
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = list((tmp_path / "cache" / "corpora").iterdir())
    assert left and all(folder.name.startswith(".") for folder in left)
    assert len(splits(build(path, tmp_path / "cache"))) == 50
    for folder in left:
        os.utime(folder, (0, 0))
    build(path, tmp_path / "cache", lowercase=True)
    assert not any(folder.exists() for folder in left)


def test_an_error_while_building_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a"}\nnonsense\n')
    with pytest.raises(UserError, match="line 2"):
        build(path, tmp_path / "cache")
    assert list((tmp_path / "cache" / "corpora").iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(corpora, "_write_arrow", full)
    with pytest.raises(UserError, match=r"no space left.*MGAN_CACHE"):
        build("tang", tmp_path)


def test_a_cache_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        build("tang", tmp_path / "file")


def test_default_cache_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path / "here"))
    corpus = corpora.build(config.Data(path=str(write(tmp_path / "t.jsonl", ["a", "b", "c"]))))
    assert len(corpus.train) == 1
    assert list((tmp_path / "here" / "corpora").iterdir())


def test_test_texts_can_have_a_source_of_their_own_and_never_leak_into_training(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", [f"text {i}" for i in range(200)] + ["in both"])
    test = write(tmp_path / "test.jsonl", ["held a", "in both", "held b", "held a"])
    corpus = build(path, tmp_path / "cache", test_path=str(test))
    assert {example.text for example in corpus.test} == {"held a", "in both", "held b"}
    found = splits(corpus)
    assert found["in both"] == "test"
    assert len(found) == 203
    assert 5 < len(corpus.validation) < 40
    test.write_text(json.dumps({"text": "another"}))
    assert [example.text for example in build(path, tmp_path / "cache", test_path=str(test)).test] == ["another"]


def test_a_test_source_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", ["a", "b", "c"])
    with pytest.raises(UserError, match=r"data\.test_path.*nowhere"):
        build(path, tmp_path / "cache", test_path="nowhere.jsonl")


def test_the_first_texts_of_a_split_are_not_the_files_first(tmp_path: Path) -> None:
    texts = [f"{'early' if i < 1000 else 'late'} {i}" for i in range(2000)]
    corpus = build(write(tmp_path / "ordered.jsonl", texts), tmp_path / "cache", validation=0.2, test=0.2)
    for split in (corpus.train, corpus.validation, corpus.test):
        early = sum(split[i].text.startswith("early") for i in range(100))
        assert 30 < early < 70
