"""How the generator moves: its update and its moving average."""

from __future__ import annotations

import torch
from torch import Tensor

from mgan.config import Adversarial, Game
from mgan.fit.classifier import pieces
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.game.signals import others_mean, returns_to_go
from mgan.models.logprobs import weighted_logprobs
from mgan.models.protocols import Generator
from mgan.types import Batch


def advantages(rewards: Tensor, samples: Batch, reference_logprobs: Tensor, group: Tensor, game: Game) -> Tensor:
    """[B, L]: the policy gradient's weights. rewards, reference_logprobs: [B, L], group: [B].

    The anchor pays -kl (log P - log P_ref) at every token: its expectation is -kl KL(P || P_ref) of whole texts.
    """
    mask = samples.mask
    assert samples.logprobs is not None
    paid = rewards - game.kl * (samples.logprobs - reference_logprobs)
    returns = returns_to_go(paid, mask, game.discount)
    if game.baseline == "none":
        return returns
    peers = group if game.baseline == "leave_one_out" else torch.zeros_like(group)
    return torch.where(mask, returns - others_mean(returns, mask, samples.prompt_length, peers), 0.0)


class GeneratorUpdate:
    """One step up the policy gradient, with the likelihood of real text as an optional anchor.

    The loss of a text is -sum_i A_i log P(x_i | x_<i), its advantages A held constant (Williams 1992).

    The policy gradient in eval mode: P_theta is then exactly the distribution the samples were drawn from. The
    anchor with dropout, as in pre-training.
    """

    def __init__(self, generator: Generator, settings: Adversarial, game: Game, hardware: Hardware, ledger: Ledger):
        self.generator, self.settings, self.game = generator, settings, game
        self.hardware, self.ledger = hardware, ledger
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=settings.generator_rate, fused=True)

    def __call__(self, samples: Batch, weights: Tensor, real: Batch) -> dict[str, float]:
        """samples, real: batches; weights: [B, L] advantages. Returns the losses in nats a text."""
        self.generator.eval()
        self.optimizer.zero_grad()
        losses = {"g_loss": 0.0}
        parts = pieces(samples, self.settings.micro_batches)
        for part, weight in zip(parts, weights.tensor_split(self.settings.micro_batches), strict=False):
            with self.hardware.autocast():
                weight = weight[:, : part.tokens.shape[1]]
                gain, _ = weighted_logprobs(self.generator, part.tokens, part.mask, weight, self.settings.temperature)
            losses["g_loss"] += self._descend(-gain / len(samples), part)
        if self.game.mle:
            losses["mle_loss"] = 0.0
            self.generator.train()
            for part in pieces(real, self.settings.micro_batches):
                with self.hardware.autocast():
                    loss = self.game.mle * nll(self.generator, part) / len(real)
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
