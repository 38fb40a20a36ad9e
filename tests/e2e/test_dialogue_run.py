"""The recipe dialogue through the command line, English and Chinese, and talking with what it trained."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mgan.sampling.pair import Pair

Command = Callable[..., tuple[int, str, str]]
QUICK = [
    "evaluation.samples=20", "evaluation.discriminator_steps=1", "evaluation.temperatures=[0.5]",
    "evaluation.bootstrap=100", "tokenizer.min_frequency=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def polite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned short Chinese chats, of strings: whatever is said, the answer is 好。"""
    import mgan

    folder = tmp_path_factory.mktemp("dialogue")
    chats = [
        [f"{name}{verb}", "好。", f"{verb}吗", "好。"] for name in "王李张刘陈杨赵黄周吴" for verb in "来去坐走吃喝"
    ]
    data = folder / "chats.json"
    data.write_text(json.dumps(chats, ensure_ascii=False), encoding="utf-8")
    learned = ["pretrain.max_steps=60", "pretrain.learning_rate=0.03", "adversarial.steps=0", "warmup.steps=0"]
    overrides = [*QUICK, *learned, "generator.context=96"]
    return mgan.train(data, "dialogue", folder / "run", overrides, smoke=True).path


@pytest.fixture
def talk(command: Command, polite: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, list[str]]]:
    """Types these lines into ``mgan chat``; returns (exit code, stdout, lines of stderr)."""

    def run(*lines: str | bytes, options: tuple[Any, ...] = ()) -> tuple[int, str, list[str]]:
        raw = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code, out, errors = command("chat", polite, *options)
        return code, out, errors.splitlines()

    return run


def test_english_chats_train_and_are_measured(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgan.evaluation.tasks.dialogue._sentences", lambda: None)
    chats = [
        {"messages": [{"role": "user", "content": f"{a} or {b}?"}, {"role": "assistant", "content": f"{a}."},
                      {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": f"Yes, {a}."},
                      *([{"role": "user", "content": "Why?"}] if a == "tea" else [])]}
        for a in ("tea", "milk", "juice", "water", "rum") for b in ("beer", "wine", "mead", "port")
    ]  # fmt: skip
    data, run = tmp_path / "chats.jsonl", tmp_path / "run"
    data.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    code, _, errors = command("train", "dialogue", "--data", data, "--run", run, "--smoke", "--quiet", *QUICK)
    assert code == 0, errors
    assert "4 chats go on behind the last answer, which is left out" in (run / "report.html").read_text()
    found = json.loads((run / "results.json").read_text())["task"]
    assert found["name"] == "dialogue" and set(found["measures"]) == {"adversarial", "mle", "real"}
    assert all(example["prompt"].endswith("assistant: ") for example in found["examples"])
    assert "mgan chat RUN" in (run / "report.html").read_text()
    assert "Distinct-1" in (run / "report.html").read_text()


def test_a_chat_is_a_transcript_and_every_answer_is_given_what_was_said_before(
    talk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, stream = [], Pair.stream
    monkeypatch.setattr(Pair, "stream", lambda pair, prompt, **how: given.append(prompt) or stream(pair, prompt, **how))
    code, out, errors = talk("王来", "", "来吗", "/reset", "李坐", options=("--system", "王"))
    assert code == 0 and errors == ["all that was said is forgotten"]
    assert out == "user: 王来\nassistant: 好。\nuser: 来吗\nassistant: 好。\nuser: 李坐\nassistant: 好。\n"
    assert given == [
        (("system", "王"), ("user", "王来")),
        (("system", "王"), ("user", "王来"), ("assistant", "好。"), ("user", "来吗")),
        (("system", "王"), ("user", "李坐")),
    ]


def test_what_was_said_is_saved_and_trained_on_again(tmp_path: Path, talk: Any) -> None:
    from mgan import config
    from mgan.data import readers

    saved = tmp_path / "chat.json"
    save = f"/save {saved}"
    said = ["王来", "/undo", "/undo", "李去", "去吗", save, save, "/save x.txt", "/sing", "/quit", "王"]
    code, out, errors = talk(*said)
    assert code == 0 and out.count("user: ") == 3
    parts = ("forgotten: 王来", "nothing was said", "saved", "there already", ".json", "/sing")
    assert all(part in line for line, part in zip(errors, parts, strict=True))
    found = list(readers.read(config.Data(path=str(saved), turns="all")))
    assert [(example.prompt, example.text) for example in found] == [
        ("user: 李去\nassistant: ", "好。"), ("user: 李去\nassistant: 好。\nuser: 去吗\nassistant: ", "好。"),
    ]  # fmt: skip


def test_old_turns_are_forgotten_when_the_context_is_full_which_is_said_once(talk: Any) -> None:
    code, out, errors = talk(*["王来", "来吗"] * 4, "王" * 90)
    assert code == 0 and out.count("assistant: ") == 8
    assert ["the context is full" in line for line in errors] == [True, False]
    assert "generator.context=96" in errors[1] and "user: 王王" in out


def test_options_and_what_is_no_text(talk: Any) -> None:
    drawn = {talk("王来", options=("--temperature", 9, "--seed", seed))[1] for seed in (1, 2, 1)}
    assert len(drawn) == 2
    code, _, errors = talk("王来", b"\xe7\x8e")
    assert code == 2 and "stdin line 2 is not UTF-8 text" in errors[-1]
    assert talk("王来", options=("--top-p", 2))[0] == 2
    assert "unknown" in talk("hello")[2][0]


def test_ctrl_c_stops_an_answer_or_drops_a_line_and_not_the_chat(
    polite: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["王来", KeyboardInterrupt(), "/undo", EOFError()])

    def typed(prompt: str) -> str:
        if isinstance(line := next(lines), BaseException):
            raise line
        return line

    def stopped(pair: Pair, prompt: object, **how: object) -> Iterator[str]:
        yield "好"
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(Pair, "stream", stopped)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    code, out, errors = command("chat", polite)
    assert code == 0 and out.split() == ["assistant:", "好"]
    assert "/quit or Ctrl-D ends" in errors and errors.endswith("forgotten: 王来\n")
