"""How the generator moves: its update and its moving average."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgan.config import Adversarial, Game
from mgan.fit.classifier import pieces
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import imitation, nll
from mgan.fit.optimizers import adamw
from mgan.game.advantages import batch_normalised, batch_scaled, generalised, group_normalised, ranked, surplus
from mgan.game.estimators import normalised_importance
from mgan.game.kl import KL_LOSSES
from mgan.game.policy import clipped_loss, clipped_tokens, importance_loss, likelihood_loss, probability_loss
from mgan.game.signals import others_mean, returns_to_go
from mgan.models.latent import given
from mgan.models.logprobs import token_logprobs, weighted_logprobs
from mgan.models.protocols import Generator
from mgan.types import Batch


def advantages(
    rewards: Tensor, samples: Batch, reference_logprobs: Tensor, group: Tensor, game: Game, values: Tensor | None = None
) -> Tensor:
    """[B, L]: the policy gradient's weights. rewards, reference_logprobs: [B, L], group: [B].

    values: [B, L], a critic's, for game.baseline=critic.

    The anchor k1 pays -kl (log P - log P_ref) at every token: its expectation is -kl KL(P || P_ref) of whole texts.
    """
    mask = samples.mask
    paid = _paid(rewards, samples, reference_logprobs, game)
    if game.baseline == "critic":
        assert values is not None
        return generalised(paid, values, mask, game.discount, game.gae_lambda)
    returns = returns_to_go(paid, mask, game.discount)
    if game.baseline == "none":
        return returns
    if game.baseline == "rank":
        return ranked(returns, mask, samples.prompt_length)
    if game.baseline == "reinforce++":
        return batch_normalised(returns, mask)
    if game.baseline in ("grpo", "maligan"):
        whole = returns.gather(1, samples.prompt_length[:, None]).squeeze(1)
        normalised = group_normalised(whole, group) if game.baseline == "grpo" else _imitated(whole, group)
        return torch.where(mask, normalised[:, None], 0.0)
    peers = group if game.baseline == "leave_one_out" else torch.zeros_like(group)
    return torch.where(mask, returns - others_mean(returns, mask, samples.prompt_length, peers), 0.0)


def _imitated(verdicts: Tensor, group: Tensor) -> Tensor:
    """[B]: MaliGAN's weights over the samples of a prompt, or over all where each has a prompt of its own."""
    alone = int(group.max()) + 1 == len(group)
    return normalised_importance(verdicts, torch.zeros_like(group) if alone else group)


def _paid(rewards: Tensor, samples: Batch, reference_logprobs: Tensor, game: Game) -> Tensor:
    """[B, L]: the rewards in their unit, less what length and distance from the reference cost."""
    if game.reward_scale == "batch":
        rewards = batch_scaled(rewards)
    if game.length_penalty:
        rewards = rewards - game.length_penalty * surplus(samples.mask, game.length_free)
    if game.kl_estimator != "k1":
        return rewards
    assert samples.logprobs is not None
    return rewards - game.kl * (samples.logprobs - reference_logprobs)


@torch.no_grad()
def logprobs_of(generator: Generator, batch: Batch, settings: Adversarial, ledger: Ledger) -> Tensor:
    """[B, L]: log P of a batch's tokens under a generator that does not learn from them, at the game's temperature."""
    ledger.forward(generator, batch.tokens.numel())
    logprobs = torch.zeros_like(batch.tokens, dtype=torch.float)
    index = torch.arange(len(batch), device=batch.tokens.device)
    for rows in index.tensor_split(min(settings.micro_batches, len(batch))):
        tokens, mask = batch.tokens[rows], batch.mask[rows]
        logprobs[rows] = token_logprobs(given(generator, batch, rows), tokens, mask, settings.temperature)
    return logprobs


def policy_temperature(settings: Adversarial, game: Game) -> float:
    """Of P_G in its update: that of its samples, unless importance weights undo theirs."""
    return 1.0 if game.policy == "importance" else settings.temperature


