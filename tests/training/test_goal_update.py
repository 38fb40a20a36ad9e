"""The update of a manager and a worker: who is paid what, what leaks and when, and what the ledger counts."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.errors import UserError
from mgan.fit.compute import Ledger, of_update
from mgan.fit.hardware import Hardware
from mgan.game.goals import intrinsic_rewards, manager_loss
from mgan.models.leakgan import LeakGANGenerator
from mgan.models.logprobs import token_logprobs
from mgan.settings import load_config
from mgan.training.adversarial import AdversarialGame
from mgan.training.goals import GoalUpdate, generator_update
from mgan.training.phases import paid_updates, plan
from mgan.training.players import GeneratorUpdate
from mgan.training.world import Alphabet, World
from mgan.types import Batch

TEXTS = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
TOKENIZER = train(TEXTS, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def world(architecture: str = "leakgan", mle: float = 1.0, **adversarial: Any) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {
                "architecture": architecture, "context": 8, "hidden": 8, "dropout": 0.0,
                "tied": architecture == "lstm",
            },
            "discriminator": {"architecture": "seqgan", "hidden": 8, "dropout": 0.0, "from_generator": False},
            "pretrain": {"max_steps": 3},
            "equilibrium": {"window": 1000},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
            "game": {
                "value": "probability", "signal": "rollout", "rollouts": 2, "baseline": "rank", "kl": 0.0, "mle": mle,
            },
            "adversarial": {"prompts_per_step": 8, "steps": 4, "average": 0.0, "generator_rate": 0.01, **adversarial},
            "evaluation": {"samples": 16},
        }
    )  # fmt: skip
    rows = encode([Example("", text) for text in TEXTS], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    with torch.no_grad():
        for parameter in (*created.generator.parameters(), *created.discriminator.parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter))
    created.keep("pretrained", created.generator)
    return created


def drawn(played: World) -> tuple[Batch, Batch, Tensor]:
    real = played.batches(played.train, 1).at(0)
    samples = played.write(played.generator, real, 3)
    return samples, real, torch.rand(samples.mask.shape) * samples.mask


def leaked(played: World) -> LeakGANGenerator:
    return cast(LeakGANGenerator, played.generator)


def same_features(played: World) -> bool:
    ours, theirs = played.generator.state_dict(), played.discriminator.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs if name.startswith(("embedding", "convolu")))


def test_the_worker_climbs_what_it_is_paid_by_the_goals_and_the_manager_the_verdict() -> None:
    """The step's gradients against those of the two equations; both optimizers at a rate of nearly 0."""
    played = world(mle=0.0, generator_rate=1e-12)
    generator, (samples, real, worth) = leaked(played), drawn(played)
    update = GoalUpdate(played, played.settings.adversarial.model_copy(update={"clip": 1e9}), Ledger())
    found = update(samples, worth, real)

    gradients = {name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None}
    generator = leaked(again := world())
    mask, prompt = samples.mask, samples.prompt_length
    features, goals = generator.guidance(samples.tokens)
    paid = intrinsic_rewards(features, goals, mask, 4)
    weights = torch.zeros_like(paid)
    for i in range(mask.shape[1]):
        rows = mask[:, i].nonzero().flatten().tolist()
        for row in rows:
            others = [float(paid[other, i]) for other in rows if other != row]
            weights[row, i] = paid[row, i] - (sum(others) / len(others) if others else float(paid[row, i]))
    assert (prompt == 1).all() and weights.abs().max() > 0.01
    loss = -(weights * token_logprobs(again.generator, samples.tokens, mask)).sum() / len(samples)
    manager = manager_loss(features, goals, worth, mask, 4) / len(samples)
    (loss + manager).backward()
    assert found["g_loss"] == pytest.approx(float(loss.detach()), abs=1e-5)
    assert found["manager_loss"] == pytest.approx(float(manager.detach()), abs=1e-5)
    assert found["goal_reward"] == pytest.approx(float(paid[mask].mean()), abs=1e-5)
    assert {name.partition(".")[0] for name in gradients} == {"worker", "psi", "output", "manager"}
    for name, parameter in generator.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and torch.allclose(gradients[name], parameter.grad, atol=1e-5), name


