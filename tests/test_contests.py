"""What a configuration sets against maximum likelihood, and what it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgan.api import configure
from mgan.errors import UserError
from mgan.settings import load_config

BLEU = ["adversarial.reward=bleu", "adversarial.discriminator_steps=0", "game.signal=sequence", "warmup.steps=0"]

FORMULA = ["adversarial.reward=closed_form", "game.kl=0", "game.signal=sequence", "warmup.steps=0"]
NEAR = ["game.signal=near_data", "game.baseline=none", "game.kl=0"]


def test_what_stands_against_maximum_likelihood_follows_from_the_schedule() -> None:
    still, alone, third = ["adversarial.steps=0"], ["selfplay.iterations=2"], ["mediator.steps=1"]
    for overrides, contest in (([], "game"), (still, "residual"), ([*still, "warmup.steps=0"], None),
                               (alone, "self_play"), ([*alone, "warmup.steps=0"], "self_play"),
                               (third, "cooperative"), ([*third, *still], "residual"), (BLEU, "reward"),
                             (FORMULA, "closed_form"), ([*FORMULA[:3], *still], "residual")):  # fmt: skip
        assert load_config(overrides=overrides).contest == contest


def test_a_reward_that_is_not_learned_is_no_control() -> None:
    assert load_config(overrides=BLEU).adversarial.control is None
    frozen = [*BLEU[1:3], "adversarial.reward=discriminator"]
    assert load_config(overrides=frozen).adversarial.control == "frozen"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["mediator.steps=1", "selfplay.iterations=1"], "set one to 0"),
        (["mediator.steps=1", "memory.offload=true"], "mediator.steps needs two"),
        (["mediator.steps=1", "evaluation.controls=[random]"], "mediator.steps=0"),
        ([*BLEU, "evaluation.controls=[constant]"], "adversarial.reward=discriminator"),
        ([*BLEU, "adversarial.discriminator_steps=2"], "and adversarial.discriminator_steps=0"),
        ([*BLEU[:2], "game.signal=dense"], "it needs game.signal=sequence"),
        (["selfplay.iterations=31"], "selfplay.iterations (31) must be adversarial.steps (30) at most"),
        (["selfplay.iterations=1", "evaluation.controls=[frozen]"], "it needs adversarial.steps above 0 and"),
        (["adversarial.steps=0", "evaluation.controls=[random]"], "it needs adversarial.steps above 0 and"),
        (["game.policy=importance", "game.kl_estimator=k3"], "use game.kl_estimator=k1"),
        ([*FORMULA, "mediator.steps=1"], "closed_form is the whole of the opponent"),
        ([*FORMULA, "prompt.source=prefix"], "use prompt.source=data"),
        (FORMULA[:1], "it needs game.kl=0, game.signal=sequence"),
        (FORMULA[:3], "has no discriminator to warm up: set warmup.steps=0"),
        ([*FORMULA, "game.signal=rollout"], "it needs game.signal=sequence"),
        ([*FORMULA, "game.value=minimax", "adversarial.replay=2"], "use for game.value=minimax, adversarial.replay=2"),
        ([*FORMULA, "game.policy=ppo"], "it needs game.policy=gradient"),
        ([*FORMULA, "evaluation.controls=[frozen]"], "a discriminator that plays"),
        ([*NEAR, "game.baseline=per_position"], "it needs game.baseline=none"),
        ([*NEAR, "game.loss=bradley_terry"], "near_data needs game.loss=binary"),
        ([*NEAR, "evaluation.controls=[random]"], "evaluation.controls=[frozen]"),
        ([*NEAR, "mediator.steps=1"], "is a game against a discriminator"),
        (["adversarial.steps=0", "game.loss=contrastive", "game.signal=sequence"], "game.loss=binary"),
    ],
)
def test_games_that_do_not_exist(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        load_config(overrides=overrides)
    assert said in str(error.value)


def test_a_folder_that_is_called_generator_is_not_taken_for_the_generators_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "generator").mkdir()
    config = configure("tang", "gad", ["generator.pretrained=generator"])
    assert config.generator.pretrained == str(tmp_path / "generator")
    assert config.discriminator.pretrained == "generator"
    assert config.discriminator_source() == config.generator.pretrained
