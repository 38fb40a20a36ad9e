"""Moves by policy gradient.

Judge, reward, compare, and climb the weighted logprobs of what was written:

    d_i = D's logit of each prefix of g                         judge
    r_i = payoff(d_i) - payoff(d_{i-1}) - kl (log P - log P_0)  reward, and of the last token bleu BLEU(g)
    A_i = sum_{j >= i} r_j - what the other samples got         advantage
    G up  sum_i A_i log P(g_i | g_<i)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.compute import Ledger
from mgan.game.advantages import zero_variance_groups
from mgan.models.protocols import Discriminator, Generator
from mgan.training.bleu import own_bleu
from mgan.training.critic import Critic, explained_variance
from mgan.training.goals import generator_update
from mgan.training.judge import Judge, Judgement
from mgan.training.lessons import Drawn, Lessons
from mgan.training.players import advantages, logprobs_of
from mgan.training.signal import Judged, Update
from mgan.training.world import World
from mgan.types import Batch


class Policy:
    """The moves of a generator that is paid for its texts."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.lessons, self.reference, self.game = lessons, reference, world.settings.game
        self.payer = Judge(world, settings, ledger)
        self.critic = Critic(world.generator, ledger) if self.game.baseline == "critic" else None
        self.update_generator = generator_update(world, settings, ledger)

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        return Drawn.of(self.world.write(self.world.generator, prompts, seed), prompts, group)

    def update(self, discriminator: Discriminator) -> Update:
        return self.lessons.update(discriminator)

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        samples = drawn.samples
        judgement, watched = self.payer(samples, real, seed), dict[str, float]()
        if self.game.bleu:
            likeness = own_bleu(samples, drawn.own, drawn.group, self.world.alphabet.eos)
            judgement = judgement.and_at_the_end(self.game.bleu * likeness, samples.mask)
            watched = {"bleu": float(likeness.mean())}
        anchor = logprobs_of(self.reference, samples, self.settings, self.ledger)
        weights, metrics = self._weights(drawn, judgement, anchor)
        assert samples.logprobs is not None
        metrics |= watched | {
            "reward": float(judgement.rewards.sum(1).mean()),
            "kl": float((samples.logprobs - anchor).sum(1).mean()),
        }
        if self.settings.samples_per_prompt > 1:
            metrics["zero_variance_groups"] = float(zero_variance_groups(judgement.rewards.sum(1), drawn.group))
        return Judged(judgement.verdicts, metrics, lambda: self.update_generator(samples, weights, real, anchor))

    def _weights(self, drawn: Drawn, judgement: Judgement, anchor: Tensor) -> tuple[Tensor, dict[str, float]]:
        """[B, L]: the advantages. A value head learns from these samples after it has been asked about them."""
        samples, rewards = drawn.samples, judgement.rewards
        if self.critic is None:
            return advantages(rewards, samples, anchor, drawn.group, self.game), {}
        features = self.critic.features(samples, self.settings.micro_batches)
        values = self.critic.values(features, samples.mask)
        weights = advantages(rewards, samples, anchor, drawn.group, self.game, values)
        returns = (weights + values)[samples.mask]
        self.critic.learn(features, returns)
        return weights, {"explained_variance": explained_variance(values[samples.mask], returns)}

    def state_dict(self) -> dict[str, Any]:
        return {
            **self.update_generator.state_dict(),
            "critic": self.critic.state_dict() if self.critic else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update_generator.load_state_dict(state)
        if self.critic:
            self.critic.load_state_dict(state["critic"])
