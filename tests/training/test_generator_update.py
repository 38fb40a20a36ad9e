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
from mgan.models.logprobs import token_logprobs
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.sampling.decode import Sampling, sample
from mgan.training.players import GeneratorUpdate, advantages
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


def update(player: LSTMGenerator, hardware: Hardware, game: Game | None = None, **changes: Any) -> GeneratorUpdate:
    settings = Adversarial(**{"temperature": TEMPERATURE, "clip": 1e9} | changes)
    return GeneratorUpdate(player, settings, game or Game(mle=0.0), hardware, Ledger())


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


def drawn(player: LSTMGenerator) -> tuple[Batch, Tensor, Tensor]:
    """Samples, advantages, and the logprobs of another generator."""
    samples = written(player)
    torch.manual_seed(1)
    weights = torch.where(samples.mask, torch.randn(samples.tokens.shape), 0.0)
    other = LSTMGenerator(V, 8).eval()
    return samples, weights, token_logprobs(other, samples.tokens, samples.mask, TEMPERATURE).detach()


@pytest.mark.parametrize("micro_batches", [1, 5])
def test_ppos_first_step_is_the_policy_gradients(hardware: Hardware, micro_batches: int) -> None:
    player, twin = generator(), generator()
    samples, weights, _ = drawn(player)
    update(player, hardware)(samples, weights, real())
    ppo = Game(mle=0.0, policy="ppo")
    found = update(twin, hardware, ppo, micro_batches=micro_batches)(samples, weights, real())
    assert found["clipped"] == 0
    for ours, plain in zip(gradient(twin), gradient(player), strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)


def test_ppo_goes_on_until_it_is_clipped(hardware: Hardware) -> None:
    """Epochs on the same samples: better paid tokens become likelier, and then are left alone."""
    player = generator()
    samples, weights, _ = drawn(player)
    assert samples.logprobs is not None
    ppo = Game(mle=0.0, policy="ppo", clip_range=0.1)
    found = update(player, hardware, ppo, epochs=20, generator_rate=0.01)(samples, weights, real())
    assert 0.2 < found["clipped"] <= 1
    now = token_logprobs(player.eval(), samples.tokens, samples.mask, TEMPERATURE).detach()
    assert (weights * (now - samples.logprobs)).sum() > 0
    free, unclipped = generator(), Game(mle=0.0, policy="ppo", clip_range=0.999)
    update(free, hardware, unclipped, epochs=20, generator_rate=0.01)(samples, weights, real())
    far = token_logprobs(free.eval(), samples.tokens, samples.mask, TEMPERATURE).detach()
    assert (far - samples.logprobs).abs().mean() > (now - samples.logprobs).abs().mean()


@pytest.mark.parametrize("micro_batches", [1, 5])
@pytest.mark.parametrize("policy", ["gradient", "ppo"])
@pytest.mark.parametrize(
    ("estimator", "weight"),
    [("k2", lambda mine, other: mine - other), ("k3", lambda mine, other: 1 - (other - mine).exp())],
)
def test_the_anchor_in_the_loss_has_its_gradient(
    hardware: Hardware, estimator: Any, weight: Any, policy: Any, micro_batches: int
) -> None:
    """d k2 = (log P - log P_0) d log P and d k3 = (1 - P_0 / P) d log P: as if advantages were smaller by that."""
    player, twin = generator(), generator()
    samples, weights, other = drawn(player)
    assert samples.logprobs is not None
    anchored = Game(mle=0.0, kl=0.7, kl_estimator=estimator, policy=policy)
    update(player, hardware, anchored, micro_batches=micro_batches)(samples, weights, real(), other)
    plain = weights - 0.7 * torch.where(samples.mask, weight(samples.logprobs, other), 0.0)
    update(twin, hardware)(samples, plain, real())
    for ours, expected in zip(gradient(player), gradient(twin), strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)


def test_advantages_pay_for_length_and_distance_in_the_unit_of_the_rewards() -> None:
    player = generator()
    samples, rewards, other = drawn(player)
    assert samples.logprobs is not None
    group = torch.arange(len(samples)) // 2
    plain = {"baseline": "none", "kl": 0.0}

    def weights(**game: Any) -> Tensor:
        return advantages(rewards, samples, other, group, Game(**plain | game))

    free = weights()
    scale = rewards.sum(1).std(correction=0)
    assert torch.allclose(weights(reward_scale="batch"), free / scale, atol=1e-5)
    assert torch.allclose(weights(kl=0.5, kl_estimator="k3"), free)
    assert not torch.allclose(weights(kl=0.5), free)
    cost = (free - weights(length_penalty=0.25, length_free=2)).gather(1, samples.prompt_length[:, None]).squeeze(1)
    assert torch.allclose(cost, 0.25 * (samples.mask.sum(1) - 2).clamp(min=0), atol=1e-5)


def test_grpo_gives_every_token_the_advantage_of_its_text() -> None:
    player = generator()
    samples, rewards, other = drawn(player)
    group = torch.arange(len(samples)) // 3
    found = advantages(rewards, samples, other, group, Game(baseline="grpo", signal="sequence", kl=0.0))
    total = rewards.sum(1).view(-1, 3)
    expected = (total - total.mean(1, keepdim=True)) / total.std(1, keepdim=True)
    assert torch.allclose(found, torch.where(samples.mask, expected.flatten()[:, None], 0.0), atol=1e-5)


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
