"""How the players move: the generator's update, its moving average, and who pays."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.config import Adversarial, Game
from mgan.fit.classifier import pieces
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.game.signals import SIGNALS, others_mean, policy_gradient_loss, returns_to_go
from mgan.game.values import PAYOFFS
from mgan.models.protocols import Discriminator, Generator
from mgan.sampling.decode import tempered_logprobs
from mgan.sampling.uniforms import row_seeds, uniforms
from mgan.types import Batch


@torch.no_grad()
def judge(discriminator: Discriminator, samples: Batch, reward: str, seed: int) -> Tensor:
    """[B, L]: the logit of every prefix, in eval mode. Controls answer without looking."""
    if reward == "constant":
        return torch.ones_like(samples.tokens, dtype=torch.float)
    if reward == "random":
        noise = uniforms(row_seeds(seed, len(samples)), samples.tokens.shape[1])
        return (2 * noise - 1).float().to(samples.tokens.device)
    discriminator.eval()
    return discriminator(samples.tokens).float()


def advantages(
    judged: Tensor, samples: Batch, reference_logprobs: Tensor, group: Tensor, game: Game
) -> tuple[Tensor, Tensor]:
    """[B, L] each: the policy gradient's weights, and the rewards without the anchor, for the log.

    The anchor pays -kl (log P - log P_ref) at every token: its expectation is -kl KL(P || P_ref) of whole texts.
    """
    mask = samples.mask
    rewards = SIGNALS[game.signal](judged, mask, PAYOFFS[game.value])
    assert samples.logprobs is not None
    paid = rewards - game.kl * (samples.logprobs - reference_logprobs)
    returns = returns_to_go(paid, mask, game.discount)
    if game.baseline == "none":
        return returns, rewards
    peers = group if game.baseline == "leave_one_out" else torch.zeros_like(group)
    return torch.where(mask, returns - others_mean(returns, mask, samples.prompt_length, peers), 0.0), rewards


class GeneratorUpdate:
    """One step up the policy gradient, with the likelihood of real text as an optional anchor.

    The policy gradient in eval mode: P_theta is then exactly the distribution the samples were drawn from. The
    anchor with dropout, as in pre-training.
    """

    def __init__(self, generator: Generator, settings: Adversarial, game: Game, hardware: Hardware, ledger: Ledger):
        self.generator, self.settings, self.game = generator, settings, game
        self.hardware, self.ledger = hardware, ledger
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=settings.generator_rate)

    def __call__(self, samples: Batch, weights: Tensor, real: Batch) -> dict[str, float]:
        """samples, real: batches; weights: [B, L] advantages. Returns the losses in nats a text."""
        self.generator.eval()
        self.optimizer.zero_grad()
        losses = {"g_loss": 0.0}
        parts = pieces(samples, self.settings.micro_batches)
        for part, weight in zip(parts, weights.tensor_split(self.settings.micro_batches), strict=False):
            with self.hardware.autocast():
                logprobs = tempered_logprobs(
                    self.generator(part.tokens), part.tokens, part.mask, self.settings.temperature
                )
            loss = policy_gradient_loss(logprobs, weight[:, : logprobs.shape[1]], part.mask) / len(samples)
            losses["g_loss"] += self._descend(loss, part)
        if self.game.mle:
            losses["mle_loss"] = 0.0
            self.generator.train()
            for part in pieces(real, self.settings.micro_batches):
                with self.hardware.autocast():
                    loss = self.game.mle * nll(self.generator, part).sum() / len(real)
                losses["mle_loss"] += self._descend(loss, part)
        self.hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return losses

    def _descend(self, loss: Tensor, part: Batch) -> float:
        self.hardware.backward(loss)
        self.ledger.update(self.generator, part.tokens.numel())
        return float(loss.detach())


class Average:
    """The exponential moving average of a generator's weights, as a generator of its own."""

    def __init__(self, average: Generator, decay: float):
        self.module, self.decay = average, decay
        average.requires_grad_(False)

    @torch.no_grad()
    def follow(self, generator: Generator) -> None:
        for ours, theirs in zip(self.module.parameters(), generator.parameters(), strict=True):
            ours.lerp_(theirs, 1 - self.decay)
