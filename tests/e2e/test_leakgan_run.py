"""LeakGAN killed and resumed is LeakGAN never killed, in the phase that follows the leak and in the game."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interruption import KillAt, Killed, untimed

import mgan
from mgan.training import phases, trial

SMALL = [
    "evaluation.samples=4", "evaluation.discriminator_steps=1", "evaluation.temperatures=[1.0]", "device=cpu",
    "checkpoint.every=1", "pretrain.max_steps=3", "adversarial.steps=3", "generator.hidden=8", "discriminator.hidden=8",
    "generator.context=16",
]  # fmt: skip


def test_killed_and_resumed_is_never_killed(tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than the runs, and so does a baseline that costs what the rollouts do.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    monkeypatch.setattr(phases, "steps_for", lambda *_: 3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    mgan.train(sentences, "leakgan", run=whole, smoke=True, overrides=SMALL)
    logged = untimed(whole)
    assert list(dict.fromkeys(line["phase"] for line in logged))[:4] == ["pretrain", "warmup", "leaked", "adversarial"]
    assert sum("manager_loss" in line and "goal_reward" in line for line in logged) == 3
    with pytest.raises(Killed):
        mgan.train(sentences, "leakgan", run=killed, smoke=True, overrides=SMALL, progress=KillAt("leaked", 2))
    torch.manual_seed(7)
    with pytest.raises(Killed):
        mgan.resume(killed, progress=KillAt("adversarial", 2))
    torch.manual_seed(8)
    mgan.resume(killed)
    assert untimed(killed) == logged
    assert (killed / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    for player in ("generator", "discriminator"):
        name = f"{player}/model.safetensors"
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
