"""A generator that writes from noise plays every game; killed in one, it goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import KillAt, Killed, untimed

import mgan
from mgan.training import trial

SMALL = [
    "generator.latent=4", "evaluation.samples=8", "device=cpu", "evaluation.discriminator_steps=2",
    "evaluation.temperatures=[1.0]", "evaluation.controls=[]", "checkpoint.every=1", "pretrain.max_steps=3",
    "adversarial.steps=4", "adversarial.generator_rate=0.01", "adversarial.discriminator_rate=0.01",
]  # fmt: skip
GAMES = {
    "dense": ["generator.architecture=transformer"],
    "sequence": ["game.signal=sequence", "game.baseline=critic", "adversarial.replay=2"],
    "rollout": ["game.signal=rollout", "game.policy=ppo", "adversarial.epochs=2"],
    "gumbel": [],
}


@pytest.mark.parametrize("game", GAMES)
def test_a_game_from_noise(
    game: str, tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    # Drawing takes longer than the runs.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    recipe = "gsgan" if game == "gumbel" else "mgan"
    whole, killed, overrides = tmp_path / "whole", tmp_path / "killed", [*SMALL, *GAMES[game]]
    mgan.train(sentences, recipe, run=whole, smoke=True, overrides=overrides)
    if game == "dense":
        code, said, _ = command("generate", whole, "-n", "3")
        assert code == 0 and len(said.splitlines()) >= 3
        assert command("generate", whole, "-n", "3")[1] == said
    if game != "sequence":
        rounds = [line for line in untimed(whole) if line["phase"] == "adversarial" and "g_loss" in line]
        assert len({line["g_loss"] for line in rounds}) == 4
        return
    with pytest.raises(Killed):
        mgan.train(sentences, recipe, run=killed, smoke=True, overrides=overrides, progress=KillAt("adversarial", 3))
    torch.manual_seed(7)
    mgan.resume(killed)
    assert untimed(killed) == untimed(whole)
    for player in ("generator", "discriminator"):
        name = f"{player}/model.safetensors"
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
