"""data.path=oracle through everything a run can do: its texts are ids, without end mark or unknown token."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import mgan
from mgan import config, training
from mgan.cli.main import app
from mgan.evaluation.sweep import Sweep
from mgan.models.oracle import ARRAYS
from mgan.sampling.pair import Pair
from mgan.training import synthetic

V, LENGTH = 50, 7
SETTINGS = [
    "data.path=oracle", f"data.oracle.vocabulary={V}", f"data.oracle.length={LENGTH}", "data.oracle.hidden=8",
    f"generator.context={LENGTH + 1}",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        return mgan.train(overrides=SETTINGS, smoke=True, run=tmp_path_factory.mktemp("oracle") / "run").path


@pytest.fixture(scope="module")
def pair(run: Path) -> Pair:
    return mgan.load(run)


def is_a_text(text: str, length: int = LENGTH) -> bool:
    ids = [int(word) for word in text.split()]
    return text == " ".join(map(str, ids)) and len(ids) == length and all(0 <= token < V for token in ids)


def command(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout


def test_every_sample_a_run_keeps_is_a_text_of_ids(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    kept = [json.loads(line)["text"] for line in (run / "samples.jsonl").read_text().splitlines()]
    shown = [text for texts in results["samples"].values() for text in texts]
    assert kept and shown and all(map(is_a_text, [*kept, *shown]))
    assert "texts of 7 tokens (200 train, 50 validation, 50 test)" in results["data"]["description"]


def test_it_generates_and_scores_ids(run: Path, pair: Pair) -> None:
    texts = pair.generate(n=40)
    assert len(texts) == 40 and all(map(is_a_text, texts)) and len(set(texts)) > 1
    assert any("0" in text.split() for text in pair.generate(n=200)), "token 0 is written too"
    assert all(is_a_text(text, LENGTH - 2) for text in pair.generate("3 0", 5, rerank=2, top_k=5))
    scores = pair.score([*texts, "", "1", " ".join(["4"] * 30)])
    assert all(0 < score < 1 for score in scores)
    assert pair.score([""])[0] == 0.5, "nothing was written: nothing to tell"
    assert pair.longer_than_context([texts[0], texts[0] + " 1"]) == 1
    assert pair.unknown(["1 2 3"]) == (0, 3)


@pytest.mark.parametrize("text", ["50", "1 two", "-1", "007", "1.0"])
def test_what_is_no_id_is_one_sentence(text: str, pair: Pair, run: Path) -> None:
    for use in (pair.generate, lambda given: pair.score([given]), lambda given: pair.unknown([given])):
        with pytest.raises(mgan.UserError, match=r"is no token: .* whole numbers from 0 to 49 joined by spaces"):
            use(text)
    assert command("generate", run, "--prompt", text)[0] != 0


def test_the_commands_do_not_mind(run: Path, tmp_path: Path) -> None:
    code, output = command("generate", run, "--n", 4)
    assert code == 0 and all(map(is_a_text, output.splitlines()))
    lines = tmp_path / "texts.txt"
    lines.write_text(output)
    code, scores = command("score", run, lines)
    assert code == 0 and len([float(score) for score in scores.split()]) == 4
    assert mgan.report(run).exists()


def test_it_is_measured_against_its_oracle(run: Path) -> None:
    sweep = Sweep(temperatures=(1.0,), top_k=(5,), top_p=(), samples=25, trained=False)
    found = training.evaluate(run, sweep)
    assert found["real"]["nll_oracle"] == found["real"]["nll_gen"] and found["real"]["js"]["value"] == 0
    points = {point["label"]: point["measures"] for point in found["systems"]["adversarial"]["points"]}
    plain, cut = points["T 1"], points["top-k 5"]
    assert plain["kl_oracle"]["value"] > 5 * plain["kl_oracle"]["error"]
    assert cut["nll_gen"]["value"] is None and cut["kl_oracle"]["value"] is None, "infinite: it cannot write them all"
    assert cut["kl_generated"]["value"] > 0


def test_a_run_cut_short_goes_on(run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(run, cut)
    (cut / "results.json").unlink()
    assert mgan.resume(cut).finished
    assert (cut / "generator/model.safetensors").read_bytes() == (run / "generator/model.safetensors").read_bytes()
    assert json.loads((cut / "results.json").read_text())["samples"]["real"]


def test_transformers_opens_the_tokenizer(run: Path, pair: Pair) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(run / "generator")
    assert theirs.encode("0 49 7", add_special_tokens=False) == pair.tokenizer.encode("0 49 7") == [0, 49, 7]
    assert theirs.decode([0, 49, 7]) == pair.tokenizer.decode([0, 49, 7]) == "0 49 7"


def oracle(**fields: Any) -> config.Oracle:
    small = {"vocabulary": V, "length": LENGTH, "hidden": 8, "texts": 60, "held_out": 30}
    return config.Oracle.model_validate(small | fields)


def test_the_texts_are_the_oracles_alone() -> None:
    """Neither the run's seed nor what was drawn before moves them; another seed, another oracle."""
    corpus = synthetic.corpus(oracle())
    assert corpus is synthetic.corpus(oracle()), "drawn once in a process"
    again = synthetic.corpus.__wrapped__(oracle())
    assert [list(split) for split in (again.train, again.validation, again.test)] == [
        list(split) for split in (corpus.train, corpus.validation, corpus.test)
    ]
    assert again.fingerprint == corpus.fingerprint != synthetic.corpus(oracle(seed=1)).fingerprint
    splits = [{example.text for example in split} for split in (corpus.train, corpus.validation, corpus.test)]
    assert not splits[0] & splits[1] and not splits[1] & splits[2] and not splits[0] & splits[2]
    longer = synthetic.corpus(oracle(texts=70))
    assert [example.text for example in longer.train][:60] == [example.text for example in corpus.train]
    assert [example.text for example in longer.test] == [example.text for example in corpus.test]


def test_weights_of_a_file_make_other_texts_and_their_place_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    shapes = [(V, 8), (32, 8), (32, 8), (32,), (32,), (V, 8), (V,)]
    np.savez(tmp_path / "o.npz", **{name: draw.normal(size=s) for name, s in zip(ARRAYS, shapes, strict=True)})
    monkeypatch.chdir(tmp_path)
    from mgan.api import configure

    found = configure(overrides=[*SETTINGS, "data.oracle.weights=o.npz"]).data.oracle
    assert found.weights == str(tmp_path / "o.npz")
    corpus = synthetic.corpus(oracle(weights=found.weights))
    assert "weights of o.npz" in corpus.description
    assert corpus.fingerprint != synthetic.corpus(oracle()).fingerprint


def test_a_folder_of_that_name_is_not_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mgan.api import configure

    (tmp_path / "oracle").mkdir()
    monkeypatch.chdir(tmp_path)
    assert configure("oracle", overrides=SETTINGS).data.path == "oracle"


def test_wrong_weights_leave_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(mgan.UserError, match=r"data\.oracle\.weights: .* cannot be read"):
        mgan.train(overrides=[*SETTINGS, "data.oracle.weights=none.npz"], smoke=True, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("architecture", ["gru", "transformer"])
def test_any_oracle_and_random_prefixes(architecture: str, tmp_path: Path) -> None:
    settings = [*SETTINGS, f"data.oracle.architecture={architecture}", "prompt.source=prefix", "tokenizer.kind=ids"]
    assert mgan.train(overrides=settings, smoke=True, run=tmp_path / "run").finished
