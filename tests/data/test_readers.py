"""Every format in, every mistake named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgan import config
from mgan.data import readers
from mgan.data.readers import Example
from mgan.types import UserError

TEXTS = ["a first text", "第二 text, with a comma", 'a "third" one']
PAIRS = [{"prompt": "2+2?", "completion": "4"}, {"prompt": "", "completion": "no prompt"}]


def put(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path | str, **fields: Any) -> list[Example]:
    return list(readers.read(config.Data(path=str(path), **fields)))


def complaint(path: Path | str, **fields: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **fields)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def as_csv(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out, row_group_size=2)
    return out.getvalue()


WRITERS = {
    "jsonl": as_jsonl,
    "json": lambda rows: json.dumps(rows, indent=1),
    "csv": as_csv,
    "parquet": as_parquet,
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("form", WRITERS)
def test_structured_formats_agree(tmp_path: Path, form: str, packed: str) -> None:
    texts = put(tmp_path / f"texts.{form}{packed}", WRITERS[form]([{"id": "1", "text": t} for t in TEXTS]))
    assert read(texts) == [Example("", text) for text in TEXTS]
    pairs = put(tmp_path / f"pairs.{form}{packed}", WRITERS[form](PAIRS))
    assert read(pairs) == [Example(pair["prompt"], pair["completion"]) for pair in PAIRS]


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_fields_are_named_in_the_config(tmp_path: Path, form: str) -> None:
    path = put(tmp_path / f"t.{form}", WRITERS[form]([{"question": "q", "answer": "a", "text_": "t"}]))
    assert read(path, prompt_field="question", completion_field="answer") == [Example("q", "a")]
    assert read(path, text_field="text_") == [Example("", "t")]


def test_strings_are_texts(tmp_path: Path) -> None:
    expected = [Example("", text) for text in TEXTS]
    assert read(put(tmp_path / "t.json", json.dumps(TEXTS))) == expected
    assert read(put(tmp_path / "t.jsonl", as_jsonl(TEXTS))) == expected


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_txt_lines_and_paragraphs(tmp_path: Path, packed: str) -> None:
    path = put(tmp_path / f"t.txt{packed}", "\ufeff  one\r\ntwo  \n\n \nthree\n\n")
    assert [e.text for e in read(path)] == ["  one", "two", "three"]
    assert [e.text for e in read(path, split="paragraph")] == ["  one\ntwo", "three"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.csv"])
def test_a_byte_order_mark_is_dropped(tmp_path: Path, name: str) -> None:
    content = WRITERS[name.split(".")[1]]([{"text": "x"}])
    assert read(put(tmp_path / name, "\ufeff" + content)) == [Example("", "x")]  # type: ignore[operator]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_chats(tmp_path: Path, form: str) -> None:
    def say(*turns: str) -> list[dict[str, str]]:
        return [dict(zip(("role", "content"), turn.split("|"), strict=True)) for turn in turns]

    chats = [
        {"messages": say("system|Be brief.", "user|Hi", "assistant|Hello", "user|2+2?", "assistant|4")},
        {"messages": say("user|Hi", "assistant|Hello", "user|Left alone")},
    ]
    assert read(put(tmp_path / f"t.{form}", WRITERS[form](chats))) == [
        Example(
            "system: Be brief.\nuser: Hi\nassistant: Hello\nuser: 2+2?\nassistant: ",
            "4",
            (("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "2+2?")),
        ),
        Example("user: Hi\nassistant: ", "Hello", (("user", "Hi"),)),
    ]


def test_empty_texts_are_skipped_and_counted(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", as_jsonl([{"text": t} for t in ("a", " \n", None, "", "b")]))
    data = config.Data(path=str(path))
    tally = readers.Tally()
    assert [e.text for e in readers.examples(readers.find(data), data, tally)] == ["a", "b"]
    assert tally.empty == 3


def test_lowercase_and_max_texts(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", as_jsonl([{"prompt": "P", "completion": c} for c in ("", "A", "B", "C")]))
    assert read(path, lowercase=True, max_texts=2) == [Example("p", "a"), Example("p", "b")]


def test_max_texts_reads_no_further(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", '{"text": "good"}\nnonsense\n')
    assert read(path, max_texts=1) == [Example("", "good")]


def test_a_folder_is_its_files_sorted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    put(tmp_path / "c.txt", "third")
    put(tmp_path / "b" / "x.jsonl.gz", as_jsonl([{"text": "second"}]))
    put(tmp_path / "a.csv", as_csv([{"prompt": "p", "completion": "first"}]))
    put(tmp_path / ".hidden" / "h.txt", "no")
    put(tmp_path / "README.md", "no")
    assert [e.text for e in read(tmp_path)] == ["first", "second", "third"]


def test_hugging_face_folders(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list([{"id": i, "text": text} for i, text in enumerate(TEXTS)])
    rows.save_to_disk(tmp_path / "plain")
    datasets.DatasetDict(train=rows, test=rows.select([0])).save_to_disk(tmp_path / "splits")
    datasets.DatasetDict(dev=rows).save_to_disk(tmp_path / "no_train")
    expected = [Example("", text) for text in TEXTS]
    assert read(tmp_path / "plain") == expected
    assert read(tmp_path / "splits") == expected
    assert "no train split, only dev" in complaint(tmp_path / "no_train")
    assert "found 'id', 'text'" in complaint(tmp_path / "plain", text_field="body")
    (tmp_path / "plain" / "state.json").write_text("{")
    assert "no readable dataset folder" in complaint(tmp_path / "plain")


def test_hub_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load(name: str) -> Any:
        assert name == "org/poems"
        return datasets.DatasetDict(train=datasets.Dataset.from_list([{"text": "from the hub"}]))

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read("org/poems") == [Example("", "from the hub")]

    def fail(name: str) -> Any:
        raise ConnectionError("Couldn't reach it\non the Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    assert complaint("org/poems").startswith("data.path: 'org/poems' is no file or folder here")


@pytest.mark.parametrize(("name", "length"), [("tang", 24), ("tang7", 32)])
def test_embedded_poems(name: str, length: int) -> None:
    poems = [e.text for e in read(name, split="paragraph")]
    assert len(poems) > 3000
    assert sum(len(poem) == length for poem in poems) > 0.95 * len(poems)


def test_embedded_plays() -> None:
    speeches = [e.text for e in read("shakespeare", split="line")]
    assert len(speeches) > 30_000
    assert any("put out the light:\nIf I quench thee" in speech for speech in speeches)
    assert all("\n" in speech for speech in speeches)
    assert not any(word in "\n".join(speeches) for word in ("Gutenberg", "DRAMATIS", "PERSONS REPRESENTED"))


def test_nothing_there() -> None:
    sentence = "data.path: no file, folder or embedded corpus 'tangg' (embedded: tang, tang7, shakespeare)"
    assert complaint("tangg") == sentence
    assert "no file, folder" in complaint("my/poems.txt")
    assert "cannot be looked up" in complaint("x" * 300)


def test_unknown_formats(tmp_path: Path) -> None:
    assert "cannot tell the format" in complaint(put(tmp_path / "t.doc", "x"))
    assert "cannot tell the format" in complaint(put(tmp_path / "t.gz", "x"))
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert "holds no file that can be read" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("t.txt", b"fine\nfine\n\xff\xfe bad\n", ["t.txt, line 3", "not UTF-8", "0xff"]),
        ("t.csv", b"text\nok\nb\xe9\n", ["t.csv, line 3", "not UTF-8"]),
        ("t.json", b'[\n"a",\n"\xe9"]', ["t.json, line 3", "not UTF-8"]),
        ("t.jsonl", b'{"text": "a"}\n\n{"text": "b"\n', ["t.jsonl, line 3", "not valid JSON"]),
        ("t.json", b'[{"text": "a"},\n{"text" "b"}]', ["t.json, line 2", "not valid JSON"]),
        ("t.json", b'{"text": "a"}', ["t.json", "expected a list", "an object"]),
        ("t.json", b"[" * 200_000, ["t.json", "JSON"]),
        ("t.jsonl", b"[1]\n", ["line 1", "a list is a chat", "found a number"]),
        ("t.jsonl", b'{"body": 1, "id": 2}\n', ["line 1", "'text'", "'body', 'id'", "data.text_field"]),
        ("t.jsonl", b'{"text": "a"}\n{"body": "b"}\n', ["line 2", "'text'", "found 'body'"]),
        ("t.jsonl", b'{"prompt": "a", "completion": "b"}\n{"prompt": "b"}', ["line 2", "'completion'"]),
        ("t.jsonl", b'{"text": "a"}\n"b"\n', ["line 2", "found a string"]),
        ("t.jsonl", b'"a"\n{"text": "b"}\n', ["line 2", "expected a string", "found an object"]),
        ("t.jsonl", b'{"text": 3}', ["line 1", "'text' must be a string", "a number"]),
        ("t.jsonl", b'{"text": "\\ud83d"}', ["line 1", "surrogate", "\\ud83d"]),
        ("t.jsonl", b'{"messages": "hi"}', ["line 1", "must be a list", "a string"]),
        ("t.jsonl", b'{"messages": [{"role": "user", "content": "hi"}]}', ["line 1", "assistant"]),
        ("t.jsonl", b'{"messages": [{"content": "hi"}]}', ["line 1", "'role'", "'content'"]),
        ("t.csv", b"text,id\na,1\nb,c,2\n", ["t.csv, line 3", "3 fields", "has 2", "quotes"]),
        ("t.csv", b'text,id\n"a\nb",1\n"c,2\n', ["t.csv, line 4", "not valid CSV"]),
        ("t.csv", b"text,text\na,b\n", ["line 1", "'text'", "more than once"]),
        ("t.csv", b"body,id\na,1\n", ["line 2", "'text'", "'body', 'id'"]),
        ("t.parquet", b"PAR1 no such thing PAR1", ["t.parquet", "not a readable parquet file"]),
        ("t.parquet", b"", ["t.parquet", "not a readable parquet file"]),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    sentence = complaint(put(tmp_path / name, content))
    for part in parts:
        assert part in sentence


def test_a_torn_gzip_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"text {i * i}\n" for i in range(9999)).encode())
    path = tmp_path / "t.txt.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a complete gzip file" in complaint(path)
    path.write_bytes(b"plain text")
    assert "not a complete gzip file" in complaint(path)


@given(st.lists(st.text(), max_size=20))
def test_any_text_survives_json_lines_and_csv(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    kept = [text for text in texts if text.strip()]
    assert [e.text for e in read(put(folder / "t.jsonl", as_jsonl([{"text": t} for t in texts])))] == kept
    if texts:
        content = as_csv([{"text": text} for text in texts])
        assert [e.text for e in read(put(folder / "t.csv", content))] == kept


@pytest.mark.parametrize("form", ["txt", "jsonl", "csv", "parquet"])
def test_a_file_is_never_held_in_memory(tmp_path: Path, form: str) -> None:
    lines = (f"the text of line {i} " * 20 for i in range(20_000))
    path = tmp_path / f"t.{form}"
    if form == "parquet":
        table = pa.table({"text": list(lines)})
        parquet.write_table(table, path, row_group_size=2000)
    else:
        shape = {"txt": "{}\n", "jsonl": '{{"text": "{}"}}\n', "csv": "{}\n"}[form]
        with path.open("w") as file:
            file.write("text\n" if form == "csv" else "")
            file.writelines(shape.format(line) for line in lines)
        assert path.stat().st_size > 8 * 2**20
    tracemalloc.start()
    try:
        assert sum(1 for _ in readers.read(config.Data(path=str(path)))) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
