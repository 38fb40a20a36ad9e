"""The study of adversarial distillation: it runs in small, its measures and its page say what is so."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mgan.data.readers import Example

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gad.py"
PAGE = (ROOT / "docs" / "distillation.md").read_text(encoding="utf-8")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    """gad.py and gad_measures.py."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    yield import_module("gad"), import_module("gad_measures")
    for name in ("gad", "gad_measures"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_distillation.py"))


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    saved = folder / "record.json"
    command = [sys.executable, str(SCRIPT), "--smoke", "--quiet", "--work", str(folder), "--save", str(saved)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(saved.read_text("utf-8"))
    return record


@pytest.mark.slow
def test_the_smoke_form_goes_all_the_way_and_finds_its_runs_again(tmp_path: Path) -> None:
    record = run(tmp_path)
    assert record["command"].endswith("--smoke") and set(record["seeds"]) == {"0", "1"}
    for tree in record["seeds"].values():
        assert set(tree) == {"start", "seqkd", "gad"}
        spent = tree["gad"]["flops"]
        # How many updates a budget buys is told by the first batches' padding.
        assert 0.5 < spent["baseline"] / (spent["warmup"] + spent["adversarial"]) < 1.15
        assert all(set(record["measures"]) - {"two_sample"} <= set(system) for system in tree.values())
        assert [name for name, system in tree.items() if "two_sample" in system] == ["gad", "seqkd"]
    answered = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()]
    held_out = [json.loads(line) for line in (tmp_path / "held-out.jsonl").read_text("utf-8").splitlines()]
    assert len(answered) > 100 and held_out and not {r["prompt"] for r in answered} & {r["prompt"] for r in held_out}
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.jsonl")}
    assert len(stamps) == 5 and run(tmp_path) == record
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.jsonl")}


@pytest.mark.slow
def test_real_models_take_the_places_of_teacher_and_student(
    tmp_path: Path, tiny_gpt: Path, pretrained: Any, questions: Path
) -> None:
    record = run(tmp_path, "--teacher", str(pretrained("qwen3")), "--student", str(tiny_gpt), "--data", str(questions))
    assert not (tmp_path / "teacher").exists()
    assert "messages" not in (tmp_path / "answers.jsonl").read_text("utf-8")
    assert record["seeds"]["0"]["gad"]["teacher_logprob_token"] < 0


def test_a_poem_is_halved_and_a_pair_stands(scripts: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    gad, _ = scripts
    poems, given = tmp_path / "poems.txt", tmp_path / "given.jsonl"
    poems.write_text("春眠。不覺曉。\n春眠。花落。\n無句讀\n", "utf-8")
    given.write_text(json.dumps({"prompt": "one。two", "completion": "three"}) + "\n", "utf-8")
    found = gad.pairs([str(poems), str(given)])
    assert [(e.prompt, e.text) for e in found] == [("春眠。", "不覺曉。"), ("one。two", "three")]


def test_what_was_written_is_read_again(scripts: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    gad, _ = scripts
    from mgan.config import Data
    from mgan.data import readers

    chat = (("system", "Be brief."), ("user", "2+2?"))
    examples = [Example("a ", "b"), readers.answer(chat, "4")]
    gad.write_pairs(tmp_path / "a.jsonl", examples[:1])
    gad.write_pairs(tmp_path / "b.jsonl", examples[1:])
    found = [*readers.read(Data(path=str(tmp_path / "a.jsonl"))), *readers.read(Data(path=str(tmp_path / "b.jsonl")))]
    assert [(e.given, e.text) for e in found] == [("a ", "b"), (chat, "4")]


def test_a_writer_says_exactly_how_likely_an_answer_is(scripts: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    _, measures = scripts
    from mgan import config
    from mgan.data import tokenizers
    from mgan.fit.hardware import Hardware
    from mgan.models.build import Architecture, save_player

    tokenizer = tokenizers.train(["abcd", "dcba"], config.Tokenizer(kind="char", vocabulary=16))
    tokenizer.save(tmp_path)
    size = config.Generator(architecture="transformer", hidden=8, heads=2, context=64)
    shape = Architecture.of("generator", size, tokenizer.vocabulary_size, size)
    uniform: Any = shape.build()
    torch.nn.init.zeros_(uniform.output.weight)
    save_player(tmp_path, uniform, shape)

    writer = measures.Writer.open(tmp_path, 64, Hardware("cpu"))
    answers, drawn = writer.answers([Example("ab", "")] * 300, 1.0, seed=0)
    length = np.array([len(answer.text) + 1 for answer in answers])  # EOS is a token too
    assert 1 < length.mean() < 10 and all(answer.prompt == "ab" for answer in answers)
    # It writes four characters and EOS, and knows three more tokens: nothing else is drawn.
    assert drawn == pytest.approx(-length * np.log(5), rel=1e-5)
    nats, tokens = writer.nll(answers)
    assert (tokens == length).all() and nats == pytest.approx(length * np.log(8), rel=1e-5)


def test_distances_from_the_teacher_are_compared_seed_by_seed(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, measures = scripts

    def system(value: float) -> dict[str, float]:
        return dict.fromkeys(measures.MEASURES, value)

    # Past the teacher is as far as short of it: |5 - 4| - |2 - 4| = -1, |3 - 4| - |7 - 4| = -2.
    seeds = {"0": {"gad": system(5), "seqkd": system(2)}, "1": {"gad": system(3), "seqkd": system(7)}}
    found = measures.summary(seeds, system(4))
    value, low, high = found["farther"]["mauve"]
    half = 12.7062 * 0.5  # Student's quantile with one degree of freedom; the standard error of -1 and -2
    assert (value, low, high) == pytest.approx((-1.5, -1.5 - half, -1.5 + half), abs=1e-3)
    assert found["systems"]["gad"]["nll"][0] == 4


def test_the_page_is_fresh(made: dict[str, Any]) -> None:
    assert made["page"](PAGE) == PAGE, "run: python docs/make_distillation.py"
    assert len(made["BLOCK"].findall(PAGE)) == 1


def record() -> dict[str, Any]:
    figures = {"mauve": 0.5, "distinct_2": 0.8, "teacher_logprob_token": -4.0}
    sweep = {"1": figures, "0.7": figures | {"distinct_2": 0.4}}
    system = figures | {
        "temperatures": {"likelihood": 1.0, "sampling": 0.7}, "sweep": sweep, "seconds": 61, "answers": ["a|b", "c"],
        "flops": {"warmup": 1e12, "adversarial": 2e12, "baseline": 2.9e12},
        "outcomes": {"adversarial": {"sentence": "the budget ended the game"}},
    }  # fmt: skip
    return {
        "teacher": figures | {"answers": [{"prompt": "p", "answer": "t"}] * 2},
        "measures": {"mauve": "MAUVE", "distinct_2": "distinct-2"},
        "seeds": {"0": dict.fromkeys(("start", "seqkd", "gad"), system)},
        "summary": {
            "confidence": 0.95,
            "systems": {key: {name: [0.5, 0.4, 0.6] for name in figures} for key in ("start", "seqkd", "gad")},
            "farther": {"mauve": [-0.2, -0.3, -0.1], "distinct_2": [0.1, -0.1, 0.3]},
        },
        "trials": [{"rate": 1e-4, "baseline_rate": 5e-4, "gad": 5.0, "seqkd": 4.9}],
        "chosen": {"rate": 1e-4, "baseline_rate": 5e-4}, "prompts": {"held out": 1000}, "embedder": "characters",
        "versions": {"torch": "2.13"}, "machine": {"threads": 1, "cores": 2},
    }  # fmt: skip


def test_a_record_is_a_table_a_sentence_and_a_picture(made: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "gad.json"
    assert "Not measured yet." in made["page"](PAGE, path)
    path.write_text(json.dumps(record()), "utf-8")
    page = made["page"](PAGE, path)
    assert "| MAUVE | 0.5 |" in page and "| -0.2 [-0.3, -0.1] |" in page
    assert "nearer to the teacher in MAUVE; farther from it in none; undecided in distinct-2." in page
    assert "`gad` 3.00 TFLOP, `seqkd` 2.90 TFLOP" in page and "a\\|b" in page
    for name in ("once.svg", "again.svg"):
        made["draw"](record(), tmp_path / name)
    drawn = (tmp_path / "once.svg").read_bytes()
    assert b"distinct-2" in drawn and drawn == (tmp_path / "again.svg").read_bytes()
