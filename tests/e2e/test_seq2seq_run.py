"""An encoder-decoder as a user has it: pretrained or from scratch, one command, and everything done with a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import mgan
from mgan.cli.generate import unescaped
from mgan.data.readers import Example
from mgan.sampling.decode import Sampling, sample
from mgan.types import Silent, collate

Folder = Callable[[str], Path]
QUICK = ["evaluation.discriminator_steps=4", "evaluation.samples=8"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, seq2seq: Folder, questions: Path) -> Path:
    """Maximum likelihood of a tiny BART on questions and answers."""
    folder = tmp_path_factory.mktemp("runs") / "fitted"
    overrides = [f"generator.pretrained={seq2seq('bart')}", "pretrain.learning_rate=0.001", "data.test=0.4", *QUICK]
    mgan.train(questions, "mle", run=folder, smoke=True, overrides=overrides)
    return folder


def same_in_plain_transformers(run: Path, prompt: str) -> list[int]:
    """The likeliest text after a prompt, which transformers alone writes from a run's folder as the pair does."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    pair = mgan.load(run)
    tokenizer = AutoTokenizer.from_pretrained(run / "generator")
    model = AutoModelForSeq2SeqLM.from_pretrained(run / "generator").eval()
    given = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    assert given.input_ids.tolist() == pair.tokenizer.prompts([Example(prompt, "")])
    begin, source = list(pair.generator.begin), given.input_ids.shape[1]  # type: ignore[attr-defined]
    written = model.generate(
        **given, do_sample=False, num_beams=1, max_length=pair.context - source + len(begin),
        forced_eos_token_id=None, sequence_bias={(token,): -1e9 for token in pair.tokenizer.never},
    )[0].tolist()  # fmt: skip
    assert written[: len(begin)] == begin
    ours = sample(
        pair.generator, collate([(given.input_ids[0].tolist(), source)], 0), max_length=pair.context,
        eos=pair.tokenizer.eos, pad=pair.tokenizer.pad, sampling=Sampling(0.001, suppress=pair.tokenizer.never),
    )  # fmt: skip
    assert ours.tokens[0, source:].tolist() == written[len(begin) :]
    return written[len(begin) :]


def test_the_saved_generator_writes_the_same_text_in_plain_transformers(fitted: Path, command: Command) -> None:
    tokens = same_in_plain_transformers(fitted, "3 plus 4? ")
    text = mgan.load(fitted).tokenizer.decode(tokens)
    assert text.strip()
    code, out, _ = command("generate", fitted, "--prompt", "3 plus 4? ", "--n", 2, "--top-k", 1)
    assert code == 0 and [unescaped(line) for line in out.splitlines()] == [text, text]


def test_a_run_says_what_it_reads_and_is_scored_and_evaluated(fitted: Path, questions: Path, command: Command) -> None:
    about = json.loads((fitted / "generator" / "tokenizer_config.json").read_text())["mgan"]
    assert about["reason"] == "The generator's own: a source ends with </s>, and so does the text written after it."
    code, out, _ = command("score", fitted, questions)
    assert code == 0 and len(out.splitlines()) == 60 and all(0 <= float(line) <= 1 for line in out.splitlines())
    found = mgan.evaluate(fitted, temperatures=[1.0], top_k=[], top_p=[], embedder="characters", trained=False)
    (point,) = found["systems"]["pretrained"]["points"]
    assert point["measures"]["nll"]["value"] > 0
    pair = mgan.load(fitted)
    assert pair.prompted and pair.generate("3 plus 4? ", n=3, seed=1, rerank=3) != pair.generate("9", n=3, seed=1)


@pytest.mark.parametrize("game", [["game.signal=rollout", "game.rollouts=2"], ["game.baseline=critic"]])
def test_the_game_is_played(
    seq2seq: Folder, questions: Path, tmp_path: Path, game: list[str], command: Command
) -> None:
    run = tmp_path / "run"
    code, out, err = command(
        "train", "--model", seq2seq("t5"), "--data", questions, "--smoke", "--run", run, *QUICK, *game
    )
    assert code == 0 and "Verdict:" in out, err
    assert len(mgan.load(run).generate("2 plus 2? ", n=3, rerank=2)) == 3
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any(line["phase"] == "adversarial" for line in lines)


class Killer(Silent):
    """Interrupts the run after so many steps of the game."""

    def advance(self, phase: str, step: int, metrics: Any) -> None:
        if phase == "adversarial" and step == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["marian", "scratch"])
def test_a_killed_game_is_resumed_exactly(name: str, seq2seq: Folder, questions: Path, tmp_path: Path) -> None:
    """What the run writes is what an unbroken one does; Marian's positions, which are computed, have not moved."""
    model = "generator.architecture=encoder_decoder" if name == "scratch" else f"generator.pretrained={seq2seq(name)}"
    changes = [model, "adversarial.steps=4", "adversarial.generator_rate=0.01", *QUICK]
    settings: dict[str, Any] = {"smoke": True, "overrides": changes}
    whole = mgan.train(questions, run=tmp_path / "whole", **settings).path
    with pytest.raises(KeyboardInterrupt):
        mgan.train(questions, run=tmp_path / "killed", progress=Killer(), **settings)
    killed = mgan.resume(tmp_path / "killed").path
    for file in ("generator/model.safetensors", "discriminator/model.safetensors", "samples.jsonl", "results.json"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes(), file
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (killed / "generator" / file).read_bytes() == (whole / "generator" / file).read_bytes()


def test_from_scratch_the_saved_generator_is_opened_by_plain_transformers(questions: Path, tmp_path: Path) -> None:
    overrides = ["generator.architecture=encoder_decoder", "pretrain.learning_rate=0.001", *QUICK]
    run = mgan.train(questions, "mle", run=tmp_path / "run", smoke=True, overrides=overrides).path
    assert len(same_in_plain_transformers(run, "3 plus 4? ")) > 1


def test_adapters_go_on_both_parts_and_merge(seq2seq: Folder, questions: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from transformers import AutoModelForSeq2SeqLM

    changes = [f"generator.pretrained={seq2seq('t5')}", "generator.lora.rank=2", "pretrain.learning_rate=0.05"]
    run = mgan.train(questions, "mle", run=tmp_path / "run", smoke=True, overrides=[*changes, *QUICK]).path
    before, after = (
        AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict() for folder in (seq2seq("t5"), run / "generator")
    )
    assert before.keys() == after.keys()
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder", "decoder"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "{t5}", "--data", "{sentences}"], "the texts have no prompts, and a generator with an encoder"),
        (
            ["generator.architecture=encoder_decoder", "--data", "{sentences}"],
            "give records with a prompt and a completion, or take a generator without an encoder",
        ),
        (["generator.architecture=encoder_decoder", "--data", "oracle"], "the texts of data.path=oracle have none"),
        (["generator.architecture=encoder_decoder", "generator.tied=false"], "has one table of embeddings"),
        (["--model", "{t5}", "prompt.template=chat"], "has an encoder, which reads prompts as they are; use"),
        (["--model", "{bart}", "generator.context=80"], "is more than the 64 positions of BartFor"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], said: str, seq2seq: Folder, sentences: Path, questions: Path, tmp_path: Path,
    command: Command,
) -> None:  # fmt: skip
    typed = [a.format(t5=seq2seq("t5"), bart=seq2seq("bart"), sentences=sentences) for a in arguments]
    if "--data" not in typed:
        typed += ["--data", str(questions)]
    code, out, err = command("train", "mle", "--run", tmp_path / "run", "--quiet", *typed)
    assert (code, out) == (2, "") and said in re.sub(r"\s+", " ", err)
