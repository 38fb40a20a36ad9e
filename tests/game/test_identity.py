"""What the mathematics of the game promises, on a tractable game: two Markov chains, every text enumerated.

Expectations are exact sums; there is no sampling and no tolerance for luck.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mgan.game.signals import (
    dense_rewards,
    final,
    others_mean,
    returns_to_go,
    rewards_of_values,
    sequence_rewards,
)
from mgan.game.values import PAYOFFS, discriminator_loss, minimax, nonsaturating, reverse_kl

Signal = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]

BOS, A, B, EOS, PAD = range(5)
LONGEST = 3


@dataclass(frozen=True)
class Toy:
    """Every text of at most LONGEST tokens: ended by EOS, or cut there as sampling would.

    tokens: [T, 1 + LONGEST], mask likewise; data, model: [4, 3] logits of A, B, EOS after each token.
    prefix: [T, 1 + LONGEST] which distinct prefix ends here. Everything in float64.
    """

    tokens: Tensor
    mask: Tensor
    prefix: Tensor
    data: Tensor
    model: Tensor

    @property
    def prompt_length(self) -> Tensor:
        return torch.ones(len(self.tokens), dtype=torch.long)

    def logprobs(self, chain: Tensor) -> Tensor:
        """[T, 1 + LONGEST]: log P(token | the token before), 0 off the mask."""
        table = chain.log_softmax(-1)
        before, token = self.tokens[:, :-1].clamp(max=B), (self.tokens[:, 1:] - 1).clamp(0, 2)
        return torch.nn.functional.pad(torch.where(self.mask[:, 1:], table[before, token], 0.0), (1, 0))

    def probability(self, chain: Tensor) -> Tensor:
        """[T]: P(text)."""
        return self.logprobs(chain).sum(1).exp()

    def log_ratio(self, model: Tensor) -> Tensor:
        """[T, 1 + LONGEST]: log p_data(prefix) - log P_model(prefix), from summed-up text probabilities."""
        count = int(self.prefix.max()) + 1
        marginal = []
        for chain in (self.data, model):
            weight = self.probability(chain)[:, None] * self.mask
            # Each text with this prefix adds its probability once.
            marginal.append(
                torch.zeros(count, dtype=torch.float64).index_add(0, self.prefix[self.mask], weight[self.mask])
            )
        ratio = marginal[0].log() - marginal[1].log()
        return torch.where(self.mask, ratio[self.prefix], 0.0)


@pytest.fixture(scope="session")
def toy() -> Toy:
    texts = [(*body, EOS) for n in range(LONGEST) for body in itertools.product((A, B), repeat=n)] + list(
        itertools.product((A, B), repeat=LONGEST)
    )
    width = 1 + LONGEST
    tokens = torch.full((len(texts), width), PAD)
    mask = torch.zeros(len(texts), width, dtype=torch.bool)
    prefix = torch.zeros(len(texts), width, dtype=torch.long)
    known: dict[tuple[int, ...], int] = {}
    for i, text in enumerate(texts):
        tokens[i, : 1 + len(text)] = torch.tensor([BOS, *text])
        mask[i, 1 : 1 + len(text)] = True
        for n in range(1, 1 + len(text)):
            prefix[i, n] = known.setdefault(text[:n], len(known))
    torch.manual_seed(7)
    data, model = torch.randn(2, 3, 3, dtype=torch.float64)
    return Toy(tokens, mask, prefix, data, model)


def policy_gradient_loss(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """-sum_i A_i log P(x_i | x_<i), summed over rows and positions."""
    return -(advantages.detach() * torch.where(mask, logprobs, 0.0)).sum()


def gradient(value: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(value, at)[0]


def expected_policy_gradient(toy: Toy, model: Tensor, rewards: Tensor) -> Tensor:
    """The gradient of the loss under the exact expectation: every text, weighted by its probability."""
    weight = toy.probability(model).detach()[:, None]
    returns = returns_to_go(rewards, toy.mask, 1.0)
    return gradient(policy_gradient_loss(toy.logprobs(model), returns * weight, toy.mask), model)


def test_the_toy_is_a_pair_of_distributions(toy: Toy) -> None:
    for chain in (toy.data, toy.model):
        assert float(toy.probability(chain).sum()) == pytest.approx(1)
    assert len(toy.tokens) == 15


def test_with_every_prefix_weighing_one_the_optimum_is_the_log_ratio_of_the_prefix(toy: Toy) -> None:
    ratio = toy.log_ratio(toy.model)
    d = torch.zeros(int(toy.prefix.max()) + 1, dtype=torch.float64, requires_grad=True)
    real = toy.probability(toy.data)[:, None] * toy.mask
    fake = toy.probability(toy.model)[:, None] * toy.mask
    optimizer = torch.optim.LBFGS([d], max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-15)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = discriminator_loss(d[toy.prefix], real, d[toy.prefix], fake)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.allclose(torch.where(toy.mask, d.detach()[toy.prefix], 0.0), ratio, atol=1e-5)


def test_averaging_each_text_by_its_length_would_move_the_optimum(toy: Toy) -> None:
    """The condition matters: the toy can tell the right weighing from the wrong one."""
    d = toy.log_ratio(toy.model)[toy.mask.nonzero(as_tuple=True)].new_zeros(int(toy.prefix.max()) + 1)
    d.index_put_((toy.prefix[toy.mask],), toy.log_ratio(toy.model)[toy.mask])
    d.requires_grad_(True)
    for weight, stationary in ((toy.mask.double(), True), (toy.mask / toy.mask.sum(1, keepdim=True), False)):
        real = toy.probability(toy.data)[:, None] * weight
        fake = toy.probability(toy.model)[:, None] * weight
        slope = gradient(discriminator_loss(d[toy.prefix], real, d[toy.prefix], fake), d)
        assert bool(slope.abs().max() < 1e-12) is stationary


def test_the_optimal_verdict_grows_by_the_log_ratio_of_each_token(toy: Toy) -> None:
    rewards = dense_rewards(toy.log_ratio(toy.model), toy.mask, reverse_kl)
    expected = toy.logprobs(toy.data) - toy.logprobs(toy.model)
    assert torch.allclose(rewards, expected, atol=1e-12)


@pytest.mark.parametrize("signal", [dense_rewards, sequence_rewards])
def test_reverse_kl_descends_the_divergence_of_the_generator_from_the_data(toy: Toy, signal: Signal) -> None:
    model = toy.model.clone().requires_grad_(True)
    probability = toy.probability(model)
    divergence = (probability * (probability.log() - toy.probability(toy.data).log())).sum()
    found = expected_policy_gradient(toy, model, signal(toy.log_ratio(toy.model), toy.mask, reverse_kl))
    assert torch.allclose(found, gradient(divergence, model), atol=1e-12)
    assert found.abs().max() > 0.01


def expected_payoff(toy: Toy, earned: Tensor) -> Tensor:
    """[T, 1 + LONGEST]: what rollouts estimate, the mean of what whole texts with the same prefix earn. earned: [T]."""
    chance = toy.probability(toy.model)[:, None] * toy.mask
    places = toy.prefix[toy.mask]
    total, weight = (
        torch.zeros(int(places.max()) + 1, dtype=torch.float64).index_add(0, places, some[toy.mask])
        for some in (chance * earned[:, None], chance)
    )
    return (total / weight)[toy.prefix]


@pytest.mark.parametrize("payoff", [minimax, nonsaturating, reverse_kl])
def test_what_completions_earn_has_the_gradient_of_what_the_text_earns(
    toy: Toy, payoff: Callable[[Tensor], Tensor]
) -> None:
    """SeqGAN's weight of token i is Q_i itself, and it is unbiased (Yu et al. 2017, eq. 6)."""
    torch.manual_seed(3)
    d = torch.randn(int(toy.prefix.max()) + 1, dtype=torch.float64)[toy.prefix]
    model = toy.model.clone().requires_grad_(True)
    rewards = rewards_of_values(expected_payoff(toy, payoff(final(d, toy.mask))), toy.mask)
    expected = expected_policy_gradient(toy, model, sequence_rewards(d, toy.mask, payoff))
    assert torch.allclose(expected_policy_gradient(toy, model, rewards), expected, atol=1e-12)
    assert not torch.allclose(rewards, sequence_rewards(d, toy.mask, payoff), atol=0.01)


