"""Advantages against closed forms; which of them leave the expected gradient as it is, by enumeration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.game.advantages import (
    batch_normalised,
    batch_scaled,
    generalised,
    group_normalised,
    surplus,
    zero_variance_groups,
)
from mgan.game.signals import others_mean, returns_to_go

ROWS = [2, 3, 4]


def earned(tiny: Any) -> Tensor:
    """[T]: what each text earns."""
    return torch.randn(len(tiny.tokens), dtype=torch.float64, generator=torch.Generator().manual_seed(8))


def true_gradient(tiny: Any, table: Tensor, scores: Tensor) -> Tensor:
    table = table.clone().requires_grad_()
    return torch.autograd.grad((tiny.probability(table) * scores).sum(), table)[0]


def expected_gradient(tiny: Any, table: Tensor, rows: int, advantage: Any) -> Tensor:
    """Of the mean over a group's rows of A log P(text), over every group. advantage: text [R], group [R] -> [R]."""
    table = table.clone().requires_grad_()
    text, group, chance = tiny.groups(table, rows)
    gain = advantage(text, group) * tiny.logprobs(table).sum(1)[text]
    return torch.autograd.grad((chance * gain).sum() / rows, table)[0]


def test_grpo_by_hand() -> None:
    scores = torch.tensor([1.0, 4.0, 5.0, 5.0, 2.0, 3.0])
    group = torch.tensor([0, 1, 0, 1, 1, 0])
    expected = torch.empty(6)
    for g in (0, 1):
        some = scores[group == g]
        expected[group == g] = (some - some.mean()) / some.std()
    assert torch.allclose(group_normalised(scores, group), expected)


def test_equal_rewards_teach_nothing_and_are_counted() -> None:
    # 0.1 + 0.2 is not 0.3: rounding is no difference either, however large the rewards.
    scores = torch.tensor([0.3, 0.1 + 0.2, 1.0, 2.0, 1000.0, 1000.0001, 7.0])
    group = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    found = group_normalised(scores, group)
    assert found[[0, 1, 4, 5, 6]].tolist() == [0.0] * 5 and (found[2:4] != 0).all()
    assert zero_variance_groups(scores, group) == 3
    assert zero_variance_groups(scores[2:4], group[:2]) == 0


@pytest.mark.parametrize("rows", ROWS)
def test_rloo_is_unbiased(tiny: Any, rows: int) -> None:
    """Ahmadian et al. 2024: the mean of the others, on whole texts."""
    table, scores = tiny.table(1), earned(tiny)

    def advantage(text: Tensor, group: Tensor) -> Tensor:
        mask = tiny.mask[text]
        returns = scores[text][:, None] * mask
        # Every text has a first token, so there the others are all the others.
        return (returns - others_mean(returns, mask, tiny.prompt_length[text], group))[:, 1]

    found = expected_gradient(tiny, table, rows, advantage)
    assert torch.allclose(found, true_gradient(tiny, table, scores), atol=1e-12)


@pytest.mark.parametrize("rows", ROWS)
def test_the_mean_of_the_whole_group_only_shortens_the_step(tiny: Any, rows: int) -> None:
    table, scores = tiny.table(1), earned(tiny)

    def advantage(text: Tensor, group: Tensor) -> Tensor:
        return scores[text] - scores[text].view(-1, rows).mean(1)[group]

    found = expected_gradient(tiny, table, rows, advantage)
    assert torch.allclose(found, (1 - 1 / rows) * true_gradient(tiny, table, scores), atol=1e-12)


@pytest.mark.parametrize("rows", ROWS)
def test_grpo_is_biased(tiny: Any, rows: int) -> None:
    """Dividing by the group's own deviation turns the gradient, not only its length."""
    table, scores = tiny.table(1), earned(tiny)
    found = expected_gradient(tiny, table, rows, lambda text, group: group_normalised(scores[text], group))
    true = true_gradient(tiny, table, scores)
    cosine = float(torch.nn.functional.cosine_similarity(found.flatten(), true.flatten(), dim=0))
    assert 0.5 < cosine < 0.995


def test_grpo_with_two_samples_asks_only_which_is_better(tiny: Any) -> None:
    table, scores = tiny.table(1), earned(tiny)
    found = expected_gradient(tiny, table, 2, lambda text, group: group_normalised(scores[text], group))
    chance = tiny.probability(table)
    wins = ((scores[:, None] - scores).sign() * chance).sum(1) / 2**0.5
    assert torch.allclose(found, true_gradient(tiny, table, wins), atol=1e-12)


