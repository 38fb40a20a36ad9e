"""The recipe answering through the command line: trivia closed-book, and Chinese questions about a passage."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Command = Callable[..., tuple[int, str, str]]
QUICK = [
    "evaluation.samples=20", "evaluation.discriminator_steps=1", "evaluation.temperatures=[1.0]",
    "evaluation.bootstrap=100", "tokenizer.min_frequency=1",
]  # fmt: skip


def lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned the one answer: to every question about a passage, in Chinese."""
    import mgan

    folder = tmp_path_factory.mktemp("answering")
    names = ["王维", "李白", "杜甫", "白居易", "孟浩然", "杜牧"]
    data = lines(folder / "q.jsonl", [
        {"question": "谁？", "context": f"{name}在第{i}天。", "answers": ["诗人", "诗人也"][: 1 + i % 2]}
        for i in range(20) for name in names
    ])  # fmt: skip
    overrides = [
        *QUICK,
        "pretrain.max_steps=40",
        "pretrain.learning_rate=0.03",
        "adversarial.steps=0",
        "warmup.steps=0",
        "generator.context=32",
    ]
    return mgan.train(data, "answering", folder / "run", overrides, smoke=True).path


def test_trivia_of_several_accepted_answers(tmp_path: Path, command: Command) -> None:
    records = [
        {"question": f"{a} plus {b}?", "answers": [str(a + b), f"it is {a + b}"]}
        for a in range(1, 11) for b in range(1, 7)
    ]  # fmt: skip
    run = tmp_path / "run"
    code, _, errors = command(
        "train", "answering", "--data", lines(tmp_path / "q.jsonl", records), "--run", run, "--smoke", "--quiet", *QUICK
    )
    assert code == 0, errors
    found = json.loads((run / "results.json").read_text())["task"]
    assert found["name"] == "answering" and set(found["measures"]) == {"adversarial", "mle"}
    for example in found["examples"]:
        total = str(sum(int(word) for word in example["prompt"].rstrip("?\n").split(" plus ")))
        assert set(example["references"]) == {total, f"it is {total}"}
    assert "Exact match" in (run / "report.html").read_text()
    assert "Exact match" in (run / "generator" / "README.md").read_text()


def test_generate_says_what_prompts_end_with(parrot: Path, command: Command) -> None:
    _, _, errors = command("generate", parrot, "--prompt", "谁？", "-n", 1)
    assert r"end with '\n', and this one does not" in errors
    _, _, errors = command("generate", parrot, "--prompt", r"谁？\n", "-n", 1)
    assert "end with" not in errors


def test_answers_at_the_end_are_greedy_and_so_is_ask(parrot: Path, command: Command) -> None:
    task = json.loads((parrot / "results.json").read_text())["task"]
    assert all(measures["f1"]["value"] > 0.7 for measures in task["measures"].values())
    example = task["examples"][0]
    context = example["prompt"].removesuffix("\n谁？\n")
    code, out, errors = command("ask", parrot, "谁？", "--context", context)
    assert (code, errors) == (0, "") and out.strip() == example["outputs"]["pretrained"].strip()
    assert command("ask", parrot, "谁？", "--context", context, "--seed", 9)[1] == out


def test_a_passage_is_text_or_a_file(tmp_path: Path, parrot: Path, command: Command) -> None:
    passage = tmp_path / "passage.txt"
    passage.write_text("王维在第3天。\n", encoding="utf-8")
    code, out, _ = command("ask", parrot, "谁？", "--context", passage, "--json")
    found = json.loads(out)
    assert code == 0 and set(found) == {"question", "context", "answer", "score"}
    assert found["context"] == "王维在第3天。" and 0 < found["score"] < 1 and found["answer"].startswith("诗人")
    assert json.loads(command("ask", parrot, "谁？", "--context", "王维在第3天。", "--json")[1]) == found


def test_a_drawn_answer_depends_on_the_seed(parrot: Path, command: Command) -> None:
    drawn = {command("ask", parrot, "谁？", "--temperature", 5, "--seed", seed)[1] for seed in range(4)}
    assert len(drawn) > 1
    assert command("ask", parrot, "谁？", "--temperature", 5, "--seed", 0)[1] in drawn


def test_what_cannot_be_asked_is_one_sentence(tmp_path: Path, parrot: Path, command: Command) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    for arguments, part in (
        (["谁？", "--context", latin], "is not UTF-8 text"), ([" "], "the question is empty"),
        (["谁？", "--context", "王维" * 40], "generator.context=32"),
        (["谁？", "--context", "missing.txt"], "there is no file missing.txt"),
        (["谁？", "--context", "texts/missing"], "there is no file texts/missing"),
        (["谁？", "--temperature", 0], "temperature"),
    ):  # fmt: skip
        code, out, errors = command("ask", parrot, *arguments)
        assert (code, out) == (2, "") and part in errors.splitlines()[-1]
    assert "tokens are unknown" in command("ask", parrot, "谁？abc")[2]


def test_an_empty_answer_is_an_empty_line_and_a_note(
    parrot: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mgan

    pair = mgan.load(parrot)
    with torch.no_grad():
        pair.generator.output.bias[pair.tokenizer.eos] = 1e4  # type: ignore[index, union-attr]
    monkeypatch.setattr(mgan, "load", lambda run: pair)
    code, out, errors = command("ask", parrot, "谁？")
    assert (code, out) == (0, "\n") and "an empty one" in errors
    code, out, errors = command("ask", parrot, "谁？", "--json")
    assert code == 0 and json.loads(out)["answer"] == "" and "an empty one" in errors


def test_ask_says_that_a_run_was_trained_on_chats(
    parrot: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mgan

    pair = dataclasses.replace(mgan.load(parrot), chats=True)
    monkeypatch.setattr(mgan, "load", lambda run: pair)
    assert "trained on chats" in command("ask", parrot, "谁？")[2]


def test_what_next_is_to_ask(parrot: Path) -> None:
    assert "mgan ask RUN" in (parrot / "report.html").read_text()
    assert 'pair.question("A question?")' in (parrot / "generator" / "README.md").read_text()
