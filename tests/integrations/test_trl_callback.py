"""Our discriminators in TRL's GRPOTrainer: paid by one, beside one that learns, resumed as if never stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

from mgan.integrations.judge import Answers, Judge  # noqa: E402
from mgan.integrations.trl import FOLDER, AdversarialReward, reward  # noqa: E402
from mgan.models.build import Architecture  # noqa: E402
from mgan.types import UserError  # noqa: E402

PROMPTS = [f"the {old} {animal}" for old in ("old", "small", "grey", "quick") for animal in ("cat", "dog", "fox")]
ROWS = [{"prompt": prompt, "completion": f" sees the {thing}."}
        for prompt in PROMPTS for thing in ("house", "river")]  # fmt: skip
CHATS = [{"prompt": [{"role": "user", "content": row["prompt"]}],
          "completion": [{"role": "assistant", "content": row["completion"]}]} for row in ROWS]  # fmt: skip


def lstm_judge(policy: Path, seed: int = 0) -> Judge:
    """One that says something of every text."""
    from mgan.data import tokenizers

    tokenizer = tokenizers.pretrained(str(policy), "auto", prompted=True)
    shape = Architecture("discriminator", "lstm", tokenizer.vocabulary_size, 8, 1, 1, 0.2, True, 48)
    torch.manual_seed(seed)
    built: Any = shape.build().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Judge(built, tokenizer, shape)


def trainer(policy: Path, out: Path, functions: Any, rows: list[dict[str, Any]], **options: Any) -> Any:
    adversaries = [f for f in [functions] if isinstance(f, AdversarialReward)]
    settings = {
        "max_steps": 2, "num_generations": 2, "per_device_train_batch_size": 8, "max_completion_length": 6,
        "learning_rate": 1e-3, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "report_to": "none",
        "seed": 3, "bf16": False, "disable_tqdm": True,
    }  # fmt: skip
    args = trl.GRPOConfig(output_dir=str(out), **{**settings, **options})
    return trl.GRPOTrainer(
        model=str(policy), reward_funcs=functions, args=args, train_dataset=datasets.Dataset.from_list(rows),
        callbacks=adversaries,
    )  # fmt: skip


def weights(judge: Judge) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in judge.discriminator.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def logged(done: Any) -> list[dict[str, float]]:
    return [line for line in done.state.log_history if "d_fake" in line]


@pytest.mark.parametrize(("model", "rows"), [("gpt2", ROWS), ("llama", CHATS)])
def test_a_policy_and_the_discriminator_learn_together(
    pretrained: Callable[..., Path], tmp_path: Path, model: str, rows: list[dict[str, Any]]
) -> None:
    adversary = AdversarialReward(lstm_judge(pretrained(model)), rows, learning_rate=1e-2, held_out=0.3)
    before = weights(adversary.judge)
    training = trainer(pretrained(model), tmp_path, adversary, rows, max_steps=5)
    training.train()
    lines = logged(training)
    assert len(lines) == 5 and not same(before, weights(adversary.judge))
    assert all(0 < line["d_real"] < 1 and 0 < line["d_fake"] < 1 for line in lines)
    assert "d_loss" not in lines[0] and math.isfinite(lines[-1]["d_loss"])
    assert any("heldout_accuracy" in line for line in lines)
    assert all("rewards/adversary/mean" in line for line in training.state.log_history if "reward" in line)
    assert adversary.lessons == 5 >= adversary.updates > 1


@pytest.mark.parametrize("loss", ["binary", "bradley_terry", "contrastive"])
def test_it_learns_to_tell_the_policy_from_real_text(
    pretrained: Callable[..., Path], tmp_path: Path, loss: Any
) -> None:
    adversary = AdversarialReward(
        lstm_judge(pretrained("gpt2")), ROWS, loss=loss, learning_rate=3e-2, held_out=0, steps=6, warmup=4
    )
    training = trainer(pretrained("gpt2"), tmp_path, adversary, ROWS, max_steps=4, learning_rate=1e-9)
    training.train()
    first, *_, last = logged(training)
    assert last["d_real"] - last["d_fake"] > 0.2 + first["d_real"] - first["d_fake"]
    assert all(line["reward"] == 0 for line in logged(training)), "warm-up: the policy is paid nothing"


def test_a_resumed_training_has_the_same_discriminator(pretrained: Callable[..., Path], tmp_path: Path) -> None:
    def adversary() -> AdversarialReward:
        return AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS, learning_rate=1e-2, held_out=0.2, steps=2)

    whole = adversary()
    trainer(pretrained("gpt2"), tmp_path / "whole", whole, ROWS, max_steps=4).train()
    first = adversary()
    stopped = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    trainer(pretrained("gpt2"), tmp_path / "parts", first, ROWS, **stopped).train()
    saved = tmp_path / "parts" / "checkpoint-2" / FOLDER
    assert {path.name for path in saved.rglob("*.*")} == {"tensors.safetensors", "state.json", "manifest.json"}

    second = adversary()
    assert not same(weights(second.judge), weights(whole.judge))
    again = trainer(pretrained("gpt2"), tmp_path / "parts", second, ROWS, **stopped)
    again.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-2"))
    assert same(weights(second.judge), weights(whole.judge)) and same(weights(first.judge), weights(whole.judge))
    assert (second.lessons, second.updates) == (whole.lessons, whole.updates) == (4, 8)
    ours, theirs = (adversary._updating.optimizer.state_dict() for adversary in (second, whole))
    assert all(torch.equal(ours["state"][k]["exp_avg"], v["exp_avg"]) for k, v in theirs["state"].items())


def test_a_checkpoint_without_a_discriminator_is_one_sentence(pretrained: Callable[..., Path], tmp_path: Path) -> None:
    options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer(pretrained("gpt2"), tmp_path, lambda completions, **_: [0.0] * len(completions), ROWS, **options).train()
    adversary = AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS)
    with pytest.raises(UserError, match="checkpoint-1/adversary holds no discriminator: set resume_from_checkpoint"):
        trainer(pretrained("gpt2"), tmp_path, adversary, ROWS, **options).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-1")
        )


def test_a_reward_that_is_no_callback_is_one_sentence(pretrained: Callable[..., Path], tmp_path: Path) -> None:
    adversary = AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS)
    with pytest.raises(UserError, match=r"give GRPOTrainer callbacks=\[...\] with the same one"):
        trainer(pretrained("gpt2"), tmp_path, [adversary], ROWS).train()


def test_evaluation_teaches_nothing(pretrained: Callable[..., Path]) -> None:
    adversary = AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS, warmup=9)
    logs: list[str] = []
    paid = adversary(["never seen"], [" at all"], log_metric=lambda name, value: logs.append(name))
    assert paid != [0.0] and logs == []
    args, nothing = trl.GRPOConfig(output_dir="unused", use_cpu=True, num_generations=2, bf16=False), Any
    before = weights(adversary.judge)
    adversary.on_step_end(args, nothing, nothing)  # type: ignore[arg-type]
    assert same(before, weights(adversary.judge)) and adversary.lessons == 0


def test_prompts_held_out_are_never_learned_from(pretrained: Callable[..., Path], monkeypatch: Any) -> None:
    adversary = AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS, held_out=0.5)
    held = {prompt for prompt in PROMPTS if adversary._held(prompt)}
    assert 0 < len(held) < len(PROMPTS)
    taught: list[str] = []
    monkeypatch.setattr(adversary, "_teach", lambda groups: taught.extend(prompt for prompt, _ in groups))
    adversary.on_step_begin(None, None, None)  # type: ignore[arg-type]
    adversary([p for p in PROMPTS for _ in range(2)], [" x"] * 24)
    adversary.on_step_end(trl.GRPOConfig(output_dir="unused", use_cpu=True, num_generations=2, bf16=False), None, None)  # type: ignore[arg-type]
    assert set(taught) == set(PROMPTS) - held


def test_every_process_teaches_its_copy_the_same(pretrained: Callable[..., Path], monkeypatch: Any) -> None:
    """accelerate's gathering is stood in for: each process has rows of its own and all rows in one order."""
    from mgan.integrations import trl as module

    args = trl.GRPOConfig(output_dir="unused", use_cpu=True, num_generations=2, bf16=False)
    rows = [[("the old cat", " a"), ("the old cat", " b")], [("the old dog", " c"), ("the old dog", " d")]]
    monkeypatch.setattr(module, "gather_object", lambda own: [*rows[0], *rows[1]])
    copies = [AdversarialReward(lstm_judge(pretrained("gpt2")), ROWS, held_out=0) for _ in rows]
    for number, (copy, own) in enumerate(zip(copies, rows, strict=True)):
        torch.manual_seed(number)
        copy.on_step_begin(args, None, None)  # type: ignore[arg-type]
        copy(*zip(*own, strict=True))
        state = torch.get_rng_state()
        copy.on_step_end(args, None, None)  # type: ignore[arg-type]
        assert torch.equal(state, torch.get_rng_state())
    assert same(*(weights(copy.judge) for copy in copies))
    assert not same(weights(copies[0].judge), weights(lstm_judge(pretrained("gpt2"))))


