"""The phases beside the game, and games with replay or a reward of their own: killed and resumed, a run is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interruption import KillAt, Killed, untimed

import mgan
from mgan.training import trial

SMALL = [
    "discriminator.architecture=lstm", "discriminator.pretrained=null", "evaluation.samples=8", "device=cpu",
    "evaluation.discriminator_steps=2", "evaluation.temperatures=[1.0]", "checkpoint.every=1", "pretrain.max_steps=1",
    "adversarial.generator_rate=0.01", "adversarial.discriminator_rate=0.01",
]  # fmt: skip
STEPS = {
    "spin": ("adversarial", ["adversarial.steps=6", "selfplay.iterations=3", "adversarial.evaluate_every=2"]),
    "dgsan": ("adversarial", ["adversarial.steps=6", "selfplay.iterations=3", "adversarial.evaluate_every=2"]),
    "cot": ("adversarial", ["adversarial.steps=5", "mediator.steps=2", "adversarial.evaluate_every=2"]),
    "pg-bleu": ("adversarial", ["adversarial.steps=5", "adversarial.average=0"]),
    "jsdgan": ("adversarial", ["adversarial.steps=5"]),
    "araml": ("adversarial", ["adversarial.steps=5", "adversarial.replay=2"]),
    "dpgan": ("adversarial", ["adversarial.steps=5", "discriminator.architecture=language_model"]),
    "rankgan": ("adversarial", ["adversarial.steps=5", "discriminator.architecture=cnn", "evaluation.baseline=false"]),
    "taylorgan": ("adversarial", ["adversarial.steps=5"]),
    "residual-ebm": ("warmup", ["warmup.steps=5", "adversarial.evaluate_every=2"]),
    "coldgan": ("adversarial", ["adversarial.steps=5"]),
}


@pytest.mark.parametrize("recipe", STEPS)
def test_killed_and_resumed_is_never_killed(
    recipe: str, tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing takes longer than the runs.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    (phase, changes), whole = STEPS[recipe], tmp_path / "whole"
    overrides = [*SMALL, *changes]
    mgan.train(sentences, recipe, run=whole, smoke=True, overrides=overrides)
    losses = [line.get("g_loss", line.get("d_loss")) for line in untimed(whole) if line["phase"] == phase]
    assert len(set(losses)) > 3, "steps differ"
    for step in (3, 4):  # of self-play: an opponent's first update and its second
        killed = tmp_path / f"killed-{step}"
        with pytest.raises(Killed):
            mgan.train(sentences, recipe, run=killed, smoke=True, overrides=overrides, progress=KillAt(phase, step))
        torch.manual_seed(7)
        mgan.resume(killed)
        assert untimed(killed) == untimed(whole)
        assert (killed / "results.json").read_bytes() == (whole / "results.json").read_bytes()
        for player in ("generator", "discriminator"):
            name = f"{player}/model.safetensors"
            assert (killed / name).read_bytes() == (whole / name).read_bytes()
