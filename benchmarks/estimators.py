"""How far off, and how noisy: every estimator of the generator's gradient, where the exact one can be summed up.

    python benchmarks/estimators.py [--draws 20000]                       about a minute on one CPU thread

On a language of 40 texts (``toy_language.py``), with the discriminator held fixed, the gradient of the expected payoff
E[d] is a sum. Every estimator is the library's own: its sampler, rewards, advantages, losses, rollouts, soft texts. One
draw is the gradient of one batch. Writes benchmarks/results/estimators.json, of which docs/make_estimators.py makes the
table of docs/estimators.md.

bias      |mean of the draws - exact| / |exact|; noise: what that is on average where there is no bias
turned    the same, of the mean times the number that brings it nearest: what is left if only the step's length is off
variance  of one draw times the samples in it, summed over parameters, over |exact|^2: of a step, for each sample
p         that the mean of so many draws is as far off by chance: Hotelling's T^2 against a chi-square
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

import toy_language as toy
from by_slope import expanded, relaxed
from mgan.config import Game
from mgan.files import write_json
from mgan.fit.compute import Ledger
from mgan.game.estimators import all_action_loss, normalised_importance
from mgan.game.policy import clipped_loss, importance_loss
from mgan.game.signals import SIGNALS, returns_to_go, rewards_of_values
from mgan.game.values import reverse_kl as payoff
from mgan.models.logprobs import token_logprobs, weighted_logprobs
from mgan.sampling.rollouts import Plan, rollout_values
from mgan.training.critic import Critic
from mgan.training.players import advantages
from mgan.types import Batch
from toy_language import Players, Table

RESULT = Path(__file__).parent / "results" / "estimators.json"
ROWS, GROUPS, ROLLOUTS, CLIP, COLD = 8, 2, 4, 0.2, 0.7
"""Samples of a batch, of so many prompts; rollouts a position; PPO's clip range; ColdGAN's temperature."""
EXACT = 1e-9
"""Variances that are so much smaller than the largest are rounding."""
Draws = Callable[[Players, int, int], Tensor]
"""(players, draws, seed) to the estimates, [draws, V, V]."""


@dataclass(frozen=True)
class Estimator:
    """rows: samples in a draw. judged: texts that D reads for each sample. biased: by design."""

    name: str
    draws: Draws
    biased: bool = False
    rows: int = ROWS
    judged: str = "1"
    target: Callable[[Players], Tensor] = Players.exact


def policy_gradient(baseline: str, signal: str = "dense", later: bool = False, **fields: object) -> Draws:
    """Advantages of ``training.players`` with the loss that ``GeneratorUpdate`` takes. fields: of ``Game``.

    later: the samples are older than the generator, as in PPO's epochs after the first.
    """
    game = Game.model_validate({"baseline": baseline, "signal": signal, "kl": 0.0, **fields})

    def estimate(players: Players, draws: int, seed: int) -> Tensor:
        temperature = COLD if game.policy == "importance" else 1.0
        samples = toy.draw(players.generator, draws * ROWS, 2 * seed, temperature)
        rewards = _rewards(players, samples, game, 2 * seed + 1)
        weights = torch.cat(list(_advantages(players, samples, rewards, game)))
        generator = players.later().generator if later else players.generator
        return toy.gradients(generator, draws, lambda copies: _policy_loss(copies, samples, weights, game) / ROWS)

    return estimate


def _rewards(players: Players, samples: Batch, game: Game, seed: int) -> Tensor:
    if game.signal == "rollout":
        plan = Plan(game.rollouts, toy.LENGTH, toy.END, toy.END)
        worth = rollout_values(players.generator, players.discriminator, samples, payoff, plan, seed)
        return rewards_of_values(worth.values, samples.mask)
    return SIGNALS[game.signal](players.discriminator(samples.tokens), samples.mask, payoff)


def _advantages(players: Players, samples: Batch, rewards: Tensor, game: Game) -> Iterator[Tensor]:
    nothing = torch.zeros_like(rewards)
    values = _values(players, samples, game) if game.baseline == "critic" else None
    prompt = torch.arange(len(samples)) // (ROWS // GROUPS)
    if game.baseline not in ("per_position", "reinforce++"):
        yield advantages(rewards, samples, nothing, prompt, game, values)
        return
    for some in torch.split(torch.arange(len(samples)), ROWS):  # these look at the whole batch
        part = Batch(samples.tokens[some], samples.mask[some], samples.prompt_length[some], nothing[some])
        yield advantages(rewards[some], part, nothing[some], prompt[:ROWS], game)


def _values(players: Players, samples: Batch, game: Game) -> Tensor:
    """[B, L]: of a value head that has learned from other samples."""
    critic = Critic(players.generator, Ledger())
    past = toy.draw(players.generator, 4096, seed=-1)
    returns = returns_to_go(_rewards(players, past, game, seed=-1), past.mask, game.discount)
    critic.learn(critic.features(past), returns[past.mask])
    return critic.values(critic.features(samples), samples.mask)


def _policy_loss(generator: Table, samples: Batch, weights: Tensor, game: Game) -> Tensor:
    if game.policy == "gradient":
        return -weighted_logprobs(generator, samples.tokens, samples.mask, weights)[0]
    logprobs = token_logprobs(generator, samples.tokens, samples.mask)
    assert samples.logprobs is not None
    if game.policy == "importance":
        return importance_loss(logprobs, samples.logprobs, weights, 1 + CLIP).sum()
    return clipped_loss(logprobs, samples.logprobs, weights, CLIP).sum()


def maligan(players: Players, draws: int, seed: int) -> Tensor:
    samples = toy.draw(players.generator, draws * ROWS, seed)
    verdicts = players.discriminator.verdict(samples.tokens, samples.mask)
    weights = normalised_importance(verdicts, torch.arange(draws).repeat_interleave(ROWS))[:, None] * samples.mask
    return toy.gradients(
        players.generator, draws,
        lambda copies: -weighted_logprobs(copies, samples.tokens, samples.mask, weights)[0] / ROWS,
    )  # fmt: skip


def all_actions(completed: bool) -> Draws:
    """By the exact worth of every token after every prefix of one sample; or by one completion of each."""

    def estimate(players: Players, draws: int, seed: int) -> Tensor:
        samples = toy.draw(players.generator, draws, 2 * seed)
        if completed:
            worth = _one_completion(players, samples, 2 * seed + 1)
        else:
            worth = toy.worth_of_actions(players.generator, players.earned(), samples)[:, 1:][samples.mask[:, 1:]]

        def loss(copies: Table) -> Tensor:
            return all_action_loss(copies(samples.tokens[:, :-1])[samples.mask[:, 1:]].double(), worth).sum()

        return toy.gradients(players.generator, draws, loss)

    return estimate


def _one_completion(players: Players, samples: Batch, seed: int) -> Tensor:
    """[N, V]: the payoff of a text that has the prefix before each of the N masked positions, then each token."""
    row, position = samples.mask.nonzero().repeat_interleave(toy.VOCABULARY, 0).unbind(1)
    action = torch.arange(len(row)) % toy.VOCABULARY
    place = torch.arange(toy.LENGTH)
    tokens = torch.where(place < position[:, None], samples.tokens[row], 0)
    tokens[torch.arange(len(row)), position] = action
    given = Batch(tokens, torch.zeros_like(tokens, dtype=torch.bool), position + 1)
    open_ = (~toy.ended(tokens, given.prompt_length)).nonzero().squeeze(1)
    last = position.clone()
    done = toy.draw(players.generator, len(open_), seed, given=given.rows(open_))
    tokens[open_, : done.tokens.shape[1]], last[open_] = done.tokens, done.lengths - 1
    return payoff(players.discriminator.verdict(tokens, place <= last[:, None])).view(-1, toy.VOCABULARY).double()


ESTIMATORS = (
    Estimator("REINFORCE, whole text", policy_gradient("none", "sequence")),
    Estimator("REINFORCE, dense", policy_gradient("none")),
    Estimator("leave_one_out, whole text", policy_gradient("leave_one_out", "sequence")),
    Estimator("leave_one_out, dense", policy_gradient("leave_one_out")),
    Estimator("per_position, whole text", policy_gradient("per_position", "sequence")),
    Estimator("per_position, dense", policy_gradient("per_position")),
    Estimator("critic, whole text", policy_gradient("critic", "sequence")),
    Estimator("critic, dense", policy_gradient("critic")),
    Estimator(
        "rollouts (SeqGAN)", policy_gradient("none", "rollout", rollouts=ROLLOUTS),
        judged=f"1 + {ROLLOUTS} (L - 1)",
    ),
    Estimator(
        "rollouts, leave_one_out", policy_gradient("leave_one_out", "rollout", rollouts=ROLLOUTS),
        judged=f"1 + {ROLLOUTS} (L - 1)",
    ),
    Estimator("PPO, first epoch", policy_gradient("leave_one_out", policy="ppo")),
    Estimator("all actions, one completion each", all_actions(completed=True), rows=1, judged="V L"),
    Estimator("all actions, exact worth", all_actions(completed=False), rows=1, judged="all"),
    Estimator("dense, discount 0.9", policy_gradient("leave_one_out", discount=0.9), biased=True),
    Estimator("critic, GAE 0.5", policy_gradient("critic", gae_lambda=0.5), biased=True),
    Estimator("grpo", policy_gradient("grpo", "sequence"), biased=True),
    Estimator("reinforce++, dense", policy_gradient("reinforce++"), biased=True),
    Estimator(
        "PPO, a later epoch", policy_gradient("leave_one_out", later=True, policy="ppo"), biased=True,
        target=lambda players: players.later().exact(),
    ),
    Estimator("importance, samples at 0.7", policy_gradient("leave_one_out", policy="importance"), biased=True),
    Estimator("MaliGAN", maligan, biased=True, target=Players.exact_likelihood),
    Estimator("Gumbel-softmax, tau 1", relaxed(1.0), biased=True, rows=1),
    Estimator("Gumbel-softmax, tau 0.5", relaxed(0.5), biased=True, rows=1),
    Estimator("straight-through, tau 1", relaxed(1.0, straight_through=True), biased=True, rows=1),
    Estimator("straight-through, tau 0.5", relaxed(0.5, straight_through=True), biased=True, rows=1),
    Estimator("Taylor, bandwidth 0.35", expanded(0.35), biased=True, rows=1),
    Estimator("Taylor, all tokens alike", expanded(1e4), biased=True, rows=1),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """As the columns of the table; chi2 on ``freedom`` degrees of freedom."""

    name: str
    biased: bool
    judged: str
    bias: float
    noise: float
    turned: float
    variance: float
    chi2: float
    freedom: int
    p: float


def measure(estimator: Estimator, players: Players, draws: int, seed: int) -> Measured:
    exact = estimator.target(players).flatten()
    found = estimator.draws(players, draws, seed).flatten(1)
    mean, size = found.mean(0), exact.norm()
    spread = found.var(0).sum()
    chi2, freedom = hotelling(found - exact)
    turned = mean * (mean @ exact) / (mean @ mean) - exact
    return Measured(
        estimator.name, estimator.biased, estimator.judged, float((mean - exact).norm() / size),
        float((spread / draws).sqrt() / size), float(turned.norm() / size),
        float(spread * estimator.rows / size**2), chi2, freedom, chance(chi2, freedom),
    )  # fmt: skip


def hotelling(errors: Tensor) -> tuple[float, int]:
    """T^2 of the mean of [draws, K] errors, and in how many directions they vary; infinite if it is off in another.

    The gradient of a softmax never leaves a plane, and what an estimator knows exactly it has no noise in.
    """
    mean = errors.mean(0)
    variances, directions = torch.linalg.eigh(errors.t().cov())
    along, noisy = directions.t() @ mean, variances > EXACT * variances.max()
    if along[~noisy].abs().max() > EXACT**0.5 * variances.max().sqrt():
        return float("inf"), int(noisy.sum())
    return float(len(errors) * (along[noisy] ** 2 / variances[noisy]).sum()), int(noisy.sum())


def chance(chi2: float, freedom: int) -> float:
    """That a chi-square of so many degrees of freedom is larger."""
    return float(torch.special.gammaincc(torch.tensor(freedom / 2).double(), torch.tensor(chi2 / 2).double()))


def joint(measured: list[Measured]) -> tuple[float, int, float]:
    """Of all that should have no bias together: their draws are independent, so the chi-squares add."""
    fair = [one for one in measured if not one.biased]
    chi2, freedom = sum(one.chi2 for one in fair), sum(one.freedom for one in fair)
    return chi2, freedom, chance(chi2, freedom)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    players = Players.at(arguments.seed)
    measured = []
    for i, estimator in enumerate(ESTIMATORS):
        measured.append(measure(estimator, players, arguments.draws, arguments.seed + 1 + i))
        print(measured[-1], flush=True)
    together = dict(zip(("chi2", "freedom", "p"), joint(measured), strict=True))
    record = {
        **vars(arguments), "torch": torch.__version__, "joint": together,
        "estimators": [asdict(one) for one in measured],
    }  # fmt: skip
    write_json(RESULT, record)


if __name__ == "__main__":
    main()
