"""Models of which only logits are asked for: which become such players, what they say, how they learn and are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan import config
from mgan.models import logprobs, probe
from mgan.models.build import Architecture, build_generator, load_player, save_player
from mgan.models.logprobs import tempered_logprobs, token_logprobs, weighted_logprobs
from mgan.models.opaque import OpaqueGenerator
from mgan.models.pretrained import PretrainedGenerator, generator_of, load
from mgan.models.protocols import Choose, Opaque
from mgan.types import UserError

Folder = Callable[[str], Path]
CONTEXT = 24
LOADED: dict[str, Any] = {}


def generator(pretrained: Folder, name: str) -> Any:
    if name not in LOADED:
        LOADED[name] = load(str(pretrained(name)), CONTEXT)
    return copy.deepcopy(LOADED[name])


def tokens(rows: int = 5, length: int = CONTEXT, seed: int = 1) -> Tensor:
    return torch.randint(2, 300, (rows, length), generator=torch.Generator().manual_seed(seed))


def ragged_mask(rows: int = 5, length: int = CONTEXT) -> Tensor:
    place, ends = torch.arange(length), torch.tensor([length, 9, 17, 4, 12])[:rows, None]
    return (place >= 3) & (place < ends)


def direct(model: Any, rows: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """[B, L]: the logprobs by the definition."""
    said = (model(input_ids=rows).logits / temperature).log_softmax(-1)
    chosen = said[:, :-1].gather(2, rows[:, 1:, None]).squeeze(2)
    return torch.nn.functional.pad(chosen, (1, 0)).masked_fill(~mask, 0.0)


def gradient(player: Any) -> Tensor:
    return torch.cat([p.grad.flatten() for p in player.parameters()])


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3"])
def test_what_mgan_knows_is_played_as_before(pretrained: Folder, name: str) -> None:
    ours = generator(pretrained, name)
    assert isinstance(ours, PretrainedGenerator) and not isinstance(ours, Opaque)


def test_a_model_that_caps_its_logits_is_opaque_and_says_what_it_says(pretrained: Folder) -> None:
    ours = generator(pretrained, "gemma2")
    assert isinstance(ours, OpaqueGenerator) and isinstance(ours, Opaque)
    assert ours.difference == "Gemma2ForCausalLM caps its logits" and not ours.training
    with torch.no_grad():
        assert torch.equal(ours(tokens()), ours.model(tokens()).logits)
    assert ours.vocabulary == ours(tokens()).shape[-1]


def test_an_unknown_scale_of_the_logits_makes_a_model_opaque(
    pretrained: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgan.models.pretrained.SCALES", {})
    assert load(str(pretrained("granite")), CONTEXT).difference == (  # type: ignore[union-attr]
        "GraniteForCausalLM makes its logits in a way of its own"
    )


def test_a_model_without_a_cache_of_keys_is_opaque() -> None:
    """Mamba's state is none of attention."""
    from transformers import MambaConfig, MambaForCausalLM

    shape = MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4)
    found = generator_of(MambaForCausalLM(shape), CONTEXT)
    assert isinstance(found, OpaqueGenerator) and "keeps its state" in found.difference
    assert found.state_size(10) > 0 and found.flops_per_token > 0


def test_a_model_that_looks_ahead_is_refused(pretrained: Folder) -> None:
    with pytest.raises(UserError, match=r"BertLMHeadModel looks ahead"):
        load(str(pretrained("bert")), CONTEXT)


def test_a_model_that_writes_another_thing_than_it_says_is_refused(pretrained: Folder) -> None:
    class Forgetful(OpaqueGenerator):
        def write(self, tokens: Tensor, count: int, choose: Choose) -> None:
            super().write(tokens[:, -1:], count, choose)

    model = generator(pretrained, "gemma2").model
    probe.must_write(OpaqueGenerator(model, ""))
    with pytest.raises(UserError, match="says another thing of a text that it reads bit by bit"):
        probe.must_write(Forgetful(model, ""))


def test_a_model_that_has_no_generate_is_refused() -> None:
    class Mute(torch.nn.Module):
        config = type("C", (), {"get_text_config": lambda self: self, "vocab_size": 9})()

    with pytest.raises(UserError, match="a Mute cannot write text"):
        probe.must_write(OpaqueGenerator(Mute(), ""))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("together", [2**26, 1])
