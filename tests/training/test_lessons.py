"""Games of other losses, advantages and objectives: whom D meets, what is asked of it, and that resuming is exact."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.training.adversarial import AdversarialGame
from mgan.training.lessons import Lessons
from mgan.training.warmup import Warmup
from mgan.training.world import Alphabet, World

PAIRS = [(f"{a}{b}", f"{c}{a}") for a in "abcd" for b in "abcd" for c in "abcd"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)

GAD = {
    "game": {
        "loss": "bradley_terry", "signal": "sequence", "baseline": "grpo", "policy": "ppo", "kl_estimator": "k3",
        "mle": 0.0,
    },
    "adversarial": {
        "order": "interleaved", "samples_per_prompt": 4, "prompts_per_step": 4, "epochs": 2, "discriminator_steps": 1,
    },
}  # fmt: skip
TEXTGAIL = {
    "game": {
        "loss": "contrastive", "signal": "rollout", "rollouts": 2, "baseline": "leave_one_out", "kl_estimator": "k2",
        "reward_scale": "batch", "length_penalty": 0.1, "length_free": 1,
    },
    "adversarial": {"samples_per_prompt": 2, "prompts_per_step": 8, "micro_batches": 3},
}  # fmt: skip
CRITIC = {"game": {"baseline": "critic", "gae_lambda": 0.9, "policy": "ppo"}, "adversarial": {"epochs": 2}}
PLUS = {"game": {"baseline": "reinforce++"}, "adversarial": {"order": "interleaved", "discriminator_steps": 1}}
COLD = {
    "game": {"signal": "sequence", "value": "nonsaturating", "policy": "importance", "mle": 0.0},
    "adversarial": {"temperature": 0.7, "replay": 2, "discriminator_steps": 1},
}
REMINDED = {"game": GAD["game"], "adversarial": {"samples_per_prompt": 2, "prompts_per_step": 5, "replay": 1}}
GAMES = {
    "gad": GAD, "textgail": TEXTGAIL, "critic": CRITIC, "reinforce++": PLUS, "coldgan": COLD, "reminded": REMINDED,
}  # fmt: skip


def world(changes: dict[str, Any]) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "discriminator": {"hidden": 8, "dropout": 0.0},
            "warmup": {"steps": 2},
            "equilibrium": {"window": 1000},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
            "evaluation": {"samples": 16},
            "game": changes.get("game", {}),
            "adversarial": {"prompts_per_step": 16, "steps": 4, "evaluate_every": 2, **changes.get("adversarial", {})},
        }
    )
    rows = encode([Example(prompt, text) for prompt, text in PAIRS], TOKENIZER, context=8)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    with torch.no_grad():  # a head that is zero would pay nothing
        torch.nn.init.normal_(created.discriminator.head.weight)  # type: ignore[union-attr, arg-type]
    return created


def weights(player: torch.nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(player.state_dict())


@pytest.mark.parametrize("name", GAMES)
def test_a_round_moves_both_players_and_resumes_exactly(name: str) -> None:
    played, again = world(GAMES[name]), world(GAMES[name])
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)
    game.begin()
    start = weights(played.generator), weights(played.discriminator)
    metrics = game.step()
    assert all(map(math.isfinite, metrics.values()))
    for before, player in zip(start, (played.generator, played.discriminator), strict=True):
        assert any(not torch.equal(before[k], v) for k, v in player.state_dict().items())
    assert ("clipped" in metrics) == (GAMES[name]["game"].get("policy") == "ppo")
    assert ("zero_variance_groups" in metrics) == (name in ("gad", "textgail", "reminded"))
    assert ("explained_variance" in metrics) == (name == "critic")
    saved = copy.deepcopy((played.state_dict(), game.state_dict()))
    again.load_state_dict(saved[0])
    resumed = AdversarialGame(again, "adversarial", again.settings.adversarial)
    resumed.load_state_dict(saved[1])
    for _ in range(3):
        assert resumed.step() == game.step()


@pytest.mark.parametrize("name", ["gad", "textgail", "reminded"])
def test_what_is_compared_has_one_prompt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    played = world(GAMES[name])
    met: list[tuple[Any, Any]] = []
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)
    warmup = Warmup(played)
    for owner, attribute in ((game, "update_discriminator"), (warmup, "update")):
        update = getattr(owner, attribute)
        monkeypatch.setattr(owner, attribute, lambda real, fake, u=update: met.append((real, fake)) or u(real, fake))
    game.begin()
    game.step()
    warmup.begin()
    warmup.step()
    each = played.settings.adversarial.samples_per_prompt
    assert len(met) >= 2
    for real, fake in met:
        assert len(fake) == each * len(real)
        for i in range(len(fake)):
            given = int(fake.prompt_length[i])
            assert given == int(real.prompt_length[i // each]) == 3
            assert fake.tokens[i, :given].tolist() == real.tokens[i // each, :given].tolist()
        # Whole real texts, not their prompts.
        assert {tuple(row[:6].tolist()) for row in real.tokens} <= {tuple(played.train.row(j)[0]) for j in range(64)}


def test_interleaved_judges_one_set_of_samples_before_d_learns_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    played = world(PLUS)
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)
    game.begin()
    events: list[tuple[str, Any]] = []
    judge, update = game.signal.judge, game.update_discriminator
    monkeypatch.setattr(
        game.signal, "judge", lambda drawn, *rest: events.append(("judge", drawn.samples)) or judge(drawn, *rest)
    )
    monkeypatch.setattr(
        game, "update_discriminator", lambda real, fake: events.append(("learn", fake)) or update(real, fake)
    )
    draws = game.draws
    game.step()
    assert [event for event, _ in events] == ["judge", "learn"]
    assert events[0][1] is events[1][1] and game.draws == draws + 1


def test_the_level_of_a_comparing_discriminator_says_nothing_about_its_accuracy() -> None:
    played = world(GAD)
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)
    held = game.held_real.at(0)
    found = []
    for level in (0.0, 50.0):
        with torch.no_grad():
            played.discriminator.head.bias.add_(level)  # type: ignore[union-attr]
        fake = torch.zeros(16)
        found.append(game.lessons.accuracy(played.discriminator, held, fake, 5)[1])
    assert found[0] == found[1] and 0 <= found[0] <= 1
    assert game.lessons.told_apart(torch.tensor([51.0, 52.0]), torch.tensor([50.0, 53.0])) == 0.5


def test_a_language_model_learns_from_whole_texts_and_gains_nothing_by_their_lengths() -> None:
    """The level, which all texts share, would be pushed without end if longer texts counted more."""
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 16, "hidden": 8},
            "discriminator": {"architecture": "language_model", "hidden": 8, "dropout": 0.0},
            "game": {"loss": "wasserstein", "value": "critic", "signal": "dense"},
            "adversarial": {"prompts_per_step": 16},
        }
    )
    real, fake = (
        encode([Example("", ("abcd" * 3)[i % 4 :][:length]) for i in range(16)], TOKENIZER, context=16)
        for length in (8, 4)
    )
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (real, real, real))
    update = Lessons(created, settings.adversarial, created.ledger("warmup")).update(created.discriminator)
    judge = created.discriminator
    long, short = (rows.batch(list(range(16))) for rows in (real, fake))
    before = weights(judge)
    for _ in range(10):
        update(long, short)
    after = weights(judge)
    assert float(after.pop("level")) == float(before.pop("level")) == 0.0
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items()), "it learned nothing at all"


def test_groups_that_are_paid_alike_are_counted_and_teach_nothing() -> None:
    played = world({"game": GAD["game"] | {"kl": 0.0}, "adversarial": GAD["adversarial"] | {"reward": "constant"}})
    game = AdversarialGame(played, "adversarial", played.settings.adversarial)
    game.begin()
    before = weights(played.generator)
    assert game.step()["zero_variance_groups"] == 4
    assert all(torch.equal(before[name], tensor) for name, tensor in played.generator.state_dict().items())
