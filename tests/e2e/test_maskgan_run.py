"""MaskGAN from end to end: a text file alone, blanks filled in by name, and the same run after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from interruption import KillAt, Killed, untimed

import mgan
from mgan.training import trial

SMALL = [
    "evaluation.samples=8", "device=cpu", "evaluation.discriminator_steps=2", "evaluation.temperatures=[1.0]",
    "checkpoint.every=1", "adversarial.steps=4",
]  # fmt: skip


def test_filling_in(
    tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., tuple[int, str, str]]
) -> None:
    # Drawing takes longer than the runs.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    mgan.train(sentences, "maskgan", run=whole, smoke=True, overrides=SMALL)
    with pytest.raises(Killed):
        mgan.train(sentences, "maskgan", run=killed, smoke=True, overrides=SMALL, progress=KillAt("adversarial", 3))
    torch.manual_seed(7)
    mgan.resume(killed)
    assert untimed(killed) == untimed(whole)
    assert (killed / "results.json").read_bytes() == (whole / "results.json").read_bytes()

    prompt = "the old cat ___ ___ house."
    code, said, notes = command("generate", whole, "-n", "3", "--prompt", prompt)
    assert code == 0 and "unknown" not in notes
    lines = said.splitlines()
    assert len(lines) >= 3 and all(line.startswith("the old cat") for line in lines[:1])
    assert command("generate", whole, "-n", "3", "--prompt", prompt, "--rerank", "2")[0] == 0
    code, _, notes = command("generate", whole)
    assert code == 2 and "write ___ for every token that is left out" in notes
    code, said, _ = command("score", whole, sentences)
    assert code == 0 and len(said.splitlines()) == 256

    real = json.loads((whole / "results.json").read_text())["samples"]["real"]
    known = set(sentences.read_text(encoding="utf-8").split("\n"))
    assert all(text in known for text in real), "shown with their blanks filled in"


@pytest.mark.parametrize("changes", [["generator.architecture=lstm"], ["generator.architecture=transformer"]])
def test_a_causal_generator_fills_in_too(changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "render", lambda *_: "")
    path = tmp_path / "poems.txt"
    path.write_text("\n".join(f"春眠不覺曉{chr(0x4E00 + i)}處處聞啼鳥" for i in range(24)), encoding="utf-8")
    run = mgan.train(path, "maskgan", run=tmp_path / "run", smoke=True, overrides=[*SMALL, *changes])
    assert all(text.startswith("春") or "春" not in text for text in run.results["samples"]["adversarial"])
    rounds = [entry for entry in run.metrics.read() if entry["phase"] == "adversarial" and "g_loss" in entry]
    assert len(rounds) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["maskgan", "--data", "oracle", "generator.context=21"], "leave none for a blank"),
        (["maskgan", "--data", "{questions}"], "have prompts already"),
        (["maskgan", "--data", "{sentences}", "discriminator.architecture=causal", "discriminator.pretrained=x",
          "generator.architecture=lstm"], "does not know: use one from scratch"),
    ],
)  # fmt: skip
def test_what_has_no_blanks(
    arguments: list[str], said: str, tmp_path: Path, sentences: Path, questions: Path,
    command: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    typed = [text.format(sentences=sentences, questions=questions) for text in arguments]
    code, _, error = command("train", *typed, "--smoke", "--run", tmp_path / "run")
    assert code == 2 and said in error