def test_logprobs_are_those_of_its_logits(
    pretrained: Folder, temperature: float, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are read at a time: numbers and gradients."""
    monkeypatch.setattr(logprobs, "TOGETHER", together)
    rows, mask = tokens(), ragged_mask()
    weights = torch.randn(mask.shape, generator=torch.Generator().manual_seed(3))
    ours, theirs, other = (generator(pretrained, "gemma2") for _ in range(3))
    expected = direct(theirs.model, rows, mask, temperature)
    (expected * weights).sum().backward()
    found = token_logprobs(ours, rows, mask, temperature)
    (found * weights).sum().backward()
    total, again = weighted_logprobs(other, rows, mask, weights, temperature)
    total.backward()
    for some in (found, again):
        assert torch.allclose(some, expected, atol=1e-5)
    assert not again.requires_grad
    assert total.item() == pytest.approx((expected * weights).sum().item(), rel=1e-4)
    for player in (ours, other):
        assert torch.allclose(gradient(player), gradient(theirs), atol=1e-4, rtol=1e-3)


def test_rows_read_apart_have_the_same_dropout_when_they_are_read_again(
    pretrained: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the gradient is another function's than the loss."""
    monkeypatch.setattr(logprobs, "TOGETHER", 1)
    model = generator(pretrained, "gpt2").model
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    player, rows, mask = OpaqueGenerator(model, "").train(), tokens(2), ragged_mask(2)
    bias = model.transformer.ln_f.bias
    step = torch.randn(bias.shape, generator=torch.Generator().manual_seed(0))

    def value() -> Tensor:
        torch.manual_seed(5)
        return token_logprobs(player, rows, mask).sum()

    value().backward()
    slope = float((bias.grad * step).sum())
    with torch.no_grad():
        bias.add_(1e-2 * step)
        above = value()
        bias.sub_(2e-2 * step)
        below = value()
    assert float(above - below) / 2e-2 == pytest.approx(slope, rel=0.02)


def test_many_temperatures_need_one_pass(pretrained: Folder) -> None:
    ours, rows, mask = generator(pretrained, "gemma2"), tokens(), ragged_mask()
    temperatures = (0.5, 1.0, 2.0)
    with torch.no_grad():
        expected = torch.stack([direct(ours.model, rows, mask, t) for t in temperatures])
    calls: list[int] = []
    ours.register_forward_hook(lambda *_: calls.append(1))
    found = tempered_logprobs(ours, rows, mask, temperatures)
    assert torch.allclose(found, expected, atol=1e-5) and not found.requires_grad
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_known_model_says_the_same_when_it_is_played_as_an_opaque_one(pretrained: Folder, name: str) -> None:
    native = generator(pretrained, name)
    opaque = OpaqueGenerator(copy.deepcopy(native.model), "")
    rows, mask = tokens(), ragged_mask()
    for player in (native, opaque):
        weighted_logprobs(player, rows, mask, mask.float())[0].backward()
    assert torch.allclose(gradient(native), gradient(opaque), atol=1e-4, rtol=1e-3)
    shape = native.model.config
    width = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    attention = 2 * shape.num_hidden_layers * shape.num_attention_heads * width * CONTEXT
    assert opaque.flops_per_token == native.flops_per_token - attention


def test_a_saved_one_comes_back_and_opens_in_plain_transformers(pretrained: Folder, tmp_path: Path) -> None:
    """With the settings of its generate, which play no part here."""
    from transformers import AutoModelForCausalLM

    whole = config.Config(generator=config.Generator(pretrained=str(pretrained("gemma2")), context=CONTEXT))
    ours: Any = build_generator(whole, 300)
    ours.model.generation_config.repetition_penalty = 1.5
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    shape = Architecture.of("generator", whole.generator, 300, whole.generator)
    save_player(tmp_path / "generator", ours, shape, temperature=0.7)
    found, architecture, facts = load_player(tmp_path / "generator")
    assert isinstance(found, OpaqueGenerator) and architecture == shape and facts == {"temperature": 0.7}
    assert [k for k, v in ours.state_dict().items() if not torch.equal(v, found.state_dict()[k])] == []
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "generator").eval()
    assert torch.equal(plain(tokens()).logits, ours(tokens()))
    assert plain.generation_config.repetition_penalty == 1.5
