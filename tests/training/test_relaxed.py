"""Moves through relaxed texts: whose gradient it is, where it goes, when it is drawn; and that resuming is exact."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import test_lessons as toy
import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.errors import UserError
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll
from mgan.game.features import around, mmd2
from mgan.game.values import relativistic
from mgan.models import relgan
from mgan.settings import load_config
from mgan.training.adversarial import AdversarialGame
from mgan.training.lessons import Drawn
from mgan.training.phases import Control
from mgan.training.relaxed import Relaxed, paired
from mgan.training.world import Alphabet, World

GUMBEL = {"signal": "gumbel", "baseline": "none", "kl": 0.0}
GAMES: dict[str, dict[str, Any]] = {
    "gsgan": {"game": {"value": "nonsaturating", "mle": 0.0}, "discriminator": {"architecture": "lstm"}},
    "relgan": {
        "game": {"loss": "bradley_terry"},
        "generator": {"architecture": "relational"},
        "discriminator": {"architecture": "relgan"},
        "adversarial": {"samples_per_prompt": 2, "prompts_per_step": 8, "order": "generator_first"},
    },
    "textgan-mmd": {"game": {"value": "feature_matching"}, "discriminator": {"architecture": "cnn"}},
    "hinge": {
        "game": {"loss": "hinge", "value": "critic"},
        "discriminator": {"architecture": "cnn"},
        "adversarial": {"order": "interleaved", "discriminator_steps": 1},
    },
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relgan, "FILTERS", 6)


def world(name: str, **adversarial: Any) -> World:
    game = GAMES[name]
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "heads": 2, "dropout": 0.0, **game.get("generator", {})},
            "discriminator": {"hidden": 8, "heads": 2, "dropout": 0.0, **game["discriminator"]},
            "warmup": {"steps": 2},
            "equilibrium": {"window": 1000},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
            "evaluation": {"samples": 16},
            "game": GUMBEL | {"tau": 0.25} | game["game"],
            "adversarial": {
                "prompts_per_step": 16, "steps": 4, "evaluate_every": 2, **game.get("adversarial", {}), **adversarial,
            },
        }
    )  # fmt: skip
    rows = encode([Example(prompt, text) for prompt, text in toy.PAIRS], toy.TOKENIZER, context=8)
    alphabet = Alphabet(toy.TOKENIZER.vocabulary_size, toy.TOKENIZER.eos, toy.TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    with torch.no_grad():  # a head that is zero would have no gradient
        torch.nn.init.normal_(created.discriminator.head.weight)  # type: ignore[union-attr, arg-type]
    created.keep("warm", created.discriminator)
    created.outcomes["adversarial"] = {"rounds": "4"}
    return created


def started(name: str, **adversarial: Any) -> AdversarialGame:
    played = world(name, **adversarial)
    return AdversarialGame(played, "adversarial", played.settings.adversarial)


def relaxed(drawn: Drawn, weight: Tensor) -> Tensor:
    """[B, L, E]: the relaxed texts with every operation in autograd's own hands."""
    soft = drawn.soft
    assert soft is not None
    logits = soft.output(soft.features)
    noise = (soft.temperature * soft.probabilities.log() - logits).detach()
    y = ((logits + noise) / soft.temperature).softmax(-1)
    hard = one_hot(drawn.samples.tokens, len(weight)).float()
    free = torch.where(drawn.samples.mask[:, soft.given :, None], y.transpose(0, 1), hard[:, soft.given :])
    return torch.cat([hard[:, : soft.given], free], 1) @ weight


