"""Rollouts against enumeration: what a prefix is worth is a sum over everything that may follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from mgan.game.values import nonsaturating, reverse_kl
from mgan.models.build import Architecture, Role
from mgan.models.protocols import Discriminator, Generator
from mgan.sampling.decode import sample
from mgan.sampling.rollouts import Plan, Rollouts, rollout_values, waves
from mgan.types import Batch, collate

PAD, BOS, EOS, A, B = range(5)
V, LONGEST = 5, 6


def codes(tokens: Tensor) -> Tensor:
    """[..., L] -> [..., L]: one number for every prefix."""
    return torch.stack([(tokens[..., : i + 1] * V ** torch.arange(i + 1)).sum(-1) for i in range(tokens.shape[-1])], -1)


@dataclass(frozen=True)
class Read:
    """What has been read: the prefix itself. tokens: [B, length]."""

    tokens: Tensor

    def select(self, index: Tensor) -> Read:
        return Read(self.tokens[index])


class Tabular(nn.Module):
    """Any next-token distribution for every prefix, over A, B and EOS."""

    flops_per_token = 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.randn(V**LONGEST, V)
        self.table[:, [PAD, BOS]] = -torch.inf
        self.output = nn.Linear(V, V, bias=False)
        nn.init.eye_(self.output.weight)
        self.most_rows = 0

    def start(self, rows: int) -> Read:
        return Read(torch.empty(rows, 0, dtype=torch.long))

    def state_size(self, length: int) -> int:
        return length

    def read(self, tokens: Tensor, state: Read) -> tuple[Tensor, Read]:
        assert not self.training
        self.most_rows = max(self.most_rows, len(tokens))
        known = torch.cat([state.tokens, tokens], 1)
        # An embedding of infinities would make 0 * inf of the identity product.
        return self.table[codes(known)[:, -1]].clamp(min=-1e9), Read(known)


class Opinion(nn.Module):
    """Any logit for every text."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = 2 * torch.randn(V**LONGEST)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        assert not self.training
        number = (
            tokens * V ** torch.arange(tokens.shape[1]) * (torch.arange(tokens.shape[1]) <= last(mask)[:, None])
        ).sum(1)
        return self.table[number]


def last(mask: Tensor) -> Tensor:
    return torch.where(mask, torch.arange(mask.shape[1]), 0).amax(1)


def worth(generator: Tabular, discriminator: Opinion, prefix: list[int], eos: int | None) -> float:
    """The exact expectation of the payoff of the text that begins so."""
    if prefix[-1] == eos or len(prefix) == LONGEST:
        tokens = torch.tensor([prefix])
        return float(nonsaturating(discriminator.verdict(tokens, torch.ones_like(tokens, dtype=torch.bool))))
    chance = generator.table[codes(torch.tensor(prefix))[-1]].softmax(-1).tolist()
    follow = ((p, worth(generator, discriminator, [*prefix, token], eos)) for token, p in enumerate(chance) if p > 0)
    return sum(p * value for p, value in follow)


def plan(count: int, eos: int | None = EOS, **changes: Any) -> Plan:
    return Plan(count, LONGEST, eos, PAD, **changes)


@pytest.fixture(scope="module")
def players() -> tuple[Any, Any]:
    return Tabular().eval(), Opinion().eval()


@pytest.fixture(scope="module")
def samples() -> Batch:
    """Ended by EOS early and late, cut at LONGEST, of one token, after a prompt."""
    rows = [([BOS, A, B, A, EOS], 1), ([BOS, B, EOS], 1), ([BOS, A, A, B, B, A], 1), ([BOS, EOS], 1)]
    return collate([*rows, ([BOS, A, B, B, A, EOS], 3), ([BOS, B, B, A, B, B], 4)], PAD).rows(slice(None))


@pytest.mark.parametrize("eos", [EOS, None])
def test_each_prefix_gets_what_its_completions_earn(players: Any, samples: Batch, eos: int | None) -> None:
    """Of 3,000 rollouts a mean is 0.03 off or so; that of another row or place is far off."""
    generator, discriminator = players
    if eos is None:
        samples = sample(generator, samples, max_length=LONGEST, eos=None, pad=PAD)
    found = rollout_values(generator, discriminator, samples, nonsaturating, plan(3000, eos), seed=3).values
    exact = torch.zeros_like(found)
    for b, i in samples.mask.nonzero().tolist():
        prefix = samples.tokens[b, : i + 1].tolist()
        exact[b, i] = worth(generator, discriminator, prefix, eos)
    assert (found - exact).abs().max() < 0.15
    assert torch.equal(found != 0, samples.mask)
    # The test can tell rows and places apart: everything but the identity is wrong.
    shuffled = found.T.reshape(found.shape)
    for wrong in (shuffled, found.roll(1, 0), found.roll(1, 1)):
        assert (wrong - exact)[samples.mask].abs().mean() > 0.3


def texts_of(found: list[Rollouts]) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    texts: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for wave in found:
        for r in range(len(wave.row)):
            text = wave.texts.tokens[r, : int(wave.texts.lengths[r])].tolist()
            texts.setdefault((int(wave.row[r]), int(wave.position[r])), []).append(tuple(text))
    return texts


