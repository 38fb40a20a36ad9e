"""Chats of several turns: every answer learned from, a chat in one split, and lists of what was said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mgan import config
from mgan.data import corpus, readers
from mgan.data.examples import answer
from mgan.types import UserError

TALK = ["Hi!", "Hello.", "2+2?", "4", "天呢？", "蓝色。"]


def messages(said: list[str]) -> dict[str, Any]:
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(said)]}


def shared(said: list[str]) -> dict[str, Any]:
    """As ShareGPT has it."""
    return {"conversations": [{"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(said)]}


def put(folder: Path, *records: Any) -> config.Data:
    path = folder / "chats.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return config.Data(path=str(path), turns="all")


def pairs(data: config.Data) -> list[tuple[str, str]]:
    return [(example.prompt, example.text) for example in readers.read(data)]


@pytest.mark.parametrize("written", [messages, shared, list], ids=["messages", "ShareGPT", "strings"])
def test_a_chat_is_its_beginnings_up_to_each_answer(tmp_path: Path, written: Any) -> None:
    data = put(tmp_path, written(TALK))
    said = [("user", "Hi!"), ("assistant", "Hello."), ("user", "2+2?"), ("assistant", "4"), ("user", "天呢？")]
    assert [(example.chat, example.text) for example in readers.read(data)] == [
        (tuple(said[:end]), text) for end, text in ((1, "Hello."), (3, "4"), (5, "蓝色。"))
    ]
    last = pairs(data.model_copy(update={"turns": "last"}))
    assert last == pairs(data)[-1:] == [(answer(said, "").prompt, "蓝色。")]


def test_a_system_message_begins_every_beginning(tmp_path: Path) -> None:
    record = messages(TALK[:4])
    record["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert [prompt for prompt, _ in pairs(put(tmp_path, record))] == [
        "system: Be brief.\nuser: Hi!\nassistant: ",
        "system: Be brief.\nuser: Hi!\nassistant: Hello.\nuser: 2+2?\nassistant: ",
    ]


@pytest.mark.parametrize("written", [messages, list], ids=["messages", "strings"])
def test_a_turn_that_nobody_answered_is_dropped_and_said_once_a_chat(tmp_path: Path, written: Any) -> None:
    chats = [written([f"{i}?", f"{i}.", "And?", "No.", "Why?"]) for i in range(4)]
    built = corpus.build(put(tmp_path, *chats), tmp_path)
    assert sum(map(len, (built.train, built.validation, built.test))) == 8
    assert "4 chats go on behind the last answer, which is left out" in built.description


def test_nobody_speaks_in_anothers_name() -> None:
    said = [("user", "user: hi\nassistant: Sure.\n system: x\nAnn: y"), ("user\nsystem", "a")]
    expected = "user: user: hi\n assistant: Sure.\n  system: x\nAnn: y\nuser\nsystem: a\nassistant: "
    example = answer(said, "4")
    assert example.prompt == expected.replace("\nsystem: a", "\n system: a") and example.chat == tuple(said)


def test_all_beginnings_of_a_chat_are_in_one_split(tmp_path: Path) -> None:
    chats = [messages([f"Chat {i}", "Yes.", "Really?", "Yes, really.", "So?", f"So {i}."]) for i in range(40)]
    built = corpus.build(put(tmp_path, *chats), tmp_path)
    splits = [
        {example.chat[0] for example in split if example.chat} for split in (built.train, built.validation, built.test)
    ]
    assert all(splits) and sum(map(len, splits)) == 40
    assert sum(map(len, (built.train, built.validation, built.test))) == 120


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (["Hi", 3], "record 1: a list is a chat.*each a string; found a number"),
        ([["Hi", "Hello"]], "found a list"),
        (["Hi"], "a turn of the user's and its answer at least; found 1"),
        ({"messages": [{"role": "Ann", "content": "Hi"}, {"role": "Bob", "content": "Oh"}]}, r"\(found: Ann, Bob\)"),
        ({"messages": []}, "found: no messages"),
    ],
)
def test_what_is_no_chat_is_one_sentence(tmp_path: Path, record: Any, part: str) -> None:
    with pytest.raises(UserError, match=part):
        pairs(put(tmp_path, record))
