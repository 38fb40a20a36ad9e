"""The recipe translation through the command line: a file of pairs, a run, translations of other files."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mgan
from mgan.errors import UserError
from mgan.sampling.pair import Pair

pytest.importorskip("sacrebleu")
Command = Callable[..., tuple[int, str, str]]
QUICK = [
    "evaluation.samples=20", "evaluation.discriminator_steps=1", "evaluation.temperatures=[1.0]",
    "evaluation.bootstrap=100", "tokenizer.min_frequency=1", "tokenizer.vocabulary=60",
]  # fmt: skip
NAMES = {"cat": "猫", "dog": "狗", "bear": "熊", "boy": "男孩", "girl": "女孩"}
DOES = {"naps": "睡觉", "eats": "吃饭", "runs": "跑步", "toils": "工作", "sings": "唱歌", "reads": "看书"}
WHEN = {"": "", " now": "现在"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 sentences of English, a tab, and their Chinese; one source has two translations."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    lines = [
        f"{name} {verb}{when}.\t{zh_when}{zh_name}{zh_verb}。"
        for name, zh_name in NAMES.items() for verb, zh_verb in DOES.items() for when, zh_when in WHEN.items()
    ]  # fmt: skip
    file.write_text("\n".join([*lines, "cat naps.\t小猫睡觉。"]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(pairs: Path) -> Path:
    """One that has learned the two lengths of a sentence, if not much more, and played a round or two."""
    learned = ["pretrain.max_steps=40", "pretrain.learning_rate=0.02", "adversarial.steps=2"]
    overrides = [*QUICK, *learned, "game.bleu=0.5", "generator.context=32"]
    return mgan.train(pairs, "translation", pairs.parent / "run", overrides, smoke=True).path


def test_the_run_is_measured_as_translations_are(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    task = results["task"]
    assert task["name"] == "translation" and set(task["measures"]) == {"adversarial", "mle"}
    for measures in task["measures"].values():
        assert set(measures) == {"bleu", "chrf", "length_ratio"}
        assert measures["chrf"]["low"] <= measures["chrf"]["value"] <= measures["chrf"]["high"]
        assert measures["chrf"]["value"] > 0.05 and 0.3 < measures["length_ratio"]["value"] < 2
    assert "BLEU" in (run / "report.html").read_text() and "chrF" in (run / "generator" / "README.md").read_text()
    played = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("bleu" in line for line in played)


def test_lines_are_translated_in_order_as_the_end_of_the_run_did(run: Path, command: Command, tmp_path: Path) -> None:
    examples = json.loads((run / "results.json").read_text())["task"]["examples"]
    sources = [one["prompt"].strip() for one in examples]
    file = tmp_path / "sources.txt"
    file.write_text("\n".join([sources[0], "", *reversed(sources)]) + "\n", encoding="utf-8")
    code, out, errors = command("translate", run, file)
    expected = [one["outputs"]["adversarial"] for one in examples]
    assert (code, errors) == (0, "")
    assert out.splitlines() == [expected[0], "", *reversed(expected)]
    assert mgan.load(run).translate(sources) == expected


def test_beam_and_length_penalty_count_and_stdin_is_a_file(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [f"{name} {verb}." for name in NAMES for verb in DOES] * 2
    pair, text = mgan.load(run), "\n".join(sources).encode()

    def typed(*options: object) -> tuple[list[str], str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        code, out, errors = command("translate", run, "-", *options)
        assert code == 0
        return out.splitlines(), errors

    greedy, errors = typed("--beam", 1)
    assert greedy == pair.translate(sources, beam=1) and "translate" in errors
    assert greedy[:1] == [pair.generate("cat naps.\n", 1, top_k=1)[0]]
    short, long = (typed("--length-penalty", alpha)[0] for alpha in (0, 9))
    assert sum(map(len, short)) < sum(map(len, long))


def test_what_cannot_be_translated_is_one_sentence(run: Path, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "sources.txt"
    for content, arguments, part in (
        (b"cat naps.\n\n" + b"cat " * 30, [], "line 3 has"), (b"caf\xe9", [], "line 1 is not UTF-8"),
        (b" \n", [], "is empty"), (b"cat", ["--beam", 0], "beam must be 1 or more"),
        (b"cat", ["--length-penalty", -1], "length_penalty 0 or more"),
    ):  # fmt: skip
        file.write_bytes(content)
        code, out, errors = command("translate", run, file, *arguments)
        assert (code, out) == (2, "") and part in errors.splitlines()[-1]
    assert "cannot read" in command("translate", run, tmp_path / "none.txt")[2]


def test_a_line_that_is_too_long_is_cut_if_asked(run: Path, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "sources.txt"
    file.write_text("cat naps.\n" + "cat " * 60 + "\n")
    assert "--truncate" in command("translate", run, file)[2]
    code, out, errors = command("translate", run, file, "--truncate")
    assert code == 0 and errors == "" and len(out.splitlines()) == 2
    assert out.splitlines()[0] == mgan.load(run).translate(["cat naps."])[0]


def test_runs_of_another_kind_and_empty_translations(
    run: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sources.txt"
    file.write_text("cat naps.\n\ndog eats.\n")
    pair = mgan.load(run)
    monkeypatch.setattr(mgan, "load", lambda run: dataclasses.replace(pair, prompted=False))
    code, out, errors = command("translate", run, file)
    assert (code, out) == (2, "") and "was not trained on sources" in errors
    monkeypatch.setattr(mgan, "load", lambda run: dataclasses.replace(pair, chats=True))
    assert "trained on chats" in command("translate", run, file)[2]
    monkeypatch.setattr(mgan, "load", lambda run: pair)
    monkeypatch.setattr(Pair, "_found", lambda pair, rows, *how: [" "] * len(rows))
    code, out, errors = command("translate", run, file)
    assert (code, out) == (0, "\n\n\n") and errors.startswith("2 of the translations are empty: train")


def test_without_sacrebleu_a_run_ends_before_it_begins(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"pip install .mgan\[metrics\]"):
        mgan.train(pairs, "translation", tmp_path / "run", QUICK, smoke=True)
