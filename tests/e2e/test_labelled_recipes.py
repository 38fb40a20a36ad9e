"""Texts with labels: the recipes for them and any other, in English and in Chinese, from end to end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import KillAt, Killed

import mgan
from mgan.api import configure
from mgan.models import relgan, seqgan
from mgan.training import trial
from mgan.training.evolution import Evolution
from mgan.training.run import Run
from mgan.training.setup import set_up
from mgan.training.warmup import Warmup
from mgan.types import Silent, UserError

RECIPES = ["sentigan", "catgan"]
QUICK = [
    "device=cpu", "evaluation.samples=8", "evaluation.temperatures=[1.0]", "evaluation.discriminator_steps=2",
    "evaluation.bootstrap=100", "evaluation.baseline=false", "pretrain.max_steps=2",
    "generator.context=16",
]  # fmt: skip
LABELS = {"english": ("bad", "good"), "chinese": ("坏", "好")}
PRETRAINED = ["architecture=features", "pretrained=a"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than the runs, and so do hundreds of filters.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    monkeypatch.setattr(relgan, "FILTERS", 16)
    monkeypatch.setattr(seqgan, "FILTERS", (8,) * 12)
    monkeypatch.setattr(seqgan, "FEATURES", 96)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Forty-eight texts each; the last word says the label."""
    english = ("the ", "a ", "this ", "that "), ("film ", "plot ", "hero "), ("is ", "was "), ("dull.", "great.")
    chinese = ("这", "那", "一部", "某部"), ("电影", "小说", "歌剧"), ("真", "很"), ("无聊。", "好看。")
    found = {}
    for name, parts in (("english", english), ("chinese", chinese)):
        rows = [
            {"text": "".join(words), "label": LABELS[name][parts[-1].index(words[-1])]}
            for words in itertools.product(*parts)
        ]
        found[name] = tmp_path_factory.mktemp(name) / "texts.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        found[name].write_text("".join(lines), encoding="utf-8")
    return found


def rounds(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("time", "throughput")}
        for line in lines if line["phase"] == "adversarial" and line["step"]
    ]  # fmt: skip


