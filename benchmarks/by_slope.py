"""Estimators of ``estimators.py`` that follow D's own gradient at the embeddings of texts, relaxed or hard."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import toy_language as toy
from mgan.game.estimators import all_action_loss
from mgan.game.taylor import expansion, neighbours, spread
from mgan.game.values import reverse_kl as payoff
from mgan.sampling.soft import soft_sample
from toy_language import Players, Table

Draws = Callable[[Players, int, int], Tensor]


def relaxed(temperature: float, straight_through: bool = False) -> Draws:
    def estimate(players: Players, draws: int, seed: int) -> Tensor:
        def loss(copies: Table) -> Tensor:
            written = soft_sample(
                copies, toy.prompts(draws), max_length=toy.LENGTH, eos=toy.END, pad=toy.END, temperature=temperature,
                seed=seed,
            )  # fmt: skip
            read = written.attached(players.discriminator.embedding.weight, straight_through)
            return -payoff(players.discriminator.judge(read, written.batch.mask)).sum()

        return toy.gradients(players.generator, draws, loss)

    return estimate


def expanded(bandwidth: float) -> Draws:
    """TaylorGAN: every token in every place of a sample, by the slope of D there. bandwidth: as ``game.bandwidth``."""

    def estimate(players: Players, draws: int, seed: int) -> Tensor:
        samples = toy.draw(players.generator, draws, seed)
        table = players.discriminator.embedding.weight.detach()
        embedded = table[samples.tokens].requires_grad_()
        earned = payoff(players.discriminator.judge(embedded, samples.mask).mean(1))
        (slope,) = torch.autograd.grad(earned.sum(), embedded)
        level = earned.detach()[:, None].expand_as(samples.mask)
        kept, before = samples.mask, samples.mask[:, 1:]

        def loss(copies: Table) -> Tensor:
            logits, chosen = copies(samples.tokens[:, :-1])[before], samples.tokens[kept]
            values = expansion(level[kept], slope[kept], chosen, table)
            near = neighbours(logits.detach().softmax(1), chosen, table, bandwidth * spread(table))
            return all_action_loss(logits.double(), (values * near).double()).sum()

        return toy.gradients(players.generator, draws, loss)

    return estimate
