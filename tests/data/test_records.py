"""Questions with all their accepted answers, closed-book and about a passage, are prompts with completions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from mgan import config
from mgan.data import corpus, readers
from mgan.data.examples import Example
from mgan.types import UserError


def read(folder: Path, *records: Any, **fields: Any) -> list[Example]:
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return list(readers.read(config.Data(path=str(path), **fields)))


CASES = [
    ({"question": "2+2?", "answer": "4"}, [("2+2?\n", "4")]),
    ({"list": "2015", "q": "2+2?", "a": ["4", "four"]}, [("2+2?\n", "4"), ("2+2?\n", "four")]),
    ({"question": "2+2?\n", "answers": ["4", "four", "4"]}, [("2+2?\n", "4"), ("2+2?\n", "four")]),
    ({"prompt": "天是什么颜色？", "answers": ["蓝色"]}, [("天是什么颜色？\n", "蓝色")]),
    ({"question": "谁？", "context": "他是王维。", "answers": {"text": ["王维"], "answer_start": [2]}},
     [("他是王维。\n谁？\n", "王维")]),
    ({"question": "Who?", "context": None, "answers": "Ann"}, [("Who?\n", "Ann")]),
    ({"prompt": "2+2? ", "completion": ["4", "four"]}, [("2+2? ", "4"), ("2+2? ", "four")]),
    ({"prompt": "p", "completion": "c", "answers": ["x"], "context": "y"}, [("p", "c")]),
    ({"text": "t", "question": "q", "answers": ["x"]}, [("", "t")]),
    ({"messages": [{"role": "assistant", "content": "c"}], "question": "q", "answer": "x"}, [("assistant: ", "c")]),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), CASES)
def test_a_question_is_a_prompt_of_every_accepted_answer(tmp_path: Path, record: Any, expected: Any) -> None:
    assert [(example.prompt, example.text) for example in read(tmp_path, record)] == expected


def test_own_names_of_fields_take_the_prompt_as_it_stands(tmp_path: Path) -> None:
    found = read(tmp_path, {"q": "2+2? ", "a": ["4", "four"]}, prompt_field="q", completion_field="a")
    assert found == [Example("2+2? ", "4"), Example("2+2? ", "four")]


def test_a_question_without_an_answer_is_left_out_and_counted(tmp_path: Path) -> None:
    tally, records = readers.Tally(), [{"question": "a", "answers": ["1"]}, {"question": "b", "answers": []}]
    path = tmp_path / "q.json"
    path.write_text(json.dumps(records))
    data = config.Data(path=str(path))
    assert len(list(readers.examples(readers.find(data), data, tally))) == 1 and tally.empty == 1


def test_the_answers_of_a_question_are_in_one_split(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"id": i, "question": f"{i}?", "answers": [str(i), f"no. {i}"]} for i in range(80)])
    parquet.write_table(table, tmp_path / "q.parquet")
    built = corpus.build(config.Data(path=str(tmp_path / "q.parquet")), tmp_path)
    splits = [{example.prompt for example in split} for split in (built.train, built.validation, built.test)]
    assert sum(map(len, splits)) == 80 and all(splits)
    assert sum(map(len, (built.train, built.validation, built.test))) == 160


def split_of(folder: Path, records: list[Any], **fields: Any) -> dict[str, set[str]]:
    """The splits that each prompt stands in."""
    read(folder, *records)
    built = corpus.build(config.Data(path=str(folder / "q.jsonl"), **fields), folder)
    found: dict[str, set[str]] = {}
    for name in corpus.SPLITS:
        for example in getattr(built, name):
            found.setdefault(example.prompt, set()).add(name)
    assert set().union(*found.values()) == set(corpus.SPLITS)
    return found


def test_a_passage_is_in_one_split_with_all_its_questions(tmp_path: Path) -> None:
    records = [
        {"question": f"{i} of {p}?", "context": f"Passage {p}", "answers": [f"{i}"]}
        for p in range(60)
        for i in range(5)
    ]
    for lowercase in (False, True):
        splits: dict[str, set[str]] = {}
        for prompt, names in split_of(tmp_path, records, lowercase=lowercase).items():
            splits.setdefault(prompt.splitlines()[0], set()).update(names)
        assert len(splits) == 60 and all(len(names) == 1 for names in splits.values())


@pytest.mark.parametrize("count", [3, 4, 45])
@pytest.mark.parametrize("written", [("question", "answers"), ("prompt", "completion")])
def test_few_questions_have_all_their_answers_in_one_split(
    tmp_path: Path, count: int, written: tuple[str, str]
) -> None:
    prompt, completion = written
    records = [{prompt: f"{i}?\n", completion: [f"{i} {n}" for n in range(4)]} for i in range(count)]
    splits = split_of(tmp_path, records)
    assert len(splits) == count and all(len(names) == 1 for names in splits.values())


def test_a_few_instructions_are_still_shared(tmp_path: Path) -> None:
    alone = [{"prompt": "Write.", "completion": f"{i}"} for i in range(200)]
    listed = [{"prompt": "Write.", "completion": [f"{i}" for i in range(200)]}]
    for records in (alone, listed):
        assert split_of(tmp_path, records) == {"Write.": set(corpus.SPLITS)}
        assert len(corpus.build(config.Data(path=str(tmp_path / "q.jsonl")), tmp_path).test) > 5
    both = split_of(tmp_path, [*alone, *({"prompt": f"{i}?", "completion": ["a", "b"]} for i in range(9))])
    assert len(both.pop("Write.")) == 3 and all(len(names) == 1 for names in both.values())


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ({"question": 3, "answers": ["x"]}, "line 1: field 'question' must be a string, found a number"),
        ({"question": "q", "context": ["c"], "answers": ["x"]}, "field 'context' must be a string, found a list"),
        ({"question": "q", "answers": 4}, "field 'completion' must be a string, found a number"),
        ({"question": "q"}, "found 'question'"),
        ({"q": "q"}, "found 'q'"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, record: Any, part: str) -> None:
    with pytest.raises(UserError, match=part):
        read(tmp_path, record)
