"""The recipes for pretrained models, whole runs on a JSONL of twenty lines; and what a newcomer gets wrong."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mgan
from mgan.cli.main import main
from mgan.settings import load_config
from mgan.training import trial
from mgan.types import Silent

Folder = Callable[..., Path]
QUICK = [
    "evaluation.samples=4", "evaluation.discriminator_steps=2", "evaluation.temperatures=[0.9]", "device=cpu",
    "adversarial.prompts_per_step=2", "adversarial.samples_per_prompt=2", "pretrain.max_steps=2",
    "evaluation.bootstrap=100",
]  # fmt: skip
GAME = ["pretrain", "warmup", "adversarial", "baseline", "verdict"]
PHASES = {
    "gad": GAME,
    "seqkd": ["pretrain", "verdict"],
    "textgail": GAME,
    "coldgan": GAME,
    "spin": ["pretrain", "adversarial", "baseline", "verdict"],
    "residual-ebm": ["pretrain", "warmup", "baseline", "verdict"],
}


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than the runs.
    monkeypatch.setattr(trial, "render", lambda *_: "")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's answers: twenty lines."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.jsonl"
    rows = [{"prompt": f"{a} plus {b}? ", "completion": str(a + b)} for a in range(1, 6) for b in range(1, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(
    pretrained: Folder, teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """The finished smoke run of a recipe, made once."""
    runs: dict[str, Any] = {}

    def run(recipe: str) -> Any:
        if recipe not in runs:
            folder = tmp_path_factory.mktemp(recipe) / "run"
            model = [f"generator.pretrained={pretrained('gpt2')}"]
            runs[recipe] = mgan.train(teacher, recipe, run=folder, smoke=True, overrides=[*model, *QUICK])
        return runs[recipe]

    yield run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mgan", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), re.sub(r"\s+", " ", said.out + said.err)

    return run


@pytest.mark.parametrize("recipe", PHASES)
def test_a_whole_smoke_run(recipe: str, finished: Callable[..., Any]) -> None:
    run = finished(recipe)
    assert list(dict.fromkeys(line["phase"] for line in run.metrics.read())) == PHASES[recipe]
    said = run.results["verdict"]
    assert said["outcome"] == "none"
    assert ("plays no game" if recipe == "seqkd" else "1 test text is too few for one") in said["sentence"]
    assert len(mgan.load(run.path).generate("2 plus 2? ", n=2, rerank=2, seed=0)) == 2


def test_each_recipe_is_another_one(finished: Callable[..., Any]) -> None:
    """The same data, model and seed: what is learned by differs, as a choice and as a number."""
    choices, losses = set(), set()
    for recipe in PHASES:
        config = load_config(recipe)
        choices.add((config.contest, config.game.loss, config.game.policy, config.game.value, config.game.baseline))
        learned = [line for line in finished(recipe).metrics.read() if line["phase"] in ("warmup", "adversarial")]
        losses.add(tuple((line.get("d_loss"), line.get("g_loss")) for line in learned))
    assert len(choices) == len(losses) == len(PHASES)


def test_the_residual_verdict_is_the_pairs(finished: Callable[..., Any]) -> None:
    run = finished("residual-ebm")
    results = run.results
    (compared,) = results["verdict"]["comparisons"]
    assert compared["measure"] == "held-out NLL of the pair, at most"
    assert compared["difference"]["value"] == pytest.approx(results["verdict"]["pair"]["against_mle"]["value"])
    assert results["systems"]["adversarial"]["temperatures"]["likelihood"] == 1.0, "where its discriminator learned"
    assert results["compute"]["warmup"]["flops"] >= results["compute"]["baseline"]["flops"] > 0


def test_self_play_pays_for_its_own_work_and_the_baseline_gets_as_much(finished: Callable[..., Any]) -> None:
    spent = finished("spin").results["compute"]
    assert spent["adversarial"]["generated_tokens"] > 0
    assert spent["adversarial"]["flops"] >= spent["baseline"]["flops"] > 0.5 * spent["adversarial"]["flops"]


def test_gad_without_smoke_on_twenty_lines(
    pretrained: Folder, teacher: Path, tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    """As typed, but for the size: the tiny model has 64 positions."""
    small = [*QUICK, "generator.context=32", "warmup.steps=2", "adversarial.steps=2"]
    model, run = pretrained("gpt2"), tmp_path / "run"
    code, said = command("train", "gad", "--model", model, "--data", teacher, "--run", run, "--quiet", *small)
    assert code == 0 and "Verdict: none, 1 test text is too few" in said
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["zero_variance_groups"] >= 0 for line in logged if "zero_variance_groups" in line] == [True, True]


@pytest.mark.parametrize("recipe", sorted(set(PHASES) - {"seqkd"}))
def test_without_a_model_one_sentence_says_what_is_missing(
    recipe: str, teacher: Path, tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    code, said = command("train", recipe, "--data", teacher, "--run", tmp_path / "run", "--smoke")
    assert code == 2 and "discriminator.pretrained=generator begins with the generator's own model" in said
    assert "name it with --model" in said and "Traceback" not in said and not (tmp_path / "run").exists()
    assert command("recipes", "show", recipe)[0] == 0


def test_a_missing_field_is_one_sentence(
    pretrained: Folder, tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    data, run = tmp_path / "teacher.jsonl", tmp_path / "run"
    data.write_text('{"asked": "2 plus 2?", "said": "4"}\n' * 20)
    code, said = command("train", "gad", "--model", pretrained("gpt2"), "--data", data, "--run", run, "--smoke")
    assert code == 2 and "found 'asked', 'said'" in said and "Traceback" not in said and not run.exists()
    assert "data.prompt_field and data.completion_field" in said
    data.write_text("".join(f'{{"asked": "{i} plus 2?", "said": "{i + 2}"}}\n' for i in range(20)))
    named = ["data.prompt_field=asked", "data.completion_field=said"]
    model = pretrained("gpt2")
    typed = ["seqkd", "--model", model, "--data", data, "--run", run, "--smoke", "--quiet", *named, *QUICK]
    assert command("train", *typed)[0] == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lambda i: {"prompt": f"{i} " * 60, "completion": "yes"}, "a larger generator.context keeps them whole"),
        (
            lambda i: {"messages": [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "yes"}]},
            "has no chat template, so each message is a line; take a model that was trained on chats",
        ),
    ],
    ids=["prompts longer than the context", "messages without a chat template"],
)
def test_what_the_data_lose_is_said_with_the_way_out(
    row: Callable[[int], Any], said: str, pretrained: Folder, tmp_path: Path
) -> None:
    data, told = tmp_path / "teacher.jsonl", Told()
    data.write_text("".join(json.dumps(row(i)) + "\n" for i in range(20)), encoding="utf-8")
    model = [f"generator.pretrained={pretrained('gpt2')}", *QUICK]
    mgan.train(data, "seqkd", run=tmp_path / "run", smoke=True, overrides=model, progress=told)
    assert sum(said in sentence for sentence in told.sentences) == 1