class GeneratorUpdate:
    """Steps up the policy gradient on one batch of samples, with the likelihood of real text as an optional anchor.

    The loss of a text is -sum_i A_i log P(x_i | x_<i), its advantages A held constant (Williams 1992), or PPO's on the
    same tokens; with the KL estimators k2 and k3 the anchor to the reference is a term of the loss.

    The policy gradient in eval mode: P_theta is then exactly the distribution the samples were drawn from. The
    likelihood of real text with dropout, as in pre-training.
    """

    def __init__(self, generator: Generator, settings: Adversarial, game: Game, hardware: Hardware, ledger: Ledger):
        self.generator, self.settings, self.game = generator, settings, game
        self.hardware, self.ledger = hardware, ledger
        self.optimizer = adamw(generator, hardware, settings.generator_rate)

    def state_dict(self) -> dict[str, Any]:
        return {"generator_optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["generator_optimizer"])

    def __call__(
        self, samples: Batch, weights: Tensor, real: Batch, reference_logprobs: Tensor | None = None
    ) -> dict[str, float]:
        """samples, real: batches; weights: [B, L] advantages; reference_logprobs: [B, L], for k2 and k3.

        Returns the losses of the last epoch in nats a text, and with PPO the share of tokens that were clipped in it.
        """
        losses: dict[str, float] = {}
        for _ in range(self.settings.epochs):
            losses = self._step(samples, weights, real, reference_logprobs)
        return losses

    def _step(
        self, samples: Batch, weights: Tensor, real: Batch, reference_logprobs: Tensor | None
    ) -> dict[str, float]:
        self.generator.eval()
        self.optimizer.zero_grad()
        losses = {"g_loss": 0.0}
        index = torch.arange(len(samples), device=samples.tokens.device)
        for rows in index.tensor_split(min(self.settings.micro_batches, len(samples))):
            part = samples.rows(rows)
            weight, reference = (
                None if of is None else of[rows, : part.tokens.shape[1]] for of in (weights, reference_logprobs)
            )
            assert weight is not None
            with self.hardware.autocast():
                loss, measured = self._policy_loss(part, weight, reference)
            losses["g_loss"] += self._descend(loss / len(samples), part)
            for name, value in measured.items():
                losses[name] = losses.get(name, 0.0) + float(value)
        if "clipped" in losses:
            losses["clipped"] /= int(samples.mask.sum())
        if self.game.mle:
            losses["mle_loss"] = follow_likelihood(
                self.generator, real, self.game.mle, self.settings.micro_batches, self.hardware, self.ledger
            )
        self.hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return losses

    def _policy_loss(self, part: Batch, weight: Tensor, reference: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss summed over texts, and how many tokens PPO has clipped."""
        game, temperature = self.game, policy_temperature(self.settings, self.game)
        anchored = bool(game.kl) and game.kl_estimator != "k1"
        if game.policy == "gradient" and not anchored:
            # The weights are known before the logprobs are: one matrix product fewer.
            gain, _ = weighted_logprobs(given(self.generator, part), part.tokens, part.mask, weight, temperature)
            return -gain, {}
        logprobs = token_logprobs(given(self.generator, part), part.tokens, part.mask, temperature)
        measured: dict[str, Tensor] = {}
        if game.policy == "importance":
            assert part.logprobs is not None
            loss = importance_loss(logprobs, part.logprobs, weight, 1 + game.clip_range).sum()
        elif game.policy == "ppo":
            assert part.logprobs is not None
            loss = clipped_loss(logprobs, part.logprobs, weight, game.clip_range).sum()
            measured["clipped"] = clipped_tokens(logprobs.detach(), part.logprobs, weight, game.clip_range).sum()
        elif game.policy == "probability":
            loss = probability_loss(logprobs, weight).sum()
        else:
            loss = likelihood_loss(logprobs, weight).sum()
        if anchored:
            assert reference is not None
            loss = loss + game.kl * KL_LOSSES[game.kl_estimator](logprobs, reference).sum()
        return loss, measured

    def _descend(self, loss: Tensor, part: Batch) -> float:
        self.hardware.backward(loss)
        self.ledger.update(self.generator, part.tokens.numel())
        return float(loss.detach())


def follow_likelihood(
    generator: Generator, real: Batch, weight: float, micro_batches: int, hardware: Hardware, ledger: Ledger
) -> float:
    """Adds the gradient of the weighted NLL of real texts, with dropout; returns that loss, nats a text."""
    generator.train()
    total = 0.0
    for part in pieces(real, micro_batches):
        with hardware.autocast():
            loss = weight * nll(generator, part) / len(real)
            beside = weight * imitation(generator, part) / len(real)
        hardware.backward(loss + beside)
        ledger.update(generator, part.tokens.numel())
        total += float(loss.detach())
    return total


class Average:
    """The exponential moving average of a generator's weights, as a generator of its own."""

    def __init__(self, average: Generator, decay: float):
        self.module, self.decay = average, decay
        average.requires_grad_(False)

    @torch.no_grad()
    def follow(self, generator: Generator) -> None:
        for ours, theirs in zip(self.module.parameters(), generator.parameters(), strict=True):
            # What does not learn may be the same weight.
            if ours is not theirs:
                ours.lerp_(theirs.to(ours.device), 1 - self.decay)
