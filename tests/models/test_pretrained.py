"""Pretrained causal language models as generators: the protocol over any architecture, opened and saved."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mgan import config
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.models.build import Architecture, build_discriminator, build_generator, load_player, save_player
from mgan.models.lstm import copy_where_shapes_agree
from mgan.models.pretrained import PretrainedGenerator, load
from mgan.sampling.decode import Sampling, sample
from mgan.types import UserError, collate

Folder = Callable[[str], Path]
CONTEXT = 24  # four times the windows of the sliding ones
ARCHITECTURES = ("gpt2", "llama", "qwen3", "gemma3", "mistral", "cohere", "granite")
every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


LOADED: dict[str, PretrainedGenerator] = {}


def generator(pretrained: Folder, name: str) -> PretrainedGenerator:
    """One of the test's own; loading is the slower part."""
    if name not in LOADED:
        LOADED[name] = load(str(pretrained(name)), CONTEXT)
    return copy.deepcopy(LOADED[name])


def tokens(rows: int = 5, length: int = CONTEXT, seed: int = 1) -> Tensor:
    return torch.randint(2, 300, (rows, length), generator=torch.Generator().manual_seed(seed))


@every_architecture
def test_it_says_what_the_model_itself_says(pretrained: Folder, name: str) -> None:
    ours = generator(pretrained, name)
    with torch.no_grad():
        said, theirs = ours(tokens()), ours.model(tokens()).logits
    assert torch.allclose(said, theirs, atol=1e-5) and theirs.std() > 1e-3
    assert not ours.training


@every_architecture
@pytest.mark.parametrize("first", [1, 3, 9])
def test_reading_bit_by_bit_is_the_forward_pass(pretrained: Folder, name: str, first: int) -> None:
    ours, rows = generator(pretrained, name), tokens()
    expected = ours.features(rows)
    feature, state = ours.read(rows[:, :first], ours.start(len(rows)))
    for i in range(first, CONTEXT):
        assert torch.allclose(feature, expected[:, i - 1], atol=1e-5)
        feature, state = ours.read(rows[:, i : i + 1], state)
    assert torch.allclose(feature, expected[:, -1], atol=1e-5)


@every_architecture
def test_a_row_does_not_depend_on_its_neighbours_nor_on_what_stands_right_of_it(pretrained: Folder, name: str) -> None:
    ours, rows = generator(pretrained, name), tokens()
    with torch.no_grad():
        together = ours(rows)
        for i in range(len(rows)):
            assert torch.allclose(ours(rows[i : i + 1])[0], together[i], atol=1e-5)
        for length in (1, 5, CONTEXT - 1):
            padded = torch.cat([rows[:, :length], torch.zeros(5, CONTEXT - length, dtype=torch.long)], 1)
            assert torch.allclose(ours(padded)[:, :length], together[:, :length], atol=1e-5)


@every_architecture
def test_a_state_is_a_value(pretrained: Folder, name: str) -> None:
    """Chosen rows, with repeats, go on each on its own; and the state they were chosen from is as it was."""
    ours, rows = generator(pretrained, name), tokens()
    expected = ours.features(rows)
    _, state = ours.read(rows[:, :8], ours.start(len(rows)))
    chosen = torch.tensor([4, 1, 1])
    other = rows[chosen].clone()
    other[2, 8:] = tokens(1, seed=2)[0, 8:]
    first = state.select(chosen)
    feature, further = ours.read(other[:, 8:12], first)
    ours.read(tokens(3, 4, seed=3), first)
    feature, _ = ours.read(other[:, 12:], further)
    assert torch.allclose(feature, ours.features(other)[:, -1], atol=1e-5)
    feature, _ = ours.read(rows[:, 8:], state)
    assert torch.allclose(feature, expected[:, -1], atol=1e-5)
    feature, _ = ours.read(rows[chosen], ours.start(5).select(chosen))
    assert torch.allclose(feature, expected[chosen, -1], atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_bf16_reads_as_it_computes(pretrained: Folder, name: str) -> None:
    ours, rows = generator(pretrained, name).bfloat16(), tokens()
    expected = ours.features(rows)
    assert expected.dtype == torch.bfloat16
    feature, state = ours.read(rows[:, :5], ours.start(len(rows)))
    for i in range(5, CONTEXT):
        feature, state = ours.read(rows[:, i : i + 1], state)
    assert torch.allclose(feature.float(), expected[:, -1].float(), atol=0.1)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3", "granite"])
def test_an_update_in_bf16_is_near_that_in_fp32(pretrained: Folder, name: str) -> None:
    batch = collate([(row, 2) for row in tokens().tolist()], 0)
    found = []
    for precision in ("fp32", "bf16"):
        ours = generator(pretrained, name)
        with Hardware("cpu", precision).autocast():
            loss = nll(ours, batch) / batch.mask.sum()
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in ours.parameters() if p.grad is not None])
        found.append((loss.item(), gradient))
    (exact, direction), (near, other) = found
    assert near == pytest.approx(exact, rel=0.01)
    assert torch.cosine_similarity(direction, other, 0) > 0.98


@every_architecture
def test_cold_samples_are_the_models_own_greedy_text(pretrained: Folder, name: str) -> None:
    """Prompts of several lengths, against transformers' generate one at a time."""
    ours = generator(pretrained, name)
    prompts = [tokens(1, length, seed=length)[0].tolist() for length in (3, 5, 9)]
    batch = collate([(row, len(row)) for row in prompts], 0)
    cold = Sampling(temperature=1e-4)
    drawn = sample(ours, batch, max_length=CONTEXT, eos=None, pad=0, seed=0, sampling=cold)
    for row, prompt in zip(drawn.tokens.tolist(), prompts, strict=True):
        theirs = ours.model.generate(
            torch.tensor([prompt]), do_sample=False, max_length=CONTEXT, eos_token_id=None, pad_token_id=0
        )
        assert row == theirs[0].tolist()


