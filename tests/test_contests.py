"""What a configuration sets against maximum likelihood, and what it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgan.api import configure
from mgan.errors import UserError
from mgan.settings import load_config


def test_what_stands_against_maximum_likelihood_follows_from_the_schedule() -> None:
    still, alone = ["adversarial.steps=0"], ["selfplay.iterations=2"]
    for overrides, contest in (([], "game"), (still, "residual"), ([*still, "warmup.steps=0"], None),
                               (alone, "self_play"), ([*alone, "warmup.steps=0"], "self_play")):  # fmt: skip
        assert load_config(overrides=overrides).contest == contest


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["selfplay.iterations=31"], "selfplay.iterations (31) must be adversarial.steps (30) at most"),
        (["selfplay.iterations=1", "evaluation.controls=[frozen]"], "it needs adversarial.steps above 0 and"),
        (["adversarial.steps=0", "evaluation.controls=[random]"], "it needs adversarial.steps above 0 and"),
        (["game.policy=importance", "game.kl_estimator=k3"], "use game.kl_estimator=k1"),
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
