"""SeqGAN's game from end to end: what the completions of each prefix earn is what its tokens are paid."""

from __future__ import annotations

from pathlib import Path

import mgan


def test_a_game_paid_by_rollouts(tmp_path: Path, sentences: Path) -> None:
    overrides = ["game.signal=rollout", "game.rollouts=3", "evaluation.temperatures=[1.0]"]
    run = mgan.train(sentences, run=tmp_path / "run", smoke=True, overrides=overrides)
    rounds = [entry for entry in run.metrics.read() if entry["phase"] == "adversarial" and "g_loss" in entry]
    assert len(rounds) == 3 and all("reward" in entry for entry in rounds)
    # Three rollouts of every prefix of four texts: far more tokens than the texts themselves have.
    assert rounds[-1]["tokens"] > 3 * 4 * 30 * 3
    assert run.results["verdict"]["sentence"]