@every_architecture
def test_gradients_reach_every_weight(pretrained: Folder, name: str) -> None:
    ours = generator(pretrained, name)
    ours(tokens()).pow(2).sum().backward()
    assert [key for key, p in ours.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_flops_are_the_multiply_adds_of_a_forward_pass(pretrained: Folder, name: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    small = AutoConfig.from_pretrained(pretrained(name))
    if name != "gpt2":
        small.hidden_size, small.intermediate_size = 64, 128
    ours = PretrainedGenerator(AutoModelForCausalLM.from_config(small), CONTEXT).eval()
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        ours(tokens(3))
    # transformers' attention computes what the mask hides as well.
    assert ours.flops_per_token == pytest.approx(counter.get_total_flops() / (3 * CONTEXT), rel=0.08)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_the_states_size_is_what_the_cache_holds(pretrained: Folder, name: str) -> None:
    ours = generator(pretrained, name)
    _, state = ours.read(tokens(1, 7), ours.start(1))
    assert ours.state_size(7) == sum(layer.keys.numel() + layer.values.numel() for layer in state.cache.layers)


def settings(model: Path, **discriminator: Any) -> config.Config:
    return config.Config(
        generator=config.Generator(pretrained=str(model), context=CONTEXT),
        discriminator=config.Discriminator(**discriminator),
    )


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3"])
def test_a_saved_generator_comes_back_bit_by_bit_and_opens_in_plain_transformers(
    pretrained: Folder, name: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    whole = settings(pretrained(name))
    ours: Any = build_generator(whole, 300)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    shape = Architecture.of("generator", whole.generator, 300, whole.generator)
    save_player(tmp_path / "generator", ours, shape, temperature=0.7)
    found, architecture, facts = load_player(tmp_path / "generator")
    assert architecture == shape and shape.architecture == "pretrained" and facts == {"temperature": 0.7}
    assert [k for k, v in ours.state_dict().items() if not torch.equal(v, found.state_dict()[k])] == []
    assert len(list(found.parameters())) == len(list(ours.parameters()))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "generator").eval()
    assert torch.equal(plain(tokens()).logits, ours.model(tokens()).logits)
    assert [path.name for path in tmp_path.iterdir()] == ["generator"]
    assert not [path for path in (tmp_path / "generator").iterdir() if path.suffix not in (".json", ".safetensors")]


def test_a_saved_generator_that_is_damaged_is_one_sentence(pretrained: Folder, tmp_path: Path) -> None:
    whole = settings(pretrained("llama"))
    shape = Architecture.of("generator", whole.generator, 300, whole.generator)
    save_player(tmp_path / "g", build_generator(whole, 300), shape)
    weights = tmp_path / "g" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cut short or altered"):
        load_player(tmp_path / "g")
    weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        load_player(tmp_path / "g")


def test_a_transformer_discriminator_of_the_same_shape_starts_from_a_pretrained_gpt2(pretrained: Folder) -> None:
    ours = generator(pretrained, "gpt2")
    same = settings(pretrained("gpt2"), architecture="transformer", hidden=16, layers=2, heads=2)
    fresh: Any = build_discriminator(same, ours.output.out_features, ours)
    assert torch.equal(fresh.model["transformer"].wte.weight, ours.model.transformer.wte.weight)
    other: Any = build_discriminator(settings(pretrained("gpt2")), ours.output.out_features, ours)
    assert copy_where_shapes_agree(ours, other) == 0


def test_a_copy_learns_on_its_own(pretrained: Folder) -> None:
    """As the reference and the moving average of a game do."""
    ours = generator(pretrained, "llama")
    other = copy.deepcopy(ours)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert ours(tokens()).abs().sum() > 0
    assert other.output.weight is other.model.get_input_embeddings().weight


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.witness, "boom")


def test_pickled_weights_are_refused_and_not_opened(pretrained: Folder, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(pretrained("llama"), model)
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "witness")))
    with pytest.raises(UserError, match=r"pickled \(pytorch_model\.bin\), which mgan never opens"):
        load(str(model), CONTEXT)
    (model / "config.json.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(model), CONTEXT)
    assert not (tmp_path / "witness").exists()


def test_code_of_a_models_own_is_not_run(pretrained: Folder, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(pretrained("llama"), model)
    about = json.loads((model / "config.json").read_text())
    about |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
    (model / "config.json").write_text(json.dumps(about))
    (model / "own.py").write_text(f"open({str(tmp_path / 'witness')!r}, 'w').close()")
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(model), CONTEXT)
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("name", "context", "said"),
    [
        ("gemma2", 65, "generator.context=65 is more than the 64 positions of Gemma2ForCausalLM; set"),
        ("llama", 65, "generator.context=65 is more than the 64 positions of LlamaForCausalLM; set"),
    ],
)
def test_what_cannot_be_a_generator_is_refused_by_name(pretrained: Folder, name: str, context: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(str(pretrained(name)), context)


def test_a_model_without_its_output_layer_is_refused(pretrained: Folder, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(pretrained("qwen3"), model)
    weights = load_file(model / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "lm_head" not in k}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lacks weights of a Qwen3ForCausalLM \(lm_head\.weight"):
        load(str(model), CONTEXT)


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere/at-all", "cannot be loaded"), ("./nowhere", "no model's folder"), ("x.gguf", "no file")],
)
def test_a_name_of_nothing_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(name, CONTEXT)
