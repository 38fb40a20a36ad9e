"""An adapted player is the model it was until it learns; it shares what does not learn and saves both ways."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mgan.config import Config, Lora, Memory
from mgan.data import tokenizers
from mgan.models import adapters
from mgan.models.build import Architecture, build_discriminator, build_generator, load_player, save_player
from mgan.sampling.decode import sample
from mgan.types import Batch, UserError

peft = pytest.importorskip("peft")
Folder = Callable[[str], Path]
TOKENS = torch.arange(1, 25).view(3, 8) * 5 % 200


def config(folder: Path, memory: dict[str, Any] | None = None, **lora: Any) -> Config:
    section = {"pretrained": str(folder), "context": 32, "lora": {"rank": 4, **lora}}
    return Config.model_validate({"generator": section, "memory": memory or {}})


def player(folder: Path, memory: dict[str, Any] | None = None, **lora: Any) -> Any:
    torch.manual_seed(1)
    return build_generator(config(folder, memory, **lora), 330)


def plain(folder: Path) -> Any:
    return build_generator(config(folder, rank=0), 330)


def learned(adapted: Any) -> Any:
    """As after some training."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return adapted


@pytest.fixture
def llama(pretrained: Folder) -> Path:
    return pretrained("llama")


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "mistral", "cohere"])
def test_it_begins_as_the_model_and_only_small_matrices_learn(name: str, pretrained: Folder) -> None:
    """Every linear layer but the output layer has some."""
    ours, model = player(pretrained(name)), plain(pretrained(name))
    assert torch.equal(ours(TOKENS), model(TOKENS))
    learning = {name for name, parameter in ours.named_parameters() if parameter.requires_grad}
    assert learning and all(".lora_" in name for name in learning)
    linear = adapters._linear_names(model.model, adapters._excluded(model.model, ()))
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in learning} == set(linear)
    assert "lm_head" not in linear


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_merged_weights_say_what_the_adapter_says(name: str, pretrained: Folder, tmp_path: Path) -> None:
    """Also in plain transformers, and as a peft adapter of the first model."""
    from transformers import AutoModelForCausalLM

    ours, model = learned(player(pretrained(name))), plain(pretrained(name))
    assert (ours(TOKENS) - model(TOKENS)).abs().max() > 0.1
    shape = Architecture.of("generator", config(pretrained(name)).generator, 330, config(pretrained(name)).generator)
    save_player(tmp_path, ours, shape)
    again, _, _ = load_player(tmp_path)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    base = AutoModelForCausalLM.from_pretrained(pretrained(name))
    on_top = peft.PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    for found in (again(TOKENS), opened(TOKENS).logits, on_top(TOKENS).logits):
        assert torch.allclose(found, ours(TOKENS), atol=1e-5, rtol=1e-5)
    assert not any(".lora_" in name for name in again.state_dict())
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert said["r"] == 4 and said["base_model_name_or_path"] == str(pretrained(name))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size < 60_000


def test_it_writes_through_its_state_what_it_would_write_without(llama: Path) -> None:
    """And the logprobs of the sampling are those of reading."""
    from mgan.models.logprobs import token_logprobs

    ours = learned(player(llama))
    prompts = Batch(TOKENS[:, :4], torch.zeros(3, 4, dtype=torch.bool), torch.full((3,), 4))
    written = sample(ours, prompts, max_length=12, eos=None, pad=0, seed=3)
    assert written.logprobs is not None
    assert torch.allclose(token_logprobs(ours, written.tokens, written.mask), written.logprobs, atol=1e-4)


def test_its_state_is_what_learns_and_goes_on_the_same_model_only(pretrained: Folder) -> None:
    ours, fresh = learned(player(pretrained("llama"))), player(pretrained("llama"))
    state = ours.state_dict()
    assert sum(t.numel() for t in state.values()) < sum(p.numel() for p in ours.parameters()) / 3
    fresh.load_state_dict(state)
    assert torch.equal(fresh(TOKENS), ours(TOKENS))
    other = player(pretrained("llama"))
    other.adapter.digest = bytes(16)
    with pytest.raises(UserError, match="another than the one that this adapter was trained on"):
        other.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict(dict(list(state.items())[1:]))


