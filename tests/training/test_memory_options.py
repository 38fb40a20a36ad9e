"""What saves memory changes no numbers: recomputed activations, players that take turns, one optimizer for all."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mgan.config import Adversarial, Config, Game, Memory
from mgan.data import tokenizers
from mgan.data.examples import Example
from mgan.data.rows import encode
from mgan.fit.compute import Ledger, of_update
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.fit.offload import CPU, Stage
from mgan.fit.optimizers import adamw
from mgan.models.build import build_discriminator, build_generator
from mgan.models.recompute import Recomputed
from mgan.sampling.decode import sample
from mgan.training.players import Average, GeneratorUpdate
from mgan.training.warmup import Warmup
from mgan.training.world import Alphabet, World
from mgan.types import Batch, UserError

Folder = Callable[[str], Path]
TOKENS = torch.arange(1, 33).view(4, 8) * 5 % 200
MASK = torch.arange(8).expand(4, -1) > 2
TEXTS = Batch(TOKENS, MASK, torch.full((4,), 3))
PROMPTS = Batch(TOKENS[:, :3], torch.zeros(4, 3, dtype=torch.bool), torch.full((4,), 3))


def settings(folder: Path, rank: int = 0, judge: Path | None = None, kind: str = "causal", **memory: Any) -> Config:
    tree: dict[str, Any] = {
        "generator": {"pretrained": str(folder), "context": 16, "lora": {"rank": rank, "dropout": 0.1 if rank else 0}},
        "game": {"signal": "sequence"},
        "memory": memory,
        "adversarial": {"prompts_per_step": 4, "samples_per_prompt": 1},
    }
    if judge is not None:
        own = kind != "features"
        tree["discriminator"] = {
            "architecture": kind, "pretrained": str(judge), "hidden": 8, "lora": {"rank": rank if own else 0},
        }  # fmt: skip
    return Config.model_validate(tree)


def build(folder: Path, rank: int = 0, **memory: Any) -> Any:
    torch.manual_seed(1)
    return build_generator(settings(folder, rank, **memory), 330)


def world(folder: Path, hardware: Hardware | None = None, rank: int = 4, **options: Any) -> World:
    tokenizer = tokenizers.pretrained(str(folder), "plain", False)
    texts = [Example("", f"the {animal} sees the {thing}.") for animal in ("cat", "dog", "fox") for thing in "abcd"]
    rows = encode(texts, tokenizer, 16)
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad, tokenizer)
    return World.create(settings(folder, rank, **options), hardware or Hardware("cpu"), alphabet, (rows, rows, rows))


def gradients(player: Any, train: bool, loss: Callable[[Any], torch.Tensor]) -> list[torch.Tensor]:
    player.train(train)
    player.zero_grad()
    torch.manual_seed(7)
    loss(player).backward()
    return [p.grad.clone() for p in player.parameters() if p.grad is not None]


# --- checkpointing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3"])
def test_recomputed_activations_change_no_gradient(name: str, rank: int, train: bool, pretrained: Folder) -> None:
    """Dropout included, and in eval mode too, in which a policy gradient is taken."""
    kept, again = (build(pretrained(name), rank, checkpointing=on) for on in (False, True))
    found = [gradients(player, train, lambda player: nll(player, TEXTS)) for player in (kept, again)]
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ["causal", "classifier"])
def test_a_judges_activations_are_recomputed(kind: str, tiny_gpt: Path, tiny_bert: Path) -> None:
    judge, tokenizer = tiny_gpt if kind == "causal" else tiny_bert, tokenizers.pretrained(str(tiny_gpt), "plain", False)
    found = []
    for on in (False, True):
        torch.manual_seed(1)
        config = settings(tiny_gpt, 0, judge, kind, checkpointing=on)
        player = build_discriminator(config, 330, nn.Identity(), tokenizer)  # type: ignore[arg-type]
        found.append(gradients(player, True, lambda player: player.verdict(TOKENS, MASK).square().sum() + 1))
    assert len(found[0]) > 5 and all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_fewer_numbers_are_kept_for_the_backward_pass(pretrained: Folder) -> None:
    sizes = []
    for on in (False, True):
        player, kept = build(pretrained("llama"), checkpointing=on), [0]

        def pack(tensor: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            kept[0] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            player.features(TOKENS)
        sizes.append(kept[0])
    assert sizes[1] < sizes[0] / 2


def test_sampling_and_copies_are_as_without(pretrained: Folder) -> None:
    plain, saving = (build(pretrained("llama"), checkpointing=on) for on in (False, True))
    written = [sample(player, PROMPTS, max_length=12, eos=None, pad=0, seed=3) for player in (plain, saving)]
    assert torch.equal(written[0].tokens, written[1].tokens)
    twin = copy.deepcopy(saving)
    with torch.no_grad():
        next(iter(twin.parameters())).add_(1.0)
    assert not torch.allclose(twin(TOKENS), saving(TOKENS))
    layers = [m.forward.layer for m in twin.modules() if isinstance(getattr(m, "forward", None), Recomputed)]
    assert layers and all(layer in set(twin.modules()) for layer in layers)


# --- optimizers -----------------------------------------------------------------------------------------------------


def test_only_what_learns_has_moments(pretrained: Folder) -> None:
    player = build(pretrained("llama"), 4)
    optimizer = adamw(player, Hardware("cpu"), 0.1)
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert given == {id(p) for p in player.parameters() if p.requires_grad}


def test_adamw_without_decay_is_adam() -> None:
    weights = [nn.Linear(3, 2) for _ in range(2)]
    weights[1].load_state_dict(weights[0].state_dict())
    ours = adamw(weights[0], Hardware("cpu"), 0.1)  # type: ignore[arg-type]
    theirs = torch.optim.Adam(weights[1].parameters(), lr=0.1, fused=True)
    for layer, optimizer in zip(weights, (ours, theirs), strict=True):
        for step in range(3):
            optimizer.zero_grad()
            (layer(torch.full((1, 3), float(step))) ** 2).sum().backward()
            optimizer.step()
    assert torch.equal(weights[0].weight, weights[1].weight)


class CUDA:
    """Hardware that says it has a GPU; nothing is computed on it."""

    device, memory, stage = torch.device("cuda"), Memory(optimizer="adamw_8bit"), None


def test_eight_bits_need_a_gpu_and_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    layer: Any = nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"works on a CUDA device, and this is cpu: set memory\.optimizer=adamw$"):
        adamw(layer, Hardware("cpu", memory=Memory(optimizer="adamw_8bit")), 0.1)
    here: Any = CUDA()
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"needs the package bitsandbytes: pip install 'mgan\[memory\]'"):
        adamw(layer, here, 0.1)
    package: Any = types.ModuleType("bitsandbytes")
    package.optim = types.SimpleNamespace(AdamW8bit=lambda parameters, **options: (len(parameters), options))
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    assert adamw(layer, here, 0.1, 0.2) == (2, {"lr": 0.1, "weight_decay": 0.2})


# --- offloading -----------------------------------------------------------------------------------------------------


def test_players_take_turns(pretrained: Folder, tiny_gpt: Path) -> None:
    """Reading brings a player in, and sends the other out; reading on moves nothing."""
    first, second = build(pretrained("llama")), build(tiny_gpt)
    stage = Stage(CPU)
    came: list[Any] = []
    stage._move = lambda player, device, staying: came.append(player)  # type: ignore[method-assign,assignment]
    stage.admit(first)
    stage.admit(second)
    assert came == [first, second] and stage.present is None
    came.clear()
    first.features(TOKENS)
    first.read(TOKENS[:, :2], first.start(4))
    assert came == [first] and stage.present is first
    sample(second, PROMPTS, max_length=6, eos=None, pad=0)
    assert came == [first, first, second] and stage.present is second
    twin = copy.deepcopy(first)
    twin.features(TOKENS)
    assert came[3:] == [second, twin] and stage.present is twin


def test_what_moves_keeps_its_identity_its_moments_and_what_is_shared() -> None:
    """A precision stands for a device: weights go there and back by the same call."""
    there: Any = torch.float64
    base, mine, yours = (nn.Parameter(torch.ones(2)) for _ in range(3))
    one, two = nn.ParameterList([base, mine]), nn.ParameterList([base, yours])
    stage = Stage(there)
    optimizer = torch.optim.AdamW([mine], lr=0.1, fused=True)
    stage.accompany(optimizer)
    mine.grad = torch.ones(2)
    optimizer.step()
    stage._move(one, there, list(two.parameters()))
    assert base.dtype == yours.dtype == torch.float32 and mine.dtype == there and one[1] is mine
    assert mine.grad.dtype == there and {value.dtype for value in optimizer.state[mine].values()} == {there}
    optimizer.step()
    stage._move(one, torch.float32, ())  # type: ignore[arg-type]
    assert mine.dtype == torch.float32 and torch.allclose(mine, torch.tensor(0.8 - 0.1 * 0.01), atol=2e-2)


def test_offloading_on_a_cpu_changes_nothing_and_says_so(pretrained: Folder) -> None:
    hardware = Hardware("cpu", memory=Memory(offload=True))
    made = world(pretrained("llama"), hardware, offload=True)
    assert hardware.stage is None and made.notes == [
        "memory.offload has no effect: the players are in the CPU's memory already"
    ]


def test_a_game_on_a_stage_is_the_same_game(pretrained: Folder, tiny_gpt: Path) -> None:
    """A warm-up and an update of both players, with players that come and go."""
    found = []
    for stage in (None, Stage(CPU)):
        hardware = Hardware("cpu")
        hardware.stage = stage
        made = world(pretrained("llama"), hardware, judge=tiny_gpt)
        made.keep("pretrained", made.generator)
        warm = Warmup(made)
        warm.begin()
        metrics = [warm.step(), warm.step()]
        ledger = Ledger()
        update = GeneratorUpdate(made.generator, Adversarial(generator_rate=0.01), Game(), hardware, ledger)
        real = made.batches(made.train, 1).at(0)
        update(real, real.mask.float(), real)
        average = Average(made.restored("pretrained"), 0.5)
        average.follow(made.generator)
        found.append((metrics, made.generator.state_dict(), average.module.state_dict()))
    assert found[0][0] == found[1][0]
    for plain, staged in zip(found[0][1:], found[1][1:], strict=True):
        assert plain.keys() == staged.keys() and all(torch.equal(plain[k], staged[k]) for k in plain)


# --- no second copy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["causal", "classifier"])
def test_a_world_has_one_base(kind: str, pretrained: Folder, tiny_gpt: Path, tiny_bert: Path) -> None:
    """Reference, average and every new discriminator share it; what is kept is what learns."""
    made = world(pretrained("llama"), judge=tiny_gpt if kind == "causal" else tiny_bert, kind=kind)
    made.keep("pretrained", made.generator)
    reference = made.restored("pretrained").requires_grad_(False)
    assert all(p.requires_grad == (n in made.generator.adapter.learns) for n, p in made.generator.named_parameters())  # type: ignore[attr-defined]
    learns = sum(p.numel() for p in made.generator.parameters() if p.requires_grad)
    assert sum(t.numel() for t in made.kept["pretrained"].values()) == learns + 16
    own = {id(p): p.numel() for p in made.generator.parameters()}
    both = own | {id(p): p.numel() for p in reference.parameters()}
    assert sum(both.values()) == sum(own.values()) + learns
    fresh = made.new_discriminator()
    shared = {id(p) for p in fresh.parameters()} & {id(p) for p in made.discriminator.parameters()}
    assert len(shared) == sum(not p.requires_grad for p in fresh.parameters()) > 0


def test_an_average_follows_what_learns(pretrained: Folder) -> None:
    made = world(pretrained("llama"))
    made.keep("pretrained", made.generator)
    average = Average(made.restored("pretrained"), 0.75)
    before = {n: p.detach().clone() for n, p in average.module.named_parameters()}  # type: ignore[attr-defined]
    with torch.no_grad():
        for parameter in made.generator.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    average.follow(made.generator)
    for name, parameter in average.module.named_parameters():  # type: ignore[attr-defined]
        moved = 0.25 if name in made.generator.adapter.learns else 0.0  # type: ignore[attr-defined]
        assert torch.allclose(parameter, before[name] + moved, atol=1e-6)


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_an_update_costs_what_is_computed(pretrained: Folder, tiny_gpt: Path, tiny_bert: Path) -> None:
    """3 forward passes where all learns, 2 and the share that learns with LoRA, 1 on frozen features and 3 above."""
    whole, adapted = build(pretrained("llama")), build(pretrained("llama"), 4)
    assert of_update(whole) == 3 * whole.flops_per_token
    learns = [p.numel() for p in adapted.parameters() if p.requires_grad]
    share = sum(learns) / sum(p.numel() for p in adapted.parameters())
    assert 0 < share < 0.4 and of_update(adapted) == pytest.approx((2 + share) * adapted.flops_per_token)
    tokenizer = tokenizers.pretrained(str(tiny_gpt), "plain", False)
    config = settings(tiny_gpt, 0, tiny_bert, "features")
    judge = build_discriminator(config, 330, nn.Identity(), tokenizer)  # type: ignore[arg-type]
    ledger = Ledger()
    ledger.taught(judge, 100, 4)
    assert ledger.flops == 100 * judge.flops_per_token + 3 * 4 * judge.flops_per_verdict
