"""The generator's step goes where the policy gradient points, and the discriminator's leaves the generator alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Adversarial, Game
from mgan.fit.classifier import DiscriminatorUpdate
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.sampling.decode import Sampling, sample
from mgan.training.players import GeneratorUpdate
from mgan.types import Batch, collate

PAD, BOS, EOS = range(3)
V, TEMPERATURE = 9, 0.8


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware()


def generator() -> LSTMGenerator:
    torch.manual_seed(0)
    return LSTMGenerator(V, 8, dropout=0.5)


def written(by: LSTMGenerator, rows: int = 12) -> Batch:
    prompts = collate([([BOS, *[3] * (i % 3)], 1 + i % 3) for i in range(rows)], PAD)
    return sample(by, prompts, max_length=10, eos=EOS, pad=PAD, seed=4, sampling=Sampling(TEMPERATURE))


def real(rows: int = 12) -> Batch:
    return collate([([BOS, *[4 + i % 4] * (1 + i % 5), EOS], 1) for i in range(rows)], PAD)


def update(player: LSTMGenerator, hardware: Hardware, **changes: Any) -> GeneratorUpdate:
    settings = Adversarial(**{"temperature": TEMPERATURE, "clip": 1e9} | changes)
    return GeneratorUpdate(player, settings, Game(mle=0.0), hardware, Ledger())


def gradient(player: LSTMGenerator) -> list[Tensor]:
    return [p.grad for p in player.parameters() if p.grad is not None]


@pytest.mark.parametrize("micro_batches", [1, 5])
def test_the_step_is_up_the_weighted_logprobs_of_a_text_in_eval_mode(hardware: Hardware, micro_batches: int) -> None:
    player = generator()
    samples = written(player)
    torch.manual_seed(1)
    weights = torch.randn(samples.tokens.shape)
    table = (player.eval()(samples.tokens[:, :-1]) / TEMPERATURE).log_softmax(-1)
    chosen = table.gather(2, samples.tokens[:, 1:, None]).squeeze(2)[samples.mask[:, 1:]]
    loss = -(weights[:, 1:][samples.mask[:, 1:]] * chosen).sum() / len(samples)
    loss.backward()
    wanted = [p.clone() for p in gradient(player)]
    found = update(player, hardware, micro_batches=micro_batches)(samples, weights, real())
    assert found == {"g_loss": pytest.approx(float(loss.detach()), rel=1e-5)}
    for ours, plain in zip(gradient(player), wanted, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)


def test_the_discriminators_step_never_reaches_the_generator(hardware: Hardware) -> None:
    player = generator()
    samples = written(player)
    assert samples.logprobs is not None and not samples.logprobs.requires_grad
    torch.manual_seed(0)
    discriminator = LSTMDiscriminator(V, 8)
    step = DiscriminatorUpdate(
        discriminator, learning_rate=0.1, clip=1.0, signal="dense", hardware=hardware, ledger=Ledger()
    )
    step(real(), samples)
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in discriminator.parameters())
    assert all(p.grad is None for p in player.parameters())
