"""Moves by what D's gradient says of every other token (game.signal=taylor; TaylorGAN, Lin et al. 2020).

    f = payoff(d(x)),  s_t = df/de_t            D's verdict on a text that was drawn, and its slope at each embedding
    A_t(v) = f - b + s_t . (e_v - e_{x_t})      what the text would be worth with v in place t, to first order
    w_t(v) = k(x_t, v) / sum_u P(u) k(u, v)     more for tokens near the one that was drawn       (game/taylor.py)
    G up    sum_t sum_v P(v | x_<t) w_t(v) A_t(v)
    G down  kl KL(P(. | x_<t) || P_0(. | x_<t))             of all next tokens, exactly

Nothing of the size [B, L, V] is kept: values and weights live for a chunk of places. All of it is in fp32.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.compute import Ledger
from mgan.fit.optimizers import adamw
from mgan.game import taylor
from mgan.game.estimators import all_action_loss
from mgan.models.latent import given
from mgan.models.logprobs import next_token_kl
from mgan.models.protocols import Discriminator, Generator, SoftDiscriminator
from mgan.training.gumbel import PIECE
from mgan.training.judge import Judge
from mgan.training.lessons import Drawn, Lessons
from mgan.training.players import advantages, follow_likelihood, logprobs_of
from mgan.training.signal import Judged, Update
from mgan.training.world import World
from mgan.types import Batch

CHUNK = 512
"""Places whose values, [CHUNK, V], are held at once."""


class Taylor:
    """The moves of a generator that learns of tokens it has not drawn."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.lessons, self.reference, self.game = lessons, reference, world.settings.game
        self.generator, self.payer = world.generator, Judge(world, settings, ledger)
        self.optimizer = adamw(world.generator, world.hardware, settings.generator_rate)

    @property
    def discriminator(self) -> SoftDiscriminator:
        return cast(SoftDiscriminator, self.world.discriminator)

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        return Drawn.of(self.world.write(self.generator, prompts, seed), prompts, group)

    def update(self, discriminator: Discriminator) -> Update:
        return self.lessons.update(discriminator)

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        samples = drawn.samples
        judgement = self.payer(samples, real, seed)
        slopes = self.slopes(samples)
        anchor = logprobs_of(self.reference, samples, self.settings, self.ledger)
        assert samples.logprobs is not None
        # The anchor is a term of the loss, and no reward: of the samples' own distance nothing is paid.
        levels = advantages(judgement.rewards, samples, samples.logprobs, drawn.group, self.game)
        metrics = {
            "reward": float(judgement.rewards.sum(1).mean()),
            "kl": float((samples.logprobs - anchor).sum(1).mean()),
        }
        return Judged(judgement.verdicts, metrics, lambda: self.learn(samples, levels, slopes, real))

    def slopes(self, samples: Batch) -> Tensor:
        """[B, L, E]: of what each text is paid, at its embeddings; 0 for a control that pays without looking."""
        discriminator = self.discriminator.eval()
        found = torch.zeros(*samples.tokens.shape, discriminator.embedding.embedding_dim, device=samples.tokens.device)
        if self.settings.reward != "discriminator":
            return found
        # D's gradient to its input costs as much as its forward pass.
        self.ledger.judged(discriminator, 2 * samples.tokens.numel(), 2 * len(samples))
        for rows in torch.split(torch.arange(len(samples), device=found.device), PIECE):
            embedded = discriminator.embedding(samples.tokens[rows]).detach().requires_grad_()
            paid = self.payer.payoff(discriminator.judge(embedded, samples.mask[rows]).mean(1))
            (found[rows],) = torch.autograd.grad(paid.sum(), embedded)
        return found

    def learn(self, samples: Batch, levels: Tensor, slopes: Tensor, real: Batch) -> dict[str, float]:
        """The generator's update. levels: [B, L], f - b. slopes: [B, L, E]. Returns the losses in nats a text."""
        hardware, micro_batches = self.world.hardware, self.settings.micro_batches
        self.generator.eval()
        self.optimizer.zero_grad()
        losses = {"g_loss": 0.0}
        for rows in torch.arange(len(samples), device=levels.device).tensor_split(min(micro_batches, len(samples))):
            part = samples.rows(rows)
            width = part.tokens.shape[1]
            losses["g_loss"] += self._climb(part, levels[rows, :width], slopes[rows, :width], len(samples))
            if self.game.kl:
                losses["kl_loss"] = losses.get("kl_loss", 0.0) + self._stay(part, len(samples))
        if self.game.mle:
            losses["mle_loss"] = follow_likelihood(
                self.generator, real, self.game.mle, micro_batches, hardware, self.ledger
            )
        hardware.clip(self.generator.parameters(), self.settings.clip)
        self.optimizer.step()
        return losses

    def _climb(self, part: Batch, levels: Tensor, slopes: Tensor, texts: int) -> float:
        """Adds the gradient of -sum P w A of some texts, a chunk of places at a time; returns that loss."""
        generator, kept = given(self.generator, part), part.mask[:, 1:]
        embedding = self.discriminator.embedding.weight.detach()
        bandwidth = self.game.bandwidth * taylor.spread(embedding)
        features = generator.features(part.tokens[:, :-1])[kept]
        level, slope, chosen = (of[:, 1:][kept] for of in (levels, slopes, part.tokens))
        leaf, total = features.detach().requires_grad_(), 0.0
        chunks = torch.split(torch.arange(len(leaf), device=leaf.device), CHUNK)
        for some in chunks:
            logits = generator.output(leaf[some]).float()
            with torch.no_grad():
                values = taylor.expansion(level[some], slope[some], chosen[some], embedding)
                values *= taylor.neighbours(logits.softmax(1), chosen[some], embedding, bandwidth)
            loss = all_action_loss(logits, values).sum() / texts
            self.world.hardware.backward(loss)
            total += float(loss.detach())
        features.backward(leaf.grad)  # type: ignore[no-untyped-call]
        self.ledger.update(self.generator, part.tokens.numel())
        self.ledger.flops += taylor.flops(len(leaf), len(chunks), *embedding.shape)
        return total

    def _stay(self, part: Batch, texts: int) -> float:
        """Adds the gradient of the distance to the pre-trained generator; returns that loss."""
        generator, reference = given(self.generator, part), given(self.reference, part)
        loss = self.game.kl * next_token_kl(generator, reference, part.tokens, part.mask) / texts
        self.world.hardware.backward(loss)
        self.ledger.update(self.generator, part.tokens.numel())
        self.ledger.forward(self.reference, part.tokens.numel())
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        return {"generator_optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["generator_optimizer"])