def test_another_models_weights_have_another_digest(pretrained: Folder) -> None:
    model = plain(pretrained("llama")).model
    before = adapters._digest(model)
    assert before == adapters._digest(copy.deepcopy(model))
    with torch.no_grad():
        model.model.norm.weight[3] += 1e-3
    assert adapters._digest(model) != before


def test_a_copy_has_the_same_base_and_an_adapter_of_its_own(llama: Path) -> None:
    ours = player(llama)
    before = ours(TOKENS)
    twin = adapters.copied(ours)
    learned(ours)
    assert torch.equal(twin(TOKENS), before)
    pairs = list(zip(ours.named_parameters(), twin.named_parameters(), strict=True))
    assert all((mine is his) == (name not in ours.adapter.learns) for (name, mine), (_, his) in pairs)
    twin.load_state_dict(ours.state_dict())
    assert torch.equal(twin(TOKENS), ours(TOKENS)) and all(
        p.requires_grad == q.requires_grad for (_, p), (_, q) in pairs
    )
    whole = plain(llama)
    assert not {id(p) for p in whole.parameters()} & {id(p) for p in adapters.copied(whole).parameters()}


@pytest.mark.parametrize(
    ("targets", "found"), [(("q_proj", "v_proj"), {"q_proj", "v_proj"}), (("down_proj",), {"down_proj"})]
)
def test_targets_are_the_layers_one_names(targets: tuple[str, ...], found: set[str], llama: Path) -> None:
    ours = player(llama, targets=targets)
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in ours.adapter.learns} == found


@pytest.mark.parametrize("targets", [("wrong",), ("lm_head",)])
def test_a_target_that_is_none_is_one_sentence_with_those_that_are(targets: tuple[str, ...], llama: Path) -> None:
    with pytest.raises(UserError, match=r"generator\.lora\.targets: .*down_proj, gate_proj, k_proj, o_proj") as said:
        player(llama, targets=targets)
    assert "\n" not in str(said.value) and "lm_head" not in str(said.value)


def test_without_peft_it_says_what_to_install(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"generator\.lora\.rank needs the package peft: pip install 'mgan\[lora\]'"):
        player(llama)
    assert plain(llama)(TOKENS).shape[:2] == (3, 8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {"lora": {"rank": 4}}}, r"generator\.lora\.rank adds to .* give generator\.pretrained"),
        ({"discriminator": {"lora": {"rank": 4}}}, r"discriminator\.lora\.rank adds to .* give discriminator\.pretr"),
        (
            {
                "discriminator": {"architecture": "features", "pretrained": "x", "lora": {"rank": 4}},
                "game": {"signal": "sequence"},
            },
            r"takes no LoRA: set discriminator\.lora\.rank=0",
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_anything_is_read(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config.model_validate(changes)


# --- discriminators -------------------------------------------------------------------------------------------------


def own_tokenizer(folder: Path) -> Any:
    return tokenizers.pretrained(str(folder), "plain", False)


def judge(kind: str, folder: Path, tokenizer: Any, **changes: Any) -> Any:
    torch.manual_seed(1)
    section = {"architecture": kind, "pretrained": str(folder), "lora": {"rank": 4}, **changes}
    settings = Config.model_validate({"discriminator": section, "game": {"signal": "sequence"}})
    return build_discriminator(settings, 330, nn.Identity(), tokenizer)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "head"), [("causal", {"score"}), ("classifier", {"classifier"})])