def test_pieces_make_no_difference() -> None:
    found = []
    for pieces in (1, 3):
        played = world(micro_batches=pieces)
        samples, real, worth = drawn(played)
        metrics = GoalUpdate(played, played.settings.adversarial, Ledger())(samples, worth, real)
        found.append((metrics, {k: v.clone() for k, v in played.generator.state_dict().items()}))
    for name, value in found[0][0].items():
        assert found[1][0][name] == pytest.approx(value, abs=1e-4)
    assert all(torch.allclose(value, found[1][1][name], atol=1e-3) for name, value in found[0][1].items())


def test_the_generators_move_ends_with_a_leak() -> None:
    played = world()
    samples, real, worth = drawn(played)
    update = generator_update(played, played.settings.adversarial, Ledger())
    assert isinstance(update, GoalUpdate) and not same_features(played)
    before = leaked(played).guidance(samples.tokens)[0]
    update(samples, worth, real)
    assert same_features(played) and not torch.equal(leaked(played).guidance(samples.tokens)[0], before)
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)  # G moves last
    game.begin()
    game.step()
    assert same_features(played)
    assert all(torch.equal(v, played.generator.state_dict()[k]) for k, v in game.average.module.state_dict().items())
    first = world(order="generator_first")
    game = AdversarialGame(first, "adversarial", first.settings.adversarial)
    game.begin()
    game.step()
    assert not same_features(first), "D has moved since"


def test_other_generators_have_the_plain_update() -> None:
    played = world("lstm")
    assert type(generator_update(played, played.settings.adversarial, Ledger())) is GeneratorUpdate
    assert list(plan(played))[:4] == ["pretrain", "warmup", "adversarial", "baseline"]


def test_likelihood_once_more_begins_with_a_leak() -> None:
    played = world()
    phases = plan(played)
    assert list(phases)[:5] == ["pretrain", "warmup", "leaked", "adversarial", "baseline"]
    phase = phases["leaked"](played)
    assert same_features(played)
    phase.begin()
    while not phase.done:
        phase.step()
    phase.finish()
    assert same_features(played) and phase.steps == 3 and played.ledgers["leaked"].flops > 0
    kept = played.kept["pretrained"]
    assert all(torch.equal(value, kept[name]) for name, value in played.generator.state_dict().items())


def test_a_fresh_discriminator_begins_with_nothing_that_leaked() -> None:
    played = world()
    phase = plan(played)["leaked"](played)
    phase.finish()
    warm, fresh, later = (
        d.convolutions[0].weight  # type: ignore[index, union-attr]
        for d in (played.discriminator, played.new_discriminator(), played.new_discriminator())
    )
    assert torch.equal(played.kept["pretrained"]["convolutions.0.weight"], warm), "which has leaked"
    assert not torch.isclose(fresh, warm).any() and not torch.isclose(later, fresh).any()
    with pytest.raises(UserError, match=r"set discriminator\.from_generator=false"):
        load_config("leakgan", overrides=["discriminator.from_generator=true"])


def test_the_baseline_goes_on_from_the_leaked_generator_and_is_not_given_its_cost_twice() -> None:
    played = world()
    phases = plan(played)
    leaked = phases["leaked"](played)
    leaked.begin()
    leaked.step()
    leaked.finish()
    played.ledger("warmup").flops, played.ledger("adversarial").flops = 10**9, 10**10
    baseline = phases["baseline"](played)
    mine, theirs = baseline.generator.state_dict(), played.generator.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    owed = paid_updates(played)
    played.ledger("leaked").flops *= 1000
    assert baseline.total == paid_updates(played) == owed > 0


def test_the_ledger_counts_both_parts() -> None:
    played, ledger = world(), Ledger()
    samples, real, worth = drawn(played)
    GoalUpdate(played, played.settings.adversarial, ledger)(samples, worth, real)
    generator, tokens = leaked(played), samples.tokens.numel()
    updates = of_update(played.generator) * (tokens + real.tokens.numel())
    assert ledger.flops == pytest.approx(updates + generator.flops_per_guidance * tokens)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("discriminator.architecture=cnn", "discriminator.architecture=seqgan and discriminator.hidden=64"),
        ("discriminator.hidden=32", "discriminator.architecture=seqgan and discriminator.hidden=64"),
        ("generator.tied=true", "set generator.tied=false"),
        ("mediator.steps=1", "no other opponent"),
        ("game.kl=0.1", "game.kl_estimator=k2 or k3"),
    ],
)
def test_what_does_not_go_with_a_leak_is_refused(change: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("leakgan", [change])