def test_a_saved_discriminator_pays_what_it_paid(pretrained: Callable[..., Path], tmp_path: Path) -> None:
    judge = lstm_judge(pretrained("llama"))
    AdversarialReward(judge, ROWS).save(tmp_path / "d")
    paid = reward(tmp_path / "d")
    prompts, completions = ([row[name] for row in CHATS] for name in ("prompt", "completion"))
    assert paid(prompts=prompts, completions=completions, anything="else") == reward(judge)(prompts, completions)
    strings = [[row[name] for row in ROWS] for name in ("prompt", "completion")]
    assert paid(*strings) == pytest.approx(reward(judge)(*strings))
    assert paid(prompts, completions) == pytest.approx(paid(*strings)), "a string is what a user says"


@pytest.mark.parametrize("architecture", ["classifier", "causal", "features"])
def test_a_pretrained_model_becomes_an_adversary(
    pretrained: Callable[..., Path], tiny_bert: Path, tmp_path: Path, architecture: str
) -> None:
    model = pretrained("gpt2") if architecture == "causal" else tiny_bert
    judge = Judge.new(str(model), str(pretrained("gpt2")), architecture, context=48)
    adversary = AdversarialReward(judge, ROWS, learning_rate=1e-3, held_out=0)
    before = weights(judge)
    trainer(pretrained("gpt2"), tmp_path, adversary, ROWS, max_steps=1).train()
    assert not same(before, weights(judge))
    adversary.save(tmp_path / "d")
    prompts, completions = ([row[name] for row in ROWS] for name in ("prompt", "completion"))
    assert reward(tmp_path / "d")(prompts, completions) == pytest.approx(reward(judge)(prompts, completions), abs=1e-5)


