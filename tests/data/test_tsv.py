"""Files of two columns: a text, a tab, and what is written to it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from mgan import config
from mgan.data import readers
from mgan.data.readers import Example
from mgan.errors import UserError


def read(path: Path, content: str, **fields: Any) -> list[Example]:
    data = content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return list(readers.read(config.Data(path=str(path), **fields)))


def test_without_a_header_it_is_sources_and_translations(tmp_path: Path) -> None:
    lines = '\ufeffHello.\t你好。\r\n\nHe said "go". \t 他说“走”。\nnothing\t\n\tnothing\n'
    expected = [Example("Hello.\n", "你好。"), Example('He said "go".\n', "他说“走”。")]
    assert read(tmp_path / "t.tsv", lines) == expected
    assert read(tmp_path / "t.tsv.gz", lines, prompt_field="en", completion_field="zh") == expected


@pytest.mark.parametrize("header", ["prompt\tid\tcompletion", "question\tid\tanswer"])
def test_with_a_header_it_is_columns(tmp_path: Path, header: str) -> None:
    (found,) = read(tmp_path / "t.tsv", f"{header}\na\t1\tb\n")
    assert (found.prompt.strip(), found.text) == ("a", "b")
    assert read(tmp_path / "u.tsv", "id\ttext\tby\n1\tone\tme\n") == [Example("", "one")]
    assert read(tmp_path / "v.tsv", "label\ttext\ngood\tone\n") == [Example("", "one")]
    assert read(tmp_path / "w.tsv", "id\tbody\n1\tone\n", text_field="body") == [Example("", "one")]


def test_a_word_to_be_translated_is_no_header(tmp_path: Path) -> None:
    expected = [Example("text\n", "文本"), Example("word\n", "词")]
    assert read(tmp_path / "t.tsv", "text\t文本\nword\t词\n") == expected


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a\tb\tc\n", ["t.tsv, line 1", "3 columns and no header", "'prompt' and 'completion'"]),
        ("one\ntwo\n", ["t.tsv, line 1", "1 column and no header", "a tab"]),
        ("a\tb\n\nc\n", ["t.tsv, line 3", "1 column where", "has 2"]),
        ("text\tid\na\t1\tb\n", ["t.tsv, line 2", "3 columns", "has 2"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path / "t.tsv", content)
    assert all(part in str(caught.value) for part in parts)