@pytest.mark.parametrize("signal", [dense_rewards, sequence_rewards])
@pytest.mark.parametrize(
    ("payoff", "objective"),
    [
        (minimax, lambda d: torch.nn.functional.logsigmoid(-d)),
        (nonsaturating, lambda d: -torch.nn.functional.logsigmoid(d)),
        (reverse_kl, lambda d: -d),
    ],
)
def test_the_generator_descends_its_objective_with_the_discriminator_held_fixed(
    toy: Toy, signal: Signal, payoff: Callable[[Tensor], Tensor], objective: Callable[[Tensor], Tensor]
) -> None:
    """minimax: E_G[log(1 - D)]; nonsaturating: -E_G[log D]; reverse_kl: -E_G[d]. Any D, not the best one."""
    torch.manual_seed(3)
    d = torch.randn(int(toy.prefix.max()) + 1, dtype=torch.float64)[toy.prefix]
    last = toy.mask.sum(1)
    model = toy.model.clone().requires_grad_(True)
    objective_value = (toy.probability(model) * objective(d[torch.arange(len(d)), last])).sum()
    found = expected_policy_gradient(toy, model, signal(d, toy.mask, payoff))
    assert torch.allclose(found, gradient(objective_value, model), atol=1e-12)
    assert found.abs().max() > 0.01


