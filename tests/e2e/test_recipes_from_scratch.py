"""The recipes whose networks start from random weights, on a file of one's own in English and in Chinese."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mgan
from mgan.settings import load_config, recipe_names
from mgan.training import phases, trial

RECIPES = [
    name
    for name in recipe_names()
    if name != "seqkd"
    and load_config(name).discriminator.pretrained is None
    and load_config(name).evaluation.task == "none"
]  # seqkd is mle with other epochs; the applications have files and tests of their own
QUICK = [
    "device=cpu", "evaluation.samples=4", "evaluation.discriminator_steps=1", "evaluation.temperatures=[1.0]",
    "evaluation.bootstrap=100", "adversarial.generator_rate=0.05", "adversarial.average=0.0",
]  # fmt: skip


def labelled(recipe: str) -> bool:
    return load_config(recipe).prompt.source == "label"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than the runs, and a baseline that costs what a CNN's verdicts do takes longer still.
    monkeypatch.setattr(trial, "render", lambda *_: "")
    monkeypatch.setattr(phases, "steps_for", lambda *_: 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parts = {
        "english": (("the old ", "a small "), ("cat ", "dog ", "hen "), ("sees ", "likes "), ("bread.", "water.")),
        "chinese": (("那只老", "一只小"), ("猫", "狗", "鸡"), ("看见", "喜欢"), ("面包。", "水。")),
    }
    found = {}
    for name, some in parts.items():
        found[name] = tmp_path_factory.mktemp(name) / "texts.txt"
        texts = ["".join(words) for words in itertools.product(*some)]
        found[name].write_text("\n".join(texts) + "\n", encoding="utf-8")
        records = (json.dumps({"text": text, "label": i % 2}) + "\n" for i, text in enumerate(texts))
        found[name].with_suffix(".jsonl").write_text("".join(records), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def finished(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """The finished smoke run of a recipe on a file, made once."""
    runs: dict[tuple[str, str], Any] = {}

    def run(recipe: str, language: str) -> Any:
        if (recipe, language) not in runs:
            folder = tmp_path_factory.mktemp(recipe) / "run"
            data = files[language].with_suffix(".jsonl") if labelled(recipe) else files[language]
            runs[recipe, language] = mgan.train(data, recipe, run=folder, smoke=True, overrides=QUICK)
        return runs[recipe, language]

    return run


@pytest.mark.parametrize("language", ["english", "chinese"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_smoke_run_on_ones_own_file(recipe: str, language: str, finished: Callable[[str, str], Any]) -> None:
    run = finished(recipe, language)
    assert run.results["verdict"]["sentence"].startswith("Verdict: none")
    prompt = "1" if labelled(recipe) else "___ ___ ___" if recipe == "maskgan" else ""
    texts = mgan.load(run.path).generate(prompt, n=3, seed=0)
    assert len(texts) == 3 and any(texts)


def test_any_two_recipes_learn_and_write_differently(finished: Callable[[str, str], Any]) -> None:
    """The same data and seed: other losses, and other texts at the end."""
    losses, samples = {}, {}
    for recipe in RECIPES:
        run = finished(recipe, "english")
        logged = [line for line in run.metrics.read() if line["phase"] in ("pretrain", "adversarial")]
        numbers = [[line.get(name) for name in ("loss", "d_loss", "g_loss", "mle_loss")] for line in logged]
        losses[recipe] = json.dumps([row for row in numbers if any(row)])
        written = [json.loads(line) for line in (run.path / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
        own = [line for line in written if line["phase"] in ("pretrain", "adversarial")]
        samples[recipe] = json.dumps([line for line in own if line["step"] == own[-1]["step"]] or recipe)
    for found in (losses, samples):
        same = [(a, b) for a, b in itertools.combinations(RECIPES, 2) if found[a] == found[b]]
        assert not same