def test_rollouts_begin_as_their_sample_does_and_end_as_a_sample_would(players: Any, samples: Batch) -> None:
    found = texts_of(list(waves(players[0], samples, plan(7), seed=0)))
    expected = [(b, i) for b, i in samples.mask.nonzero().tolist() if i < int(samples.lengths[b]) - 1]
    assert sorted(found) == sorted(expected)
    for (b, i), texts in found.items():
        assert len(texts) == 7
        for text in texts:
            assert text[: i + 1] == tuple(samples.tokens[b, : i + 1].tolist())
            assert len(text) > i + 1 and EOS not in text[i + 1 : -1]
            assert text[-1] == EOS or len(text) == LONGEST


def test_the_mask_of_a_rollout_is_what_was_not_given(players: Any, samples: Batch) -> None:
    (wave,) = waves(players[0], samples, plan(3), seed=0)
    start = samples.prompt_length[wave.row]
    assert torch.equal(wave.texts.prompt_length, start)
    for r in range(len(wave.row)):
        place = wave.texts.mask[r].nonzero().squeeze(1).tolist()
        assert place == list(range(int(start[r]), int(start[r]) + len(place)))
        assert (wave.texts.tokens[r, place[-1] + 1 :] == PAD).all()


@pytest.mark.parametrize("budget", [1, 700, 3000])
def test_a_budget_changes_nothing_but_the_rows_in_flight(players: Any, samples: Batch, budget: int) -> None:
    generator, discriminator = players
    whole = rollout_values(generator, discriminator, samples, nonsaturating, plan(8), seed=5)
    everything = texts_of(list(waves(generator, samples, plan(8), seed=5)))
    generator.most_rows = 0
    found = rollout_values(generator, discriminator, samples, nonsaturating, plan(8, budget=budget), seed=5)
    row_bytes = 9 * LONGEST + 8 * LONGEST
    assert generator.most_rows <= max(2, budget // row_bytes)
    assert torch.allclose(found.values, whole.values, atol=1e-6)
    assert (found.written, found.judged) == (whole.written, whole.judged)
    parts = texts_of(list(waves(generator, samples, plan(8, budget=budget), seed=5)))
    assert {place: sorted(texts) for place, texts in parts.items()} == {
        place: sorted(texts) for place, texts in everything.items()
    }


def test_another_seed_is_another_draw_and_a_row_does_not_depend_on_its_neighbours(players: Any, samples: Batch) -> None:
    def values(batch: Batch, seed: int) -> Tensor:
        return rollout_values(*players, batch, nonsaturating, plan(8), seed).values

    assert not torch.equal(values(samples, 0), values(samples, 1))
    alone = samples.rows(slice(0, 1))
    assert torch.allclose(values(samples, 0)[:1, : alone.tokens.shape[1]], values(alone, 0), atol=1e-6)


def test_what_is_written_and_judged_is_counted(players: Any, samples: Batch) -> None:
    found = rollout_values(*players, samples, nonsaturating, plan(4), seed=0)
    texts = texts_of(list(waves(players[0], samples, plan(4), seed=0)))
    assert found.written == sum(len(text) - i - 1 for (_, i), some in texts.items() for text in some)
    assert found.judged == int(samples.lengths.sum()) + sum(len(text) for some in texts.values() for text in some)


def test_texts_of_one_token_have_nothing_to_complete(players: Any) -> None:
    samples = collate([([BOS, EOS], 1), ([BOS, A, EOS], 2)], PAD)
    found = rollout_values(*players, samples, nonsaturating, plan(4), seed=0)
    own = nonsaturating(players[1].verdict(samples.tokens, samples.mask))
    assert torch.allclose(found.values.sum(1), own) and found.written == 0


@pytest.mark.parametrize("writer", ["lstm", "transformer"])
@pytest.mark.parametrize("judge", ["lstm", "cnn", "transformer", "seqgan"])
def test_every_pair_of_players(writer: str, judge: str) -> None:
    """The values are the means of the discriminator's own logits at the ends of the very texts that were written."""
    torch.manual_seed(2)
    shape: dict[str, Any] = {
        "vocabulary": 30,
        "hidden": 8,
        "layers": 1,
        "heads": 2,
        "dropout": 0.4,
        "tied": True,
        "context": 24,
    }
    roles: tuple[tuple[Role, str], ...] = (("generator", writer), ("discriminator", judge))
    built = [Architecture(role=role, architecture=architecture, **shape).build() for role, architecture in roles]
    with torch.no_grad():
        for player in built:
            for parameter in player.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    generator, discriminator = cast(Generator, built[0]), cast(Discriminator, built[1])
    prompts = collate([([BOS], 1), ([BOS, 7, 8], 3), ([BOS], 1)], PAD)
    samples = sample(generator, prompts, max_length=24, eos=EOS, pad=PAD, seed=1)
    settings = Plan(count=5, max_length=24, eos=EOS, pad=PAD)
    generator.train(), discriminator.train()
    found = rollout_values(generator, discriminator, samples, reverse_kl, settings, seed=4)
    assert generator.training and discriminator.training
    generator.eval(), discriminator.eval()
    (wave,) = waves(generator, samples, settings, seed=4)
    with torch.no_grad():
        logits = discriminator(wave.texts.tokens)[torch.arange(len(wave.row)), last(wave.texts.mask)]
        own = discriminator(samples.tokens)[torch.arange(3), last(samples.mask)]
    expected = torch.zeros_like(found.values)
    expected.index_put_((wave.row, wave.position), logits / 5, accumulate=True)
    expected[torch.arange(3), last(samples.mask)] = own
    assert torch.allclose(found.values, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(found.verdicts, own, rtol=1e-4, atol=1e-4)
    assert found.values[samples.mask].std() > 0.01