def test_the_policy_gradient_is_the_slope_of_the_expected_reward(toy: Toy) -> None:
    """By finite differences, for rewards that depend on the whole prefix."""
    torch.manual_seed(4)
    rewards = torch.where(toy.mask, torch.randn(int(toy.prefix.max()) + 1, dtype=torch.float64)[toy.prefix], 0.0)
    found = expected_policy_gradient(toy, toy.model.clone().requires_grad_(True), rewards)
    step = 1e-6
    for state in range(3):
        for action in range(3):
            up, down = toy.model.clone(), toy.model.clone()
            up[state, action] += step
            down[state, action] -= step
            change = (toy.probability(up) - toy.probability(down)) @ rewards.sum(1) / (2 * step)
            assert float(-found[state, action]) == pytest.approx(float(change), abs=1e-7)


@pytest.mark.parametrize("rows", [2, 3])
def test_the_mean_of_the_others_leaves_the_expected_gradient_as_it_is(toy: Toy, rows: int) -> None:
    """Every way to draw two or three texts, each as a group of its own, weighted by its probability."""
    torch.manual_seed(5)
    rewards = torch.where(toy.mask, torch.randn(int(toy.prefix.max()) + 1, dtype=torch.float64)[toy.prefix], 0.0)
    model = toy.model.clone().requires_grad_(True)
    draws = torch.cartesian_prod(*[torch.arange(len(toy.tokens))] * rows)
    chance = toy.probability(model).detach()[draws].prod(1).repeat_interleave(rows)[:, None]
    text = draws.flatten()
    group = torch.arange(len(draws)).repeat_interleave(rows)
    mask = toy.mask[text]
    returns = returns_to_go(rewards[text], mask, 1.0)
    baseline = others_mean(returns, mask, toy.prompt_length[text], group)
    assert baseline.abs().max() > 0.1
    advantages = (returns - baseline) * chance
    found = gradient(policy_gradient_loss(toy.logprobs(model)[text], advantages, mask) / rows, model)
    expected = expected_policy_gradient(toy, model, rewards)
    assert torch.allclose(found, expected, atol=1e-12)


def test_paying_the_log_ratio_to_a_reference_anchors_by_their_divergence(toy: Toy) -> None:
    model = toy.model.clone().requires_grad_(True)
    probability = toy.probability(model)
    divergence = (probability * (probability.log() - toy.probability(toy.data).log())).sum()
    paid = -(toy.logprobs(toy.model) - toy.logprobs(toy.data))
    assert torch.allclose(expected_policy_gradient(toy, model, paid), gradient(divergence, model), atol=1e-12)


@pytest.mark.parametrize("name", sorted(PAYOFFS))
def test_at_the_data_nothing_is_left_to_gain(toy: Toy, name: str) -> None:
    """Where G is the data and D its best answer, the expected gradient is zero."""
    model = toy.data.clone().requires_grad_(True)
    rewards = dense_rewards(toy.log_ratio(toy.data), toy.mask, PAYOFFS[name])
    assert expected_policy_gradient(toy, model, rewards).abs().max() < 1e-12
