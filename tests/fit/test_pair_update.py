"""The update of a discriminator that compares: its gradient, pairs kept together in pieces, and what it learns."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.pairs import PairUpdate
from mgan.game.pairs import PAIR_LOSSES, preference
from mgan.models.lstm import LSTMDiscriminator
from mgan.types import Batch, collate

PAD, BOS, EOS, V = 0, 1, 2, 9
PROMPTS, SAMPLES = 5, 3


def texts(seed: int, rows: int, tokens: tuple[int, int]) -> Batch:
    source = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (rows,), generator=source).tolist()
    drawn = [torch.randint(*tokens, (n,), generator=source).tolist() for n in lengths]
    return collate([([BOS, *row, EOS], 1) for row in drawn], PAD)


def discriminator() -> LSTMDiscriminator:
    torch.manual_seed(0)
    player = LSTMDiscriminator(V, 8, dropout=0.0)
    torch.nn.init.normal_(player.head.weight)
    return player


def update(player: LSTMDiscriminator, loss: str, **changes: Any) -> PairUpdate:
    options: dict[str, Any] = {"learning_rate": 0.05, "clip": 1e9, "hardware": Hardware("cpu"), "ledger": Ledger()}
    return PairUpdate(player, PAIR_LOSSES[loss], **options | changes)


@pytest.mark.parametrize("micro_batches", [1, 2, 9])
@pytest.mark.parametrize("loss", sorted(PAIR_LOSSES))
def test_the_step_is_down_the_mean_over_prompts_however_it_is_cut(loss: str, micro_batches: int) -> None:
    player, twin = discriminator(), discriminator()
    real, fake = texts(1, PROMPTS, (3, V)), texts(2, PROMPTS * SAMPLES, (3, V))
    d_real = twin.verdict(real.tokens, real.mask)
    d_fake = twin.verdict(fake.tokens, fake.mask).view(PROMPTS, SAMPLES)
    expected = PAIR_LOSSES[loss](d_real, d_fake).mean()
    expected.backward()
    ledger = Ledger()
    found = update(player, loss, micro_batches=micro_batches, ledger=ledger)(real, fake)
    assert found["d_loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert found["train_accuracy"] == pytest.approx(preference(d_real, d_fake))
    assert ledger.flops > 0
    for ours, theirs in zip(player.parameters(), twin.parameters(), strict=True):
        assert theirs.grad is None or torch.allclose(ours.grad, theirs.grad, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", sorted(PAIR_LOSSES))
def test_it_learns_to_prefer_real_texts(loss: str) -> None:
    player = discriminator()
    step = update(copy.deepcopy(player), loss)
    before = step(texts(1, PROMPTS, (3, 6)), texts(2, PROMPTS * SAMPLES, (5, V)))
    for n in range(30):
        step(texts(10 + n, PROMPTS, (3, 6)), texts(50 + n, PROMPTS * SAMPLES, (5, V)))
    after = step(texts(3, PROMPTS, (3, 6)), texts(4, PROMPTS * SAMPLES, (5, V)))
    assert after["d_loss"] < 0.7 * before["d_loss"] and after["train_accuracy"] > 0.8
