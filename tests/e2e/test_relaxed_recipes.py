"""The recipes of relaxed texts on a user's own file, in English and in Chinese; and that none is another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import KillAt, Killed

import mgan
from mgan.models import relgan
from mgan.settings import load_config
from mgan.training import trial

RECIPES = ["gsgan", "relgan", "textgan-mmd"]
QUICK = [
    "device=cpu", "evaluation.samples=8", "evaluation.temperatures=[1.0]", "evaluation.discriminator_steps=2",
    "evaluation.baseline_updates=2", "evaluation.bootstrap=100",
]  # fmt: skip
CHINESE = [
    f"那只{old}{animal}{sees}了{thing}。"
    for old in "老小灰快" for animal in "猫狗狐鸡" for sees in ("看见", "喜欢") for thing in ("房子", "河流", "面包")
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than the runs, and so do 300 filters.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    monkeypatch.setattr(relgan, "FILTERS", 16)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "chinese.txt"
    path.write_text("\n".join(CHINESE) + "\n", encoding="utf-8")
    return path


def game(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("time", "throughput")}
        for line in lines if line["phase"] == "adversarial"
    ]  # fmt: skip


def test_english_and_chinese_and_no_two_are_alike(sentences: Path, chinese: Path, tmp_path: Path) -> None:
    losses = set()
    for recipe in RECIPES:
        for data in (sentences, chinese):
            run = mgan.train(data, recipe, run=tmp_path / f"{recipe}-{data.stem}", smoke=True, overrides=QUICK)
            assert run.results["systems"].keys() >= {"mle", "adversarial"}
            assert len(mgan.load(run.path).generate(n=2, seed=0)) == 2
            rounds = [line for line in game(run.path) if line["step"]]
            assert rounds and all(0 < line["tau"] <= 1 for line in rounds)
            losses.add(tuple((line["d_loss"], line["g_loss"]) for line in rounds))
    assert len(losses) == 2 * len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_killed_and_resumed_is_never_killed(recipe: str, tmp_path: Path, sentences: Path) -> None:
    overrides = [*QUICK, "checkpoint.every=1", "pretrain.max_steps=1", "adversarial.steps=4", "game.mle=0.5"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    mgan.train(sentences, recipe, run=whole, smoke=True, overrides=overrides)
    with pytest.raises(Killed):
        mgan.train(sentences, recipe, run=killed, smoke=True, overrides=overrides, progress=KillAt("adversarial", 2))
    torch.manual_seed(7)
    mgan.resume(killed)
    assert game(killed) == game(whole) and len({line.get("g_loss") for line in game(whole)}) > 3
    for player in ("generator", "discriminator"):
        name = f"{player}/model.safetensors"
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_each_is_another_choice() -> None:
    settings = [load_config(recipe) for recipe in RECIPES]
    choices = {(s.game.value, s.game.loss, s.generator.architecture, s.discriminator.architecture) for s in settings}
    assert len(choices) == len(RECIPES) and all(s.game.signal == "gumbel" for s in settings)