@pytest.mark.parametrize("language", LABELS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_smoke_run_writes_texts_of_either_label(
    recipe: str, language: str, files: dict[str, Path], tmp_path: Path
) -> None:
    overrides = [*QUICK, "data.test=0.45"]
    run = mgan.train(files[language], recipe, run=tmp_path / "run", smoke=True, overrides=overrides)
    labels = run.results["labels"]
    assert tuple(labels["names"]) == LABELS[language]
    assert 0 <= labels["classifier_accuracy"] <= 1 and labels["consistency"].keys() == {"adversarial"}
    assert set(labels["samples"]) <= set(LABELS[language]) and len(labels["samples"]) == len(
        run.results["samples"]["real"]
    )
    for name, share in {"real": labels["classifier_accuracy"], **labels["consistency"]}.items():
        each = labels["by_label"][name]
        assert sum(one["texts"] * (one["share"] or 0) for one in each) == pytest.approx(
            share * sum(one["texts"] for one in each)
        )
    assert {line["label"] for line in run.samples.read()} == set(LABELS[language])
    pair = mgan.load(run.path)
    good, bad = (pair.generate(label, n=9, seed=0) for label in LABELS[language])
    assert len(good) == len(bad) == 9
    assert len(pair.score(["x", "y"], LABELS[language])) == 2
    with pytest.raises(UserError, match="'' is no label of this run's texts"):
        pair.generate(n=1)
    played = rounds(run.path)
    assert len(played) == 3
    if recipe == "catgan":
        assert all(line["survivor"] in range(6) and line["diversity"] > 0 >= line["quality"] for line in played)
    else:
        assert good != bad, "of networks that share nothing"
        assert all(0 <= line["label_accuracy"] <= 1 and line["reward"] < 0 for line in played)
        assert mgan.evaluate(run.path, samples=20, temperatures=[1.0], embedder="none", trained=False)


@pytest.mark.parametrize(
    "overrides",
    [["game.signal=rollout", "game.loss=classes", "discriminator.architecture=cnn", "tokenizer.kind=word"], []],
    ids=["paid for the label", "dense"],
)
def test_any_recipe_takes_labels(overrides: list[str], files: dict[str, Path], tmp_path: Path) -> None:
    typed = ["prompt.source=label", *overrides, *QUICK]
    run = mgan.train(files["english"], run=tmp_path / "run", smoke=True, overrides=typed)
    assert run.results["labels"]["consistency"] and len(mgan.load(run.path).generate("good", n=2)) == 2


@pytest.mark.parametrize("recipe", RECIPES)
def test_killed_and_resumed_is_never_killed(recipe: str, files: dict[str, Path], tmp_path: Path) -> None:
    overrides = [*QUICK, "checkpoint.every=1", "adversarial.steps=3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    mgan.train(files["english"], recipe, run=whole, smoke=True, overrides=overrides)
    with pytest.raises(Killed):
        mgan.train(
            files["english"], recipe, run=killed, smoke=True, overrides=overrides, progress=KillAt("adversarial", 2)
        )
    torch.manual_seed(7)
    mgan.resume(killed)
    assert rounds(killed) == rounds(whole) and len({line["g_loss"] for line in rounds(whole)}) == 3
    for player in ("generator", "discriminator"):
        name = f"{player}/model.safetensors"
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_the_fittest_goes_on(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All offspring are other ones, each began as the parent, and the one that was called fittest is the generator."""
    fitness, evolve = Evolution._fitness, Evolution._evolve
    bodies: list[torch.Tensor] = []
    kept: list[tuple[int, bool]] = []
    alike: list[int] = []

    def prescribed(self: Evolution, *arguments: Any) -> dict[str, float]:
        found = fitness(self, *arguments)
        bodies.append(next(iter(self.world.generator.parameters())).detach().clone())
        return found | {"fitness": float(len(bodies) == 4)}

    def watched(self: Evolution, *arguments: Any) -> dict[str, float]:
        bodies.clear()
        tokens = self.ledger.tokens
        found = evolve(self, *arguments)
        survived = next(iter(self.world.generator.parameters()))
        # In the first round there is no temperature of the round before, in the last none of the round after.
        assert len(bodies) == (6 if arguments[-1] == 1 else 4) and self.ledger.tokens > tokens
        kept.append((int(found["survivor"]), torch.equal(survived, bodies[3])))
        alike.append(sum(torch.equal(a, b) for a, b in itertools.combinations(bodies, 2)))
        return found

    monkeypatch.setattr(Evolution, "_fitness", prescribed)
    monkeypatch.setattr(Evolution, "_evolve", watched)
    mgan.train(files["english"], "catgan", run=tmp_path / "run", smoke=True, overrides=QUICK)
    assert kept == [(3, True)] * 3
    assert alike == [0, 0, 0], "no two are alike"


def test_a_discriminator_of_classes_begins_with_the_generators_weights(files: dict[str, Path], tmp_path: Path) -> None:
    overrides = [
        "device=cpu", f"data.path={files['english']}", "prompt.source=label", "game.loss=classes",
        "game.signal=sequence", "game.value=probability",
    ]  # fmt: skip
    world = set_up(Run.create(tmp_path / "run", mgan.load_config(overrides=overrides, smoke=True)), Silent()).world
    world.keep("pretrained", world.generator)
    phase = Warmup(world)
    phase.begin()
    generator, judge = world.generator.state_dict(), world.discriminator.state_dict()
    copied = [name for name in generator if torch.equal(judge.get(f"network.{name}", torch.empty(0)), generator[name])]
    assert "body.embedding.weight" in copied and "body.lstm.weight_hh_l0" in copied and not world.notes


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_labels_one_sentence_names_the_field(
    recipe: str, sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, said = command("train", recipe, "--data", sentences, "--run", tmp_path / "run", "--smoke", "--quiet")
    said = " ".join(said.split())
    assert code == 2 and "prompt.source=label needs a class beside every text" in said and "'label'" in said
    assert "data.label_field" in said and "Traceback" not in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["game.loss=classes", "game.signal=sequence"], "game.loss=classes is for texts with labels"),
        (["generator.per_label=true", "generator.tied=false"], "generator.per_label=true is for texts with labels"),
        (
            ["generator.per_label=true", "prompt.source=label", "discriminator.from_generator=false"],
            "generator.tied=false",
        ),
        (["game.loss=classes", "prompt.source=label"], "it needs game.signal=sequence or game.signal=rollout"),
        (
            ["game.loss=classes", "prompt.source=label", "discriminator.architecture=transformer"],
            "game.loss=classes needs discriminator.architecture=lstm or cnn or seqgan",
        ),
        (["prompt.source=label", "data.path=oracle", "generator.context=21"], "data.path=oracle have no labels"),
        (
            ["generator.per_label=true", "generator.tied=false", "prompt.source=label"],
            "discriminator.from_generator=false",
        ),
        (
            ["prompt.source=label", "game.signal=sequence", *(f"discriminator.{x}" for x in PRETRAINED)],
            "discriminator.architecture=features reads text with a tokenizer of its own, and a label is no text",
        ),
        (["adversarial.offspring=7"], "adversarial.offspring: expected a whole number of at least 0 and at most 6"),
        (["adversarial.offspring=2"], "it needs game.signal=gumbel and game.loss=bradley_terry"),
        (["game.policy=probability", "adversarial.epochs=2"], "it needs game.policy=ppo"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        configure(None, "mgan", overrides)
    assert said in str(error.value)