def test_real_text_comes_from_a_file_or_a_dataset(tmp_path: Path) -> None:
    path = tmp_path / "real.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in CHATS), encoding="utf-8")
    for real in (path, CHATS, datasets.Dataset.from_list(CHATS)):
        answers = Answers(real)
        assert [answers.of(CHATS[0]["prompt"], n) for n in range(3)] == [
            " sees the house.", " sees the river.", " sees the house.",
        ]  # fmt: skip
    with pytest.raises(UserError, match="real has no completion of the prompt 'the cat'"):
        Answers(ROWS).of("the cat", 0)
    with pytest.raises(UserError, match=r"real, record 1: .*found a 'prompt' alone"):
        Answers([{"prompt": "x"}])


def test_what_is_out_of_range_is_one_sentence(pretrained: Callable[..., Path]) -> None:
    judge = lstm_judge(pretrained("gpt2"))
    with pytest.raises(UserError, match="loss must be one of binary, bradley_terry, contrastive"):
        AdversarialReward(judge, ROWS, loss="hinge")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="held_out in"):
        AdversarialReward(judge, ROWS, held_out=1)
    with pytest.raises(UserError, match="architecture must be one of"):
        Judge.new("x", "y", "lstm")
    with pytest.raises(UserError, match="there is no run"):
        reward("no-such-run")