def test_reinforce_plus_plus_by_hand() -> None:
    returns = torch.tensor([[9.0, 1.0, 2.0], [9.0, 6.0, 9.0]])
    mask = torch.tensor([[False, True, True], [False, True, False]])
    found = batch_normalised(returns, mask)
    chosen = torch.tensor([1.0, 2.0, 6.0])
    assert torch.allclose(found[mask], (chosen - 3) / chosen.std(correction=0))
    assert (found[~mask] == 0).all()
    assert (batch_normalised(torch.full((2, 3), 5.0), mask) == 0).all()


def test_batch_scaled_rewards_have_texts_of_deviation_one() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(6, 4)
    assert float(batch_scaled(7 * rewards).sum(1).std(correction=0)) == pytest.approx(1)
    assert torch.allclose(batch_scaled(7 * rewards), batch_scaled(rewards))
    same = torch.ones(3, 4)
    assert torch.equal(batch_scaled(same), same)


def test_the_surplus_is_what_is_longer_than_free() -> None:
    mask = torch.tensor([[False, False, True, True, True], [False, True, True, False, False]])
    assert surplus(mask, 1).tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 0, 0]]
    assert surplus(mask, 0).sum() == mask.sum() and surplus(mask, 3).sum() == 0


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 1.0), (0.9, 1.0), (1.0, 0.8), (0.9, 0.5), (1.0, 0.0)])
def test_generalised_advantages_are_the_mixture_of_returns_of_every_length(discount: float, decay: float) -> None:
    """(1 - decay) sum_n decay**(n-1) (n-step return - V), the last one taking what is left (Schulman et al. 2016)."""
    torch.manual_seed(0)
    mask = torch.tensor([[False, True, True, True, True], [False, False, True, True, False]])
    rewards, values = (torch.where(mask, torch.randn(2, 5, dtype=torch.float64), 0.0) for _ in range(2))
    found = generalised(rewards, values, mask, discount, decay)
    for b in range(2):
        places = mask[b].nonzero().flatten().tolist()
        r, v = rewards[b, places].tolist(), [*values[b, places].tolist(), 0.0]
        for i in range(len(r)):
            left = len(r) - i
            steps = [
                sum(discount**k * r[i + k] for k in range(n)) + discount**n * v[i + n] - v[i]
                for n in range(1, left + 1)
            ]
            mixed = sum((1 - decay) * decay ** (n - 1) * steps[n - 1] for n in range(1, left))
            assert float(found[b, places[i]]) == pytest.approx(mixed + decay ** (left - 1) * steps[-1], abs=1e-12)
    assert (found[~mask] == 0).all()


def test_any_critic_leaves_the_expected_gradient_as_it_is(tiny: Any) -> None:
    """With decay 1: a value of the prefix does not depend on the token it is subtracted from."""
    table, scores = tiny.table(1), earned(tiny)
    values = torch.where(tiny.mask, torch.randn(len(table), dtype=torch.float64)[tiny.before], 0.0)
    last = tiny.mask & ~torch.nn.functional.pad(tiny.mask[:, 1:], (0, 1))
    rewards = torch.where(last, scores[:, None], 0.0)
    model = table.clone().requires_grad_()
    for decay, unbiased in ((1.0, True), (0.5, False)):
        weights = generalised(rewards, values, tiny.mask, 1.0, decay)
        found = torch.autograd.grad(tiny.expected(model, weights * tiny.logprobs(model)), model)[0]
        assert torch.allclose(found, true_gradient(tiny, table, scores), atol=1e-12) is unbiased
    exact = (tiny.probability(table)[:, None] * scores[:, None] * tiny.mask)[tiny.mask]
    right = torch.zeros(len(table), dtype=torch.float64).index_add(0, tiny.before[tiny.mask], exact)
    values = torch.where(tiny.mask, (right / tiny.reached(table))[tiny.before], 0.0)
    weights = generalised(rewards, values, tiny.mask, 1.0, 0.5)
    found = torch.autograd.grad(tiny.expected(model, weights * tiny.logprobs(model)), model)[0]
    assert torch.allclose(found, true_gradient(tiny, table, scores), atol=1e-12)
    assert not torch.allclose(weights, returns_to_go(rewards, tiny.mask, 1.0), atol=0.01)