@pytest.mark.parametrize("name", GAMES)
def test_the_generators_move_is_autograds_and_the_discriminator_gets_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = started(name, clip=1e9)
    signal, judge, generator = game.signal, game.discriminator, game.generator
    assert isinstance(signal, Relaxed)
    drawn, real = game._draw(0, for_generator=True)(), game.real.at(1)
    assert drawn.soft is not None and drawn.soft.temperature == 1.0
    texts = paired(game.lessons.real(drawn, real), len(drawn.samples))
    judge.eval()
    soft: Any = relaxed(drawn, judge.embedding.weight)  # type: ignore[union-attr, arg-type]
    embedded = judge.embedding(texts.tokens)  # type: ignore[union-attr, operator]
    fake, theirs = (judge.judge(e, b.mask) for e, b in ((soft, drawn.samples), (embedded, texts)))  # type: ignore[operator]
    losses = {
        "gsgan": lambda: softplus(-fake).mean(),
        "relgan": lambda: relativistic(fake, theirs).mean(),
        "hinge": lambda: -fake.mean(),
        "textgan-mmd": lambda: mmd2(
            aim := judge.represent(embedded, texts.mask).detach(),  # type: ignore[operator]
            judge.represent(soft, drawn.samples.mask),  # type: ignore[operator]
            around(aim),
        ),
    }
    loss = losses[name]()
    total = loss + signal.game.mle * nll(generator, real) / len(real)
    expected = torch.autograd.grad(total, list(generator.parameters()), retain_graph=True)
    judged = signal.judge(drawn, real, 0, 0)
    monkeypatch.setattr(signal.optimizer, "step", lambda: None)
    found = judged.learn()
    assert found["g_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert ("mle_loss" in found) == (name != "gsgan")
    for parameter, gradient in zip(generator.parameters(), expected, strict=True):
        assert parameter.grad is not None and torch.allclose(parameter.grad, gradient, rtol=1e-3, atol=1e-5)
    assert any(float(gradient.abs().max()) > 1e-4 for gradient in expected)
    assert all(p.grad is None and p.requires_grad for p in judge.parameters())


@pytest.mark.parametrize("name", GAMES)
def test_the_discriminator_learns_and_the_generator_gets_nothing(name: str) -> None:
    game = started(name)
    drawn = game._draw(0, for_generator=name == "hinge")()
    assert drawn.soft is not None and drawn.soft.features.requires_grad == (name == "hinge")
    before = copy.deepcopy(game.discriminator.state_dict())
    found = game._discriminator_moves(drawn)
    assert math.isfinite(found["d_loss"]) and 0 <= found["train_accuracy"] <= 1
    assert any(not torch.equal(before[k], v) for k, v in game.discriminator.state_dict().items())
    assert all(p.grad is None for p in game.generator.parameters())


@pytest.mark.parametrize("name", GAMES)
def test_a_round_moves_both_players_and_resumes_exactly(name: str) -> None:
    game = started(name)
    game.begin()
    first, drawn = copy.deepcopy(game.generator.state_dict()), list[bool]()
    draw = game.signal.draw
    game.signal.draw = lambda *given: drawn.append(given[-1]) or draw(*given)  # type: ignore
    metrics = game.step()
    assert drawn == {"interleaved": [True], "generator_first": [True, False, False]}.get(
        game.settings.order, [False, False, True]
    )
    assert all(map(math.isfinite, metrics.values())) and {"heldout_accuracy", "kl", "entropy", "tau"} <= set(metrics)
    assert "reward" not in metrics and "zero_variance_groups" not in metrics
    assert any(not torch.equal(first[k], v) for k, v in game.generator.state_dict().items())
    saved, again = copy.deepcopy((game.world.state_dict(), game.state_dict())), world(name)
    again.load_state_dict(saved[0])
    resumed = AdversarialGame(again, "adversarial", again.settings.adversarial)
    resumed.load_state_dict(saved[1])
    for _ in range(2):
        assert resumed.step() == game.step()


def test_the_temperature_falls_over_the_runs_own_rounds() -> None:
    signal = started("gsgan").signal
    assert isinstance(signal, Relaxed)
    assert [signal.tau(i) for i in range(5)] == pytest.approx([0.25 ** (i / 4) for i in (0, 1, 2, 3, 3)])


def test_its_control_is_a_frozen_discriminator_that_the_generator_still_follows() -> None:
    control = Control(world("gsgan"), "frozen")
    control.begin()
    before = copy.deepcopy((control.generator.state_dict(), control.discriminator.state_dict()))
    assert "d_loss" not in control.step()
    assert any(not torch.equal(before[0][k], v) for k, v in control.generator.state_dict().items())
    assert all(torch.equal(before[1][k], v) for k, v in control.discriminator.state_dict().items())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["game.kl=0.1"], "and that needs game.kl=0$"),
        (
            ["game.baseline=per_position", "adversarial.temperature=0.7"],
            "game.baseline=none, adversarial.temperature=1",
        ),
        (["adversarial.micro_batches=2"], "adversarial.micro_batches=1"),
        (["adversarial.replay=2"], "adversarial.replay=0"),
        (["generator.architecture=transformer"], "generator.architecture=lstm or relational, from scratch"),
        (["generator.pretrained=gpt2"], "generator.architecture=lstm or relational, from scratch"),
        (["discriminator.architecture=seqgan"], "discriminator.architecture=lstm or cnn or relgan, not seqgan"),
        (["game.value=feature_matching", "discriminator.architecture=relgan"], "shows its features"),
        (["game.loss=contrastive", "game.value=reverse_kl"], "not contrastive"),
        (["evaluation.controls=[random]"], r"evaluation.controls=\[frozen\]"),
        (["adversarial.steps=0"], "adversarial.steps above 0"),
        (["game.signal=sequence", "game.value=feature_matching"], "needs game.signal=gumbel"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("gsgan", overrides)
