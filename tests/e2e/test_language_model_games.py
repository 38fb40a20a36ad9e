"""Whole runs of the games that language models are tuned with: compared texts, groups, clipped ratios, a value head."""

from __future__ import annotations

from pathlib import Path

import pytest

import mgan

QUICK = ["evaluation.temperatures=[1.0]", "device=cpu", "adversarial.discriminator_steps=1"]


@pytest.mark.parametrize(
    ("choices", "measured"),
    [
        (
            ["game.loss=bradley_terry", "game.signal=sequence", "game.baseline=grpo", "game.policy=ppo", "game.mle=0",
             "game.kl_estimator=k3", "adversarial.samples_per_prompt=3", "adversarial.epochs=2",
             "adversarial.order=interleaved"],
            {"clipped", "zero_variance_groups"},
        ),
        (["game.baseline=critic", "game.gae_lambda=0.9", "game.length_penalty=0.01"], {"explained_variance"}),
    ],
)  # fmt: skip
def test_a_whole_run(choices: list[str], measured: set[str], tmp_path: Path, questions: Path) -> None:
    run = mgan.train(questions, run=tmp_path / "run", smoke=True, overrides=[*QUICK, *choices])
    rounds = [entry for entry in run.metrics.read() if entry["phase"] == "adversarial" and "g_loss" in entry]
    assert rounds and all(measured <= set(entry) and 0 <= entry["heldout_accuracy"] <= 1 for entry in rounds)
    assert run.results["verdict"]["sentence"]