def test_a_discriminators_head_learns_beside_the_adapter(
    kind: str, head: set[str], tiny_gpt: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    """It is a sequence classifier merged, and a peft adapter with its head."""
    from transformers import AutoModelForSequenceClassification

    folder = tiny_gpt if kind == "causal" else tiny_bert
    tokenizer = own_tokenizer(tiny_gpt)
    ours = judge(kind, folder, tokenizer).eval()
    bare = judge(kind, folder, tokenizer, lora={"rank": 0}).eval()
    mask = torch.arange(8).expand(3, -1) > 2
    assert torch.equal(ours.verdict(TOKENS, mask), bare.verdict(TOKENS, mask))
    plainly = {name.split(".")[1] for name in ours.adapter.learns if ".lora_" not in name}
    assert head <= plainly
    learned(ours)
    said = ours.verdict(TOKENS, mask)
    assert (said - bare.verdict(TOKENS, mask)).abs().max() > 0.01

    shape = Architecture(role="discriminator", architecture=kind, vocabulary=330, hidden=8, layers=1, heads=1,
                         dropout=0.0, tied=True, context=32)  # fmt: skip
    save_player(tmp_path, ours, shape, temperature=1.0)
    again, _, _ = load_player(tmp_path)
    assert torch.allclose(again.verdict(TOKENS, mask), said, atol=1e-5)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.random.fork_rng():
        base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    on_top = peft.PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    on_top.config.pad_token_id = opened.config.pad_token_id
    ids = TOKENS[:1]
    assert torch.allclose(opened(ids).logits, on_top(ids).logits, atol=1e-5)
    assert torch.allclose(opened(ids).logits, ours.model(ids).logits, atol=1e-5)


def test_an_ensemble_shares_one_base(tiny_gpt: Path) -> None:
    tokenizer = own_tokenizer(tiny_gpt)
    ours = judge("causal", tiny_gpt, tokenizer, ensemble=3)
    one = judge("causal", tiny_gpt, tokenizer)
    sizes = [sum(p.numel() for p in some.parameters()) for some in (ours, one)]
    learning = sum(p.numel() for p in one.parameters() if p.requires_grad)
    assert sizes[0] == sizes[1] + 2 * learning
    first, second = (dict(member.named_parameters()) for member in ours.members[:2])
    assert not any(first[name] is second[name] for name in ours.members[0].adapter.learns)
    state = learned(ours).state_dict()
    fresh = judge("causal", tiny_gpt, tokenizer, ensemble=3)
    fresh.load_state_dict(state)
    adapters.share(fresh, ours)
    mask = torch.arange(8).expand(3, -1) > 2
    assert torch.equal(fresh.eval().verdict(TOKENS, mask), ours.eval().verdict(TOKENS, mask))
    assert len({id(p) for some in (ours, fresh) for p in some.parameters()}) < len(state) * 2 + len(
        list(one.parameters())
    )


# --- memory.base ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_base_in_bf16_takes_half_the_room_and_the_adapter_learns_in_fp32(name: str, pretrained: Folder) -> None:
    full, half = (player(pretrained(name), {"base": base}) for base in ("fp32", "bf16"))
    frozen = [(p, q) for p, q in zip(full.parameters(), half.parameters(), strict=True) if not p.requires_grad]
    assert all(q.dtype == torch.bfloat16 and torch.equal(p.bfloat16(), q) for p, q in frozen)
    assert all(p.dtype == torch.float32 for p in half.parameters() if p.requires_grad)
    logits = full(TOKENS)
    assert (half(TOKENS).float() - logits).abs().max() < 0.05 * logits.abs().max()
    merged = adapters.merged(half)
    assert all(tensor.dtype == torch.float32 for tensor in merged.values() if tensor.is_floating_point())


def test_a_base_in_bf16_writes_and_learns(llama: Path) -> None:
    from mgan.fit.likelihood import nll

    ours = player(llama, {"base": "bf16"})
    prompts = Batch(TOKENS[:, :4], torch.zeros(3, 4, dtype=torch.bool), torch.full((3,), 4))
    written = sample(ours, prompts, max_length=12, eos=None, pad=0, seed=3)
    loss = nll(ours, written)
    loss.backward()
    gradients: list[Tensor | None] = [p.grad for p in ours.parameters() if p.requires_grad]
    assert loss.dtype == torch.float32 and any(g is not None and g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize("kind", ["causal", "classifier"])
def test_a_head_on_a_base_in_bf16_is_in_fp32(kind: str, tiny_gpt: Path, tiny_bert: Path) -> None:
    tokenizer, mask = own_tokenizer(tiny_gpt), torch.arange(8).expand(3, -1) > 2
    section = {
        "architecture": kind,
        "pretrained": str(tiny_gpt if kind == "causal" else tiny_bert),
        "lora": {"rank": 2},
    }
    tree = {"discriminator": section, "game": {"signal": "sequence"}, "memory": {"base": "bf16"}}
    ours: Any = build_discriminator(Config.model_validate(tree), 330, nn.Identity(), tokenizer)  # type: ignore[arg-type]
    found = ours.verdict(TOKENS, mask)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert all(p.dtype == torch.float32 for p in ours.parameters() if p.requires_grad)


def test_memory_and_lora_are_off_by_default() -> None:
    assert Lora().rank == 0
    assert Memory() == Memory(checkpointing=False, optimizer="adamw", offload=False, base="fp32")
