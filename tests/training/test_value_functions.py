"""Every loss, payoff and regulariser in the game: it runs, it moves both players, and resuming it is exact."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.sections.values import PAYS
from mgan.training.adversarial import AdversarialGame
from mgan.training.warmup import Warmup
from mgan.training.world import Alphabet, World

PAIRS = [(f"{a}{b}", f"{c}{a}") for a in "abcd" for b in "abcd" for c in "abcd"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)
BOUNDED = {"discriminator": {"architecture": "cnn", "spectral_norm": True}}
GAMES: dict[str, dict[str, Any]] = {
    f"{loss}, {value}": {"game": {"loss": loss, "value": value, "signal": "sequence"}} | BOUNDED
    for loss, values in PAYS.items()
    for value in values
    if value != "feature_matching" and loss != "classes"
} | {
    "dense least squares": {"game": {"loss": "least_squares", "value": "critic"}},
    "prefix": {"game": {"signal": "prefix", "value": "signed_probability", "discount": 0.3}},
    "maligan": {"game": {"signal": "sequence", "baseline": "maligan", "kl": 0.0}},
    "smoothed": {"game": {"label_smoothing": 0.2}},
    "noisy": {"discriminator": {"embedding_noise": 0.5}},
    "rollouts of a critic": {
        "game": {"loss": "relativistic_average", "value": "relativistic_average", "signal": "rollout", "rollouts": 2}
    },
} | {
    f"{penalty} on {network}": {
        "game": {"loss": loss, "value": value, "signal": "sequence", "penalty": penalty},
        "adversarial": {"micro_batches": 3},
        "discriminator": {"architecture": network},
    }
    for network, loss, value, penalty in (
        ("lstm", "wasserstein", "critic", "gradient"),
        ("cnn", "wasserstein", "critic", "gradient"),
        ("seqgan", "binary", "reverse_kl", "r1"),
    )
}  # fmt: skip


def world(changes: dict[str, Any]) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8, "hidden": 8, "dropout": 0.0},
            "discriminator": {"hidden": 8, "dropout": 0.1, **changes.get("discriminator", {})},
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
    return created


def played(changes: dict[str, Any]) -> tuple[World, AdversarialGame]:
    made = world(changes)
    warmup = Warmup(made)
    warmup.begin()
    while not warmup.done:
        warmup.step()
    warmup.finish()
    game = AdversarialGame(made, "adversarial", made.settings.adversarial)
    game.begin()
    return made, game


@pytest.mark.parametrize("name", GAMES)
def test_a_game_moves_both_players_and_resumes_exactly(name: str) -> None:
    torch.manual_seed(0)
    made, game = played(GAMES[name])
    before = [copy.deepcopy(player.state_dict()) for player in (made.generator, made.discriminator)]
    game.step()
    for was, player in zip(before, (made.generator, made.discriminator), strict=True):
        assert any(not torch.equal(was[key], now) for key, now in player.state_dict().items())
    kept, state, numbers = copy.deepcopy(made.state_dict()), copy.deepcopy(game.state_dict()), torch.get_rng_state()
    expected = [game.step(), game.step()]

    other = world(GAMES[name])
    other.load_state_dict(kept)
    again = AdversarialGame(other, "adversarial", other.settings.adversarial)
    again.load_state_dict(state)
    torch.set_rng_state(numbers)
    assert [again.step(), again.step()] == expected
    assert ("d_penalty" in expected[0]) == ("penalty" in GAMES[name].get("game", {}))
