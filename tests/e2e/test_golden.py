"""Twenty rounds through the command line, number by number: a change that moves them must say why.

`MGAN_UPDATE_GOLDEN=1 pytest tests/e2e/test_golden.py` writes the trajectory anew.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mgan.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "twenty_rounds.jsonl"
KEYS = ("d_loss", "g_loss", "mle_loss", "d_real", "d_fake", "heldout_accuracy", "entropy", "kl", "distinct_2", "length")
SETTINGS = [
    "pretrain.max_steps=40", "pretrain.learning_rate=0.01", "warmup.steps=10", "adversarial.steps=20",
    "adversarial.prompts_per_step=16", "evaluation.discriminator_steps=2", "equilibrium.window=1000",
]  # fmt: skip


def test_twenty_rounds(tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    arguments = ["mgan", "train", "--data", str(sentences), "--run", str(run), "--smoke", "--quiet", *SETTINGS]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rounds = [{k: line[k] for k in KEYS} for line in lines if line["phase"] == "adversarial" and line["step"]]
    assert len(rounds) == 20
    if os.environ.get("MGAN_UPDATE_GOLDEN"):
        GOLDEN.write_text("".join(json.dumps(r) + "\n" for r in rounds))
    golden: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    # Sums in another order (another CPU) move the sixth digit; anything that matters moves more.
    for number, (found, expected) in enumerate(zip(rounds, golden, strict=True), 1):
        assert found == pytest.approx(expected, rel=2e-3, abs=2e-4), f"round {number}"
