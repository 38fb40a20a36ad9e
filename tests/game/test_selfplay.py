"""Self-play's logits and loss: closed forms, the gradient by hand, and where it vanishes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.game.pairs import bradley_terry
from mgan.game.selfplay import binary, implied_logits


def loss(tiny: Any, table: Tensor, before: Tensor, beta: float, real: Tensor, fake: Tensor) -> Tensor:
    """[draws]: of pairs of texts, given by their numbers."""
    logits = implied_logits(tiny.logprobs(table), tiny.logprobs(before).detach(), beta)
    return bradley_terry(logits[real], logits[fake][:, None])


def test_a_logit_is_the_log_ratio_of_whole_texts(tiny: Any) -> None:
    new, old = tiny.table(1), tiny.table(2)
    expected = 0.3 * (tiny.probability(new) / tiny.probability(old)).log()
    assert torch.allclose(implied_logits(tiny.logprobs(new), tiny.logprobs(old), 0.3), expected)
    assert not implied_logits(tiny.logprobs(new), tiny.logprobs(new), 0.3).any()


def test_against_itself_the_loss_is_that_of_guessing(tiny: Any) -> None:
    table, texts = tiny.table(1), torch.arange(len(tiny.tokens))
    assert loss(tiny, table, table, 0.1, texts, texts.flip(0)).tolist() == pytest.approx([math.log(2)] * len(texts))


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_the_gradient_by_hand(tiny: Any, beta: float) -> None:
    """Chen et al. 2024: -beta sigmoid(-(d_t - d_g)) (grad log P(t) - grad log P(g))."""
    table, before, t, g = tiny.table(3).requires_grad_(), tiny.table(4), 1, 5
    found = torch.autograd.grad(loss(tiny, table, before, beta, torch.tensor([t]), torch.tensor([g])).sum(), table)[0]
    up, down = (torch.autograd.grad(tiny.logprobs(table)[i].sum(), table, retain_graph=True)[0] for i in (t, g))
    ratio = (tiny.probability(table) / tiny.probability(before)).log().detach()
    weight = beta * torch.sigmoid(-beta * (ratio[t] - ratio[g]))
    assert torch.allclose(found, -weight * (up - down), atol=1e-12) and bool(found.abs().max() > 1e-3)


def test_it_rests_only_where_the_generator_is_the_data(tiny: Any) -> None:
    """The expectation over every pair of a real text and one of the opponent, which is the generator itself."""
    data = tiny.table(5)
    for start, rests in ((data, True), (tiny.table(6), False)):
        table = start.clone().requires_grad_()
        pairs = torch.cartesian_prod(*[torch.arange(len(tiny.tokens))] * 2).unbind(1)
        chance = tiny.probability(data)[pairs[0]] * tiny.probability(start)[pairs[1]]
        expected = (chance * loss(tiny, table, start, 1.0, *pairs)).sum()
        slope = torch.autograd.grad(expected, table)[0].abs().max()
        assert (float(slope) < 1e-12) == rests


def test_the_binary_loss_is_the_first_gans_with_the_closed_form_discriminator(tiny: Any) -> None:
    """Montahaei et al. 2021: D = P_new / (P_new + P_old)."""
    new, old = tiny.table(1), tiny.table(2)
    share = tiny.probability(new) / (tiny.probability(new) + tiny.probability(old))
    d = implied_logits(tiny.logprobs(new), tiny.logprobs(old), 1.0)
    real, fake = torch.tensor([1, 4]), torch.tensor([[5, 0], [2, 3]])
    expected = -share[real].log() - (1 - share[fake]).log().mean(1)
    assert torch.allclose(binary(d[real], d[fake]), expected)


def test_the_binary_optimum_is_the_data_where_the_level_of_the_logit_counts(tiny: Any) -> None:
    """Against any opponent the slope vanishes at the data; a logit raised everywhere costs, and in pairs it is free."""
    data, before = tiny.table(5), tiny.table(6)
    texts = torch.arange(len(tiny.tokens))
    for start, rests in ((data, True), (before, False)):
        table = start.clone().requires_grad_()
        d = implied_logits(tiny.logprobs(table), tiny.logprobs(before).detach(), 1.0)
        real, fake = torch.cartesian_prod(texts, texts).unbind(1)
        chance = tiny.probability(data)[real] * tiny.probability(before)[fake]
        expected = (chance * binary(d[real], d[fake][:, None])).sum()
        slope = torch.autograd.grad(expected, table)[0].abs().max()
        assert (float(slope) < 1e-12) == rests
    d = implied_logits(tiny.logprobs(data), tiny.logprobs(before), 1.0)
    real, fake = d, d.flip(0)[:, None]
    assert torch.allclose(bradley_terry(real + 1, fake + 1), bradley_terry(real, fake))
    assert not torch.allclose(binary(real + 1, fake + 1), binary(real, fake))
