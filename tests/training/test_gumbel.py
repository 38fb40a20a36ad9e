"""Both players' relativistic gradients against plain autograd, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.game.values import relativistic
from mgan.models import relgan
from mgan.models.relational import RelationalGenerator
from mgan.models.relgan import RelGANDiscriminator
from mgan.sampling.soft import SoftBatch, soft_sample
from mgan.training import gumbel
from mgan.types import Batch, collate

V, ROWS = 12, 5


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relgan, "FILTERS", 6)
    monkeypatch.setattr(gumbel, "PIECE", 2)


def players() -> tuple[RelationalGenerator, RelGANDiscriminator, SoftBatch, Batch]:
    torch.manual_seed(0)
    generator = RelationalGenerator(V, 8).double()
    discriminator = RelGANDiscriminator(V, 8, 4, dropout=0.0).double()
    torch.nn.init.normal_(discriminator.head.weight)
    prompts = collate([([1], 1)] * ROWS, 0)
    written = soft_sample(generator, prompts, max_length=7, eos=2, pad=0)
    real = collate([([1, *torch.randint(3, V, (n,)).tolist()], 1) for n in (6, 4, 8, 1, 7)], 0)
    return generator, discriminator, written, real


def whole(discriminator: RelGANDiscriminator, embedded: Tensor, batch: Batch) -> Tensor:
    return discriminator.judge(embedded, batch.mask)


def test_the_discriminator_learns_its_loss_and_the_generator_nothing() -> None:
    generator, discriminator, written, real = players()
    parameters = list(discriminator.parameters())
    judged_real = whole(discriminator, discriminator.embedding(real.tokens), real)
    fake = whole(discriminator, written.embedded(discriminator.embedding.weight), written.batch)
    loss = relativistic(judged_real, fake).mean()
    expected = torch.autograd.grad(loss, parameters)
    assert gumbel.teach_discriminator(discriminator, written, real) == pytest.approx(float(loss.detach()))
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert parameter.grad is not None and torch.allclose(parameter.grad, gradient, atol=1e-10)
    assert all(p.grad is None for p in generator.parameters())


@pytest.mark.parametrize("straight_through", [False, True])
def test_the_generator_learns_its_loss_and_the_discriminator_nothing(straight_through: bool) -> None:
    generator, discriminator, written, real = players()
    parameters = list(generator.parameters())
    judged_real = whole(discriminator, discriminator.embedding(real.tokens), real)
    soft = written.attached(discriminator.embedding.weight, straight_through)
    loss = relativistic(whole(discriminator, soft, written.batch), judged_real).mean()
    expected = torch.autograd.grad(loss, parameters, retain_graph=True)
    found = gumbel.teach_generator(discriminator, written, real, straight_through)
    assert found == pytest.approx(float(loss.detach()))
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert parameter.grad is not None and torch.allclose(parameter.grad, gradient, atol=1e-10)
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_what_was_frozen_stays_frozen() -> None:
    _, discriminator, written, real = players()
    discriminator.embedding.requires_grad_(False)
    gumbel.teach_generator(discriminator, written, real)
    assert not discriminator.embedding.weight.requires_grad and discriminator.highway.weight.requires_grad


def test_a_generator_that_is_paid_by_a_discriminator_writes_what_it_likes() -> None:
    """D prefers one token; a few steps of the soft gradient make the generator write it."""
    torch.manual_seed(1)
    generator = RelationalGenerator(V, 16)
    discriminator = RelGANDiscriminator(V, 4, 4, dropout=0.0)
    prompts, optimizer = collate([([1], 1)] * 32, 0), torch.optim.Adam(generator.parameters(), lr=0.02)
    liked = collate([([1, 5, 5, 5, 5, 5], 1)] * 32, 0)
    other = collate([([1, *torch.randint(0, V, (5,)).tolist()], 1) for _ in range(32)], 0)
    learning = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(30):
        learning.zero_grad()
        judged = [discriminator.verdict(texts.tokens, texts.mask) for texts in (liked, other)]
        relativistic(*judged).mean().backward()  # type: ignore[no-untyped-call]
        learning.step()
    shares = []
    for step in range(25):
        written = soft_sample(generator, prompts, max_length=6, eos=None, pad=0, seed=step)
        shares.append(float((written.batch.tokens[:, 1:] == 5).float().mean()))
        optimizer.zero_grad()
        gumbel.teach_generator(discriminator, written, liked)
        optimizer.step()
    assert shares[0] < 0.3 and shares[-1] > 0.6
