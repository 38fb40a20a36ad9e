"""TRL's dataset formats are read as they are, standard and conversational, and ShareGPT's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import corpus, readers, shapes
from mgan.data.examples import Example
from mgan.types import UserError

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "天是什么颜色？"}]
SAY = [{"role": "assistant", "content": "蓝色。"}]
CHAT = (("system", "Be brief."), ("user", "天是什么颜色？"))
LINES = "system: Be brief.\nuser: 天是什么颜色？\nassistant: "
TALK = Example(LINES, "蓝色。", CHAT)


def lines(folder: Path, *records: Any) -> Path:
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def one(record: dict[str, Any], **fields: Any) -> Example:
    data = config.Data(**fields)
    return shapes.shape(record, "t.jsonl, line 1", data)(record, "t.jsonl, line 1")


CASES = [
    ({"text": "天很蓝。"}, Example("", "天很蓝。")),
    ({"messages": ASK + SAY}, TALK),
    ({"prompt": "The sky is", "completion": " blue."}, Example("The sky is", " blue.")),
    ({"prompt": ASK, "completion": SAY}, TALK),
    ({"prompt": ASK, "completion": "蓝色。"}, TALK),
    ({"prompt": "天是什么颜色？", "completion": SAY}, Example("天是什么颜色？", "蓝色。")),
    ({"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}, Example("The sky is", " blue.")),
    ({"prompt": ASK, "chosen": SAY, "rejected": [{"role": "assistant", "content": "绿色。"}]}, TALK),
    ({"prompt": "天是什么颜色？", "chosen": ASK + SAY, "rejected": ASK}, TALK),
    ({"chosen": ASK + SAY, "rejected": [*ASK, {"role": "assistant", "content": "绿色。"}]}, TALK),
    ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, Example("The sky is", " blue.")),
    ({"chosen": "今天天气很好", "rejected": "今天天气很坏"}, Example("今天天气很", "好")),
    ({"prompt": "The sky is", "completion": " blue.", "label": True}, Example("The sky is", " blue.")),
    ({"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "天是什么颜色？"},
                        {"from": "gpt", "value": "蓝色。"}]}, TALK),
    ({"conversations": ASK + SAY}, TALK),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi "}, {"type": "text", "text": "you"}]},
                   {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}]},
     Example("user: Hi you\nassistant: ", "Hello", (("user", "Hi you"),))),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), CASES, ids=lambda case: None)
def test_a_record_is_read_as_it_is(record: dict[str, Any], expected: Example) -> None:
    assert one(record) == expected


def test_a_completion_of_several_turns_ends_with_its_last_answer() -> None:
    more = [*SAY, {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Rayleigh."}]
    chat = (*CHAT, ("assistant", "蓝色。"), ("user", "Why?"))
    assert one({"prompt": ASK, "completion": more}).given == chat
    assert one({"prompt": "Sky?", "completion": more}).given == (("user", "Sky?"), *chat[2:])
    assert one({"prompt": ASK, "completion": more}).text == "Rayleigh."


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_was_rejected_is_left_out_and_said_once(tmp_path: Path, form: str) -> None:
    records = [
        {"prompt": ASK, "chosen": [{"role": "assistant", "content": f"蓝{i}"}],
         "rejected": [{"role": "assistant", "content": "绿"}]}
        for i in range(5)
    ]  # fmt: skip
    path = lines(tmp_path, *records)
    if form == "parquet":
        path = tmp_path / "t.parquet"
        parquet.write_table(pa.Table.from_pylist(records), path)
    built = corpus.build(config.Data(path=str(path)), tmp_path)
    texts = {example.text for split in (built.train, built.validation, built.test) for example in split}
    assert texts == {f"蓝{i}" for i in range(5)}
    assert built.description.endswith("0 duplicates dropped; 5 rejected answers are left out.")


def test_an_unpaired_preference_is_real_where_its_label_is_true(tmp_path: Path) -> None:
    records = [{"prompt": "p", "completion": f"c{i}", "label": i % 2 == 0} for i in range(6)]
    tally = readers.Tally()
    data = config.Data(path=str(lines(tmp_path, *records)))
    found = list(readers.examples(readers.find(data), data, tally))
    assert [example.text for example in found] == ["c0", "c2", "c4"]
    assert (tally.rejected, tally.empty) == (3, 0)


def test_a_label_that_is_no_judgement_counts_for_nothing(tmp_path: Path) -> None:
    records = [{"text": "a", "label": False}, {"text": "b", "label": False}]
    assert len(list(readers.read(config.Data(path=str(lines(tmp_path, *records)))))) == 2


@pytest.mark.parametrize(("label", "kept"), [("sad", 1), ("true", 1), ("False", 0), (True, 1), (False, 0)])
def test_a_class_in_words_beside_a_title_is_no_judgement(label: str | bool, kept: int, tmp_path: Path) -> None:
    path = lines(tmp_path, {"prompt": "A title\n", "completion": "A poem.", "label": label})
    assert len(list(readers.read(config.Data(path=str(path))))) == kept


def test_a_chat_without_an_answer_is_left_out_behind_others(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "2+2?"}]
    answered = {"messages": [*ask, {"role": "assistant", "content": "4"}]}
    found = readers.read(config.Data(path=str(lines(tmp_path, answered, {"messages": ask}, answered))))
    assert [example.text for example in found] == ["4", "4"]
    wrong = {"messages": [*ask, {"role": "bot", "content": "4"}]}
    with pytest.raises(UserError, match=r"line 2: .*'assistant'"):
        list(readers.read(config.Data(path=str(lines(tmp_path, answered, wrong)))))


def test_an_ending_is_put_behind_prompts_that_have_none(tmp_path: Path) -> None:
    records = [{"prompt": prompt, "completion": "A poem."} for prompt in ("A title", "Another\n", "")]
    found = readers.read(config.Data(path=str(lines(tmp_path, *records)), prompt_ending="\n"))
    assert [example.prompt for example in found] == ["A title\n", "Another\n", ""]
    chat = one({"messages": [*ASK, {"role": "assistant", "content": "4"}]}, prompt_ending="\n")
    assert chat == one({"messages": [*ASK, {"role": "assistant", "content": "4"}]})


def test_own_names_of_fields_hold_for_every_shape() -> None:
    record = {"q": ASK, "a": SAY}
    assert one(record, prompt_field="q", completion_field="a") == TALK
    assert one({"q": "x", "chosen": "y", "rejected": "z"}, prompt_field="q") == Example("x", "y")


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ({"prompt": "The sky is"}, "found a 'prompt' alone ('prompt'); mgan learns from real completions"),
        ({"prompt": ASK}, "as 'completion', or name their field with data.completion_field"),
        ({"prompt": "p", "completions": ["a"], "labels": [True]}, "'prompt' alone ('prompt', 'completions', 'labels')"),
        ({"body": "x"}, "name your own with data.text_field"),
        ({"messages": ASK}, "'messages' holds no message whose role is 'assistant'"),
        ({"messages": "x"}, "field 'messages' must be a list, found a string"),
        ({"messages": ["x"]}, "expected an object with the field 'content', found a string"),
        ({"prompt": 3, "completion": "x"}, "field 'prompt' must be a string, found a number"),
        ({"chosen": "x"}, "expected the field 'rejected'"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "holds 'image', and mgan reads text alone"),
    ],
)
def test_a_mistake_is_one_sentence(record: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError) as caught:
        one(record)
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("t.jsonl, line 1: ")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=4)


def as_messages(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


@given(prompt=TEXT, completion=TEXT)
def test_strings_come_back(prompt: str, completion: str) -> None:
    for record in (
        {"prompt": prompt, "completion": completion},
        {"prompt": prompt, "completion": [{"role": "assistant", "content": completion}]},
        {"prompt": prompt, "chosen": completion, "rejected": "x"},
    ):
        assert one(json.loads(json.dumps(record))) == Example(prompt, completion)


@given(turns=TURNS, completion=TEXT, other=TEXT)
def test_conversations_come_back_in_every_shape(turns: list[tuple[str, str]], completion: str, other: str) -> None:
    said, unsaid = ([{"role": "assistant", "content": text}] for text in (completion, other))
    before, names = as_messages(turns), {"user": "human", "assistant": "gpt"}
    shared = [{"from": names.get(m["role"], m["role"]), "value": m["content"]} for m in before + said]
    for record in (
        {"messages": before + said},
        {"prompt": before, "completion": said},
        {"prompt": before, "chosen": said, "rejected": unsaid},
        {"chosen": before + said, "rejected": before + unsaid},
        {"conversations": shared},
    ):
        example = one(record)
        assert (example.given, example.text) == (tuple(turns), completion)


@settings(deadline=None)  # importing TRL takes its time
@given(shared=TEXT, chosen=TEXT, rejected=TEXT)
def test_a_shared_beginning_is_the_prompt_as_in_trl(shared: str, chosen: str, rejected: str) -> None:
    trl = pytest.importorskip("trl")
    chosen, rejected = f"{shared}b{chosen}", f"{shared}r{rejected}"
    example = one({"chosen": chosen, "rejected": rejected})
    assert example.prompt + example.text == chosen
    if shared:  # without any, TRL looks at the last character instead
        theirs = trl.extract_prompt({"chosen": chosen, "rejected": rejected})
        assert (example.prompt, example.text) == (theirs["prompt"], theirs["chosen"])
