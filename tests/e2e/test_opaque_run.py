"""A model that mgan does not know, played by its own ``generate``: trained, resumed, sampled, saved as any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import Killer

import mgan
from mgan.cli.generate import unescaped

Folder = Callable[[str], Path]
QUICK = ["evaluation.discriminator_steps=4", "evaluation.samples=14"]


def test_a_game_is_played_and_the_saved_generator_writes_the_same_in_plain_transformers(
    pretrained: Folder, sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = tmp_path / "run"
    changes = ["pretrain.learning_rate=0.01", "adversarial.generator_rate=0.001"]
    code, out, err = command(
        "train", "--model", pretrained("gemma2"), "--data", sentences, "--smoke", "--run", run, *changes, *QUICK
    )
    assert code == 0 and "Verdict:" in out
    assert err.count("generator: Gemma2ForCausalLM caps its logits, so its own generate writes the texts") == 1
    code, out, err = command("generate", run, "--prompt", "the old cat", "--n", 2, "--top-k", 1)
    assert code == 0 and len(out.splitlines()) == 2
    tokenizer = AutoTokenizer.from_pretrained(run / "generator")
    model = AutoModelForCausalLM.from_pretrained(run / "generator").eval()
    ids = [tokenizer.eos_token_id, *tokenizer("the old cat").input_ids]
    written = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_length=32,
        suppress_tokens=list(range(len(tokenizer), model.config.vocab_size)), pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    text = tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True)
    assert text.strip() and unescaped(out.splitlines()[0]) == text


def test_a_killed_game_with_rollouts_is_resumed_exactly(pretrained: Folder, sentences: Path, tmp_path: Path) -> None:
    changes = ["adversarial.steps=3", "adversarial.generator_rate=0.01", "game.signal=rollout", "game.rollouts=2"]
    short = ["generator.context=12", f"generator.pretrained={pretrained('gemma2')}"]
    settings: dict[str, Any] = {"smoke": True, "overrides": [*short, *changes, *QUICK]}
    whole = mgan.train(sentences, run=tmp_path / "whole", **settings).path
    with pytest.raises(KeyboardInterrupt):
        mgan.train(sentences, run=tmp_path / "killed", progress=Killer(2), **settings)
    killed = mgan.resume(tmp_path / "killed").path
    for name in ("generator/model.safetensors", "discriminator/model.safetensors", "samples.jsonl", "results.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_value_head_needs_features_and_says_so_before_anything_is_computed(
    pretrained: Folder, sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command(
        "train", "--model", pretrained("gemma2"), "--data", sentences, "--smoke", "--run", tmp_path / "run",
        "game.baseline=critic",
    )  # fmt: skip
    assert (code, out) == (2, "") and not (tmp_path / "run").exists()
    assert "game.baseline=critic reads the generator's features, but Gemma2ForCausalLM caps its logits" in err
    assert "use game.baseline=leave_one_out, per_position" in err
