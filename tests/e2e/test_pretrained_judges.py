"""Whole runs with a pretrained discriminator: through the command line, killed and resumed, used afterwards."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from interruption import KillAt, Killed, untimed

import mgan
from mgan.cli.main import main
from mgan.models import features
from mgan.training import runner, trial

QUICK = ["evaluation.discriminator_steps=3", "evaluation.samples=8", "evaluation.temperatures=[1.0]"]


def judge(architecture: str, pretrained: Path, *more: str) -> list[str]:
    signal = "dense" if architecture == "causal" else "sequence"
    return [
        *QUICK, f"game.signal={signal}", f"discriminator.architecture={architecture}",
        f"discriminator.pretrained={pretrained}", *more,
    ]  # fmt: skip


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgan", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture(autouse=True)
def _as_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path / "cache"))
    features.backbone.cache_clear()
    # Drawing takes longer than the runs.
    monkeypatch.setattr(trial, "render", lambda *_: "")


def test_frozen_features_from_the_command_line(
    tmp_path: Path,
    sentences: Path,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, run = tmp_path / "bert", tmp_path / "run"
    shutil.copytree(tiny_bert, model)
    asked = ["--data", sentences, "--run", run, "--smoke", "--quiet", *judge("features", model)]
    assert command(monkeypatch, "train", *asked) == 0
    rounds = [line for line in untimed(run) if line["phase"] == "adversarial" and line["step"]]
    assert len(rounds) == 3 and all(0 <= line["heldout_accuracy"] <= 1 for line in rounds)
    # The run needs the model no longer.
    shutil.rmtree(model)
    features.backbone.cache_clear()
    capsys.readouterr()
    assert command(monkeypatch, "score", run, sentences) == 0
    assert 0 < float(capsys.readouterr().out.split()[0]) < 1
    assert command(monkeypatch, "generate", run, "-n", "2", "--rerank", "3") == 0


def test_what_does_not_go_together_is_one_sentence(
    tmp_path: Path,
    sentences: Path,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["--data", sentences, "--run", tmp_path / "run", "--smoke"]
    architecture, model = "discriminator.architecture=classifier", f"discriminator.pretrained={tiny_bert}"
    for overrides, sentence in (
        ([architecture, model, "game.signal=dense"], "set game.signal=sequence"),
        ([architecture, "game.signal=sequence"], "set discriminator.pretrained to its folder or hub name"),
        ([architecture, f"{model}-none", "game.signal=sequence"], "it must be a folder with config.json"),
    ):
        assert command(monkeypatch, "train", *asked, *overrides) == 2
        said = capsys.readouterr().err
        assert sentence in " ".join(said.split()) and "Traceback" not in said
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("architecture", "more"),
    [("features", ["discriminator.ensemble=2"]), ("classifier", ["discriminator.ensemble=2"]), ("causal", [])],
)
def test_killed_and_resumed_is_never_killed(
    architecture: str, more: list[str], tmp_path: Path, sentences: Path, tiny_bert: Path, tiny_gpt: Path
) -> None:
    settings = judge(architecture, tiny_gpt if architecture == "causal" else tiny_bert, *more, "adversarial.steps=4")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    mgan.train(sentences, run=whole, smoke=True, overrides=settings)
    shutil.rmtree(tmp_path / "cache")
    features.backbone.cache_clear()
    with pytest.raises(Killed):
        mgan.train(sentences, run=killed, smoke=True, overrides=settings, progress=KillAt("adversarial", 3))
    features.backbone.cache_clear()
    torch.manual_seed(7)
    mgan.resume(killed)
    files = [path.relative_to(whole) for path in whole.rglob("*.safetensors") if "checkpoints" not in path.parts]
    assert len(files) >= 2
    for name in [*files, Path("results.json"), Path("samples.jsonl")]:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert untimed(killed) == untimed(whole)


@pytest.mark.parametrize(("rate", "remarks"), [("3e-3", 1), ("2e-5", 0)])
def test_a_high_rate_for_a_model_trained_whole_is_remarked(
    rate: str, remarks: int, tmp_path: Path, sentences: Path, tiny_bert: Path
) -> None:
    said: list[str] = []
    listener = KillAt("warmup", 2)
    listener.say = said.append  # type: ignore[method-assign]
    settings = judge("classifier", tiny_bert, f"adversarial.discriminator_rate={rate}")
    with pytest.raises(Killed):
        mgan.train(sentences, run=tmp_path / "run", smoke=True, overrides=settings, progress=listener)
    assert len([sentence for sentence in said if "2e-5 is usual" in sentence]) == remarks
    assert not [sentence for sentence in said if "from_generator" in sentence]


def test_a_checkpoint_holds_no_frozen_weights_and_refuses_others(
    tmp_path: Path, sentences: Path, tiny_bert: Path
) -> None:
    model, run = tmp_path / "bert", tmp_path / "run"
    shutil.copytree(tiny_bert, model)
    settings = judge("features", model)
    with pytest.raises(Killed):
        mgan.train(sentences, run=run, smoke=True, overrides=settings, progress=KillAt("adversarial", 3))
    newest = max((run / "checkpoints").iterdir())
    state = runner.checkpoint.load(run / "checkpoints", int(newest.name))["world"]["discriminator"]
    assert sorted({name.split(".")[0] for name in state}) == ["_extra_state", "heads"]
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    features.backbone.cache_clear()
    with pytest.raises(mgan.UserError, match="another model than this discriminator was trained on"):
        mgan.resume(run)
