"""A network for each label as one generator, and a discriminator of classes that has to find the label in the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.tokenizers import FIRST_LABEL
from mgan.game.signals import final
from mgan.models.build import Architecture, build_generator, load_player, save_player
from mgan.models.classes import ClassDiscriminator
from mgan.models.logprobs import token_logprobs
from mgan.sampling.decode import sample
from mgan.sampling.rollouts import Plan, rollout_values
from mgan.types import Batch, collate

VOCABULARY, HIDDEN, LENGTH, K = 17, 8, 12, 3
KINDS = ("lstm", "relational")


def architecture(role: str, kind: str, labels: int = K) -> Architecture:
    return Architecture(
        role=role, architecture=kind, vocabulary=VOCABULARY, hidden=HIDDEN, layers=1, heads=2,  # type: ignore[arg-type]
        dropout=0.0, tied=False, context=LENGTH, labels=labels,
    )  # fmt: skip


def generator(kind: str) -> Any:
    torch.manual_seed(0)
    return architecture("generator", kind).build().eval()


def discriminator(kind: str) -> Any:
    torch.manual_seed(0)
    found: Any = architecture("discriminator", kind).build().eval()
    torch.nn.init.normal_(found.network.head.weight)
    return found


def texts(labels: tuple[int, ...] = (2, 0, 2, 1, 0), seed: int = 1) -> Tensor:
    """[B, L]: BOS, a label, anything that is no label."""
    free = torch.randint(
        FIRST_LABEL + K, VOCABULARY, (len(labels), LENGTH - 2), generator=torch.Generator().manual_seed(seed)
    )
    return torch.cat([torch.tensor([[1, FIRST_LABEL + j] for j in labels]), free], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_its_own_networks(kind: str) -> None:
    """The same networks apart, built from the same seed, say the same of the rows of their label."""
    together, rows = generator(kind), texts()
    torch.manual_seed(0)
    apart: list[Any] = [architecture("generator", kind, labels=0).build().eval() for _ in range(K)]
    said = together(rows)
    for i, label in enumerate((2, 0, 2, 1, 0)):
        assert torch.allclose(said[i, 1:], apart[label](rows[i : i + 1])[0, 1:], atol=1e-5)
    assert not torch.allclose(apart[0](rows), apart[1](rows), atol=1e-2)
    learned = sum(p.numel() for p in together.parameters())
    assert learned == sum(p.numel() for network in apart for p in network.parameters())
    body = apart[0].flops_per_token - 2 * HIDDEN * VOCABULARY
    assert together.flops_per_token == body + 2 * K * (HIDDEN + 1) * VOCABULARY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [1, 2, 5])
def test_reading_bit_by_bit_is_the_forward_pass(kind: str, first: int) -> None:
    player, rows = generator(kind), texts()
    expected = player.features(rows)
    feature, state = player.read(rows[:, :first], player.start(len(rows)))
    for i in range(first, LENGTH):
        assert torch.allclose(feature, expected[:, i - 1], atol=1e-5)
        feature, state = player.read(rows[:, i : i + 1], state)
    assert torch.allclose(feature, expected[:, -1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [0, 1, 6])
def test_chosen_rows_go_on_as_those_rows_and_the_state_stays(kind: str, read: int) -> None:
    player, rows = generator(kind), texts()
    state = player.start(len(rows))
    if read:
        _, state = player.read(rows[:, :read], state)
    for chosen in (torch.tensor([4, 1, 1, 2]), torch.tensor([0, 2]), torch.arange(5)):
        feature, _ = player.read(rows[chosen, read:9], state.select(chosen))
        assert torch.allclose(feature, player.features(rows)[chosen, 8], atol=1e-5)


def test_a_row_teaches_its_own_network_alone() -> None:
    player, rows = generator("lstm"), texts((1, 1))
    mask = torch.arange(LENGTH).expand(2, -1) >= 2
    token_logprobs(player, rows, mask).sum().backward()  # type: ignore[no-untyped-call]
    moved = [
        any(p.grad is not None and bool(p.grad.any()) for p in network.parameters()) for network in player.networks
    ]
    assert moved == [False, True, False]
    blocks = player.output.weight.grad.view(VOCABULARY, K, HIDDEN + 1).abs().sum((0, 2))
    assert blocks.tolist() == [0.0, pytest.approx(float(blocks[1])), 0.0] and blocks[1] > 0


def test_sampling_and_rollouts_are_of_the_rows_own_networks() -> None:
    player, judge = generator("lstm"), discriminator("seqgan")
    prompts = collate([([1, FIRST_LABEL + j, 9], 2) for j in (0, 1, 2, 1)], 0)
    drawn = sample(player, prompts, max_length=LENGTH, eos=2, pad=0, seed=3)
    again = token_logprobs(player, drawn.tokens, drawn.mask).detach()
    assert drawn.logprobs is not None and torch.allclose(again, drawn.logprobs, atol=1e-5)
    assert torch.equal(drawn.tokens[:, 1], prompts.tokens[:, 1])
    found = rollout_values(player, judge, drawn, torch.sigmoid, Plan(2, LENGTH, 2, 0), seed=0)
    assert torch.allclose(found.verdicts, judge.verdict(drawn.tokens, drawn.mask), atol=1e-5)
    assert found.values[drawn.mask].min() > 0


@pytest.mark.parametrize("kind", ["lstm", "cnn", "seqgan"])
def test_the_verdict_is_of_the_own_class_and_the_label_is_not_seen(kind: str) -> None:
    judge, rows = discriminator(kind), texts()
    mask = torch.arange(LENGTH).expand(len(rows), -1) >= 2
    logits, label = judge.classes(rows, mask)
    assert logits.shape == (5, K + 1) and label.tolist() == [2, 0, 2, 1, 0]
    share = logits.softmax(1).gather(1, label[:, None]).squeeze(1)
    assert torch.allclose(judge.verdict(rows, mask).sigmoid(), share, atol=1e-5)
    assert torch.allclose(final(judge(rows), mask), judge.verdict(rows, mask), atol=1e-5)
    other = rows.clone()
    other[:, 1] = FIRST_LABEL + 1
    assert torch.equal(judge.classes(other, mask)[0], logits)
    assert not torch.allclose(judge.verdict(other, mask), judge.verdict(rows, mask))


@pytest.mark.parametrize("kind", ["cnn", "seqgan"])
def test_what_is_said_of_rollouts_is_what_is_said_of_texts(kind: str) -> None:
    judge, rows = discriminator(kind), texts()
    row, given = torch.tensor([0, 1, 1, 4]), torch.tensor([2, 3, 6, 8])
    tokens = texts((2, 0, 0, 0), seed=5)
    tokens = torch.where(torch.arange(LENGTH) < given[:, None], rows[row], tokens)
    mask = torch.arange(LENGTH).expand(4, -1) >= 2
    found = judge.verdict_of_rollouts(rows, row, given, tokens, mask)
    assert torch.allclose(found, judge.verdict(tokens, mask), atol=1e-5)


def test_both_come_back_from_a_folder(tmp_path: Path) -> None:
    rows, mask = texts(), torch.arange(LENGTH).expand(5, -1) >= 2
    players: dict[str, Any] = {"generator": generator("lstm"), "discriminator": discriminator("cnn")}
    for role, player in players.items():
        save_player(tmp_path / role, player, architecture(role, "lstm" if role == "generator" else "cnn"))
        loaded, described, _ = load_player(tmp_path / role)
        assert described.labels == K
        ask = (lambda p: p(rows)) if role == "generator" else (lambda p: p.verdict(rows, mask))
        assert torch.equal(ask(loaded), ask(player))


def test_a_run_without_the_fields_has_one_network() -> None:
    settings = Config.model_validate({"prompt": {"source": "label"}, "generator": {"hidden": 8}})
    assert type(build_generator(settings, VOCABULARY, labels=K)).__name__ == "LSTMGenerator"
    judged = Architecture.in_run("discriminator", settings, VOCABULARY, K).build()
    assert not isinstance(judged, ClassDiscriminator)


def test_a_batch_of_one_label() -> None:
    batch = Batch(texts((1, 1)), torch.arange(LENGTH).expand(2, -1) >= 2, torch.tensor([2, 2]))
    assert generator("lstm").features(batch.tokens).shape == (2, LENGTH, K * (HIDDEN + 1))
