"""Who pays: the discriminator's verdict on samples, turned into rewards; or a control that pays without looking."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.classifier import verdicts
from mgan.fit.compute import Ledger
from mgan.game.losses import PAYOFFS, critic, relativistic_average_payoff
from mgan.game.signals import SIGNALS, final, rewards_of_values, sequence_rewards
from mgan.game.values import Payoff
from mgan.sampling.distribution import Sampling
from mgan.sampling.rollouts import Plan, rollout_values
from mgan.sampling.uniforms import row_seeds, uniforms
from mgan.training.bleu import bleu_rewards
from mgan.training.world import World
from mgan.types import Batch


@dataclass(frozen=True)
class Judgement:
    """verdicts: [B], the discriminator's logit of each whole text; None where none plays. rewards: [B, L], the pay."""

    verdicts: Tensor | None
    rewards: Tensor

    def and_at_the_end(self, earned: Tensor, mask: Tensor) -> Judgement:
        """What whole texts earn besides is paid for their last token. earned: [B], mask: [B, L]."""
        last = mask & (mask.long().cumsum(1) == mask.sum(1, keepdim=True))
        return Judgement(self.verdicts, self.rewards + last * earned[:, None])


class Judge:
    """Judges in eval mode: ``world.discriminator`` by the game's signal, or one of the controls of ``settings``."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.game = world.settings.game
        self.payoff = PAYOFFS.get(self.game.value, critic)

    @torch.no_grad()
    def __call__(self, samples: Batch, real: Batch, seed: int) -> Judgement:
        """real: texts, as many, for a value that compares the two. seed: of rollouts, noise or references."""
        if self.settings.reward == "bleu":
            return self._by_bleu(samples, seed)
        if self.settings.reward != "discriminator":
            return self._without_looking(samples, seed)
        if self.game.value == "relativistic_average":
            self.payoff = self._relative(samples, real)
        if self.game.signal == "rollout":
            return self._by_rollouts(samples, seed)
        if self.game.signal in ("sequence", "taylor"):
            return self._whole_texts(samples)
        discriminator = self.world.discriminator
        discriminator.eval()
        self.ledger.judged(discriminator, samples.tokens.numel(), samples.tokens.numel())
        logits = discriminator(samples.tokens).float()
        rewards = SIGNALS[self.game.signal](logits, samples.mask, self.payoff)
        return Judgement(final(logits, samples.mask), rewards)

    def _whole_texts(self, samples: Batch) -> Judgement:
        self.ledger.judged(self.world.discriminator, samples.tokens.numel(), len(samples))
        found = verdicts(self.world.discriminator, samples)
        rewards = SIGNALS[self.game.signal](found[:, None].expand_as(samples.mask), samples.mask, self.payoff)
        return Judgement(found, rewards)

    def _relative(self, samples: Batch, real: Batch) -> Payoff:
        discriminator, logits = self.world.discriminator, []
        for texts in (real, samples):
            self.ledger.judged(discriminator, texts.tokens.numel(), len(texts))
            logits.append(verdicts(discriminator, texts)[:, None])
        one = torch.ones_like(logits[0])
        return relativistic_average_payoff(logits[0], one, logits[1], torch.ones_like(logits[1]))

    def _by_rollouts(self, samples: Batch, seed: int) -> Judgement:
        world = self.world
        plan = Plan(
            self.game.rollouts, world.settings.generator.context, world.alphabet.eos, world.alphabet.pad,
            Sampling(self.settings.temperature),
        )  # fmt: skip
        worth = rollout_values(world.generator, world.discriminator, samples, self.payoff, plan, seed)
        self.ledger.judged(world.discriminator, worth.judged, worth.texts)
        # The samples are read once more for the states that rollouts fork from.
        self.ledger.forward(world.generator, int(samples.lengths.sum()))
        self.ledger.sampled(world.generator, worth.written)
        return Judgement(worth.verdicts, rewards_of_values(worth.values, samples.mask))

    def _by_bleu(self, samples: Batch, seed: int) -> Judgement:
        earned = bleu_rewards(samples, self.world.train, self.world.alphabet.eos, seed)
        rewards = sequence_rewards(earned[:, None].expand_as(samples.mask), samples.mask, PAYOFFS["reverse_kl"])
        return Judgement(None, rewards)

    def _without_looking(self, samples: Batch, seed: int) -> Judgement:
        mask = samples.mask
        logits = torch.ones_like(samples.tokens, dtype=torch.float)
        if self.settings.reward == "random":
            logits = (2 * uniforms(row_seeds(seed, len(samples)), mask.shape[1]) - 1).float().to(mask.device)
        if self.game.signal == "rollout":
            rewards = rewards_of_values(self.payoff(logits), mask)
        else:
            rewards = SIGNALS[self.game.signal](logits, mask, self.payoff)
        self.ledger.judged(self.world.discriminator, samples.tokens.numel(), len(samples))
        return Judgement(verdicts(self.world.discriminator, samples), rewards)
