"""docs/extending.md: its program and recipe as they stand there, and what goes wrong with a function of one's own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import mgan
from mgan.game.losses import PAYOFFS
from mgan.sections.game import VALUES
from mgan.sections.values import PAYS

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What a test named is unknown again to the next."""
    values, pays, payoffs = [*VALUES], dict(PAYS), dict(PAYOFFS)
    yield
    VALUES[:] = values
    for known, before in ((PAYS, pays), (PAYOFFS, payoffs)):
        known.clear()
        known.update(before)  # type: ignore[arg-type]


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_s_program_plays_a_game(sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poems.txt").write_bytes(sentences.read_bytes())
    (tmp_path / "bounded.yaml").write_text(block("yaml"), encoding="utf-8")
    program, call = block("python"), 'mgan.train("poems.txt", "bounded.yaml")'
    assert call in program and len(program.partition("run =")[0].strip().splitlines()) <= 10
    told: dict[str, object] = {}
    exec(program.replace(call, call[:-1] + ", smoke=True)"), told)
    run = told["run"]
    assert isinstance(run, mgan.training.run.Run)
    assert run.config.game.value == "bounded" and run.config.recipe == "bounded"
    steps = [line for line in run.metrics.read() if line["phase"] == "adversarial" and "reward" in line]
    length = max(line["length"] for line in steps)
    assert steps and all(abs(line["reward"]) <= 4 * length for line in steps)
    assert mgan.resume(run.path).results == run.results, "what is finished is found again"


def test_it_pays_what_it_says() -> None:
    @mgan.value_function("halved")
    def halved(logits: torch.Tensor) -> torch.Tensor:
        return logits / 2

    assert mgan.load_config("mgan", ["game.value=halved"]).game.value == "halved"
    assert math.isclose(float(PAYOFFS["halved"](torch.tensor(3.0))), 1.5)
    mgan.value_function("halved", "hinge")(lambda logits: logits / 3)
    assert math.isclose(float(PAYOFFS["halved"](torch.tensor(3.0))), 1.0), "the newest counts"
    assert mgan.load_config("mgan", ["game.value=halved", "game.loss=hinge"]).game.loss == "hinge"
    with pytest.raises(mgan.UserError, match="another meaning"):
        mgan.load_config("mgan", ["game.value=halved"])


def test_where_it_would_not_be_paid_it_is_refused() -> None:
    mgan.value_function("mine", "bradley_terry")(lambda logits: logits)
    with pytest.raises(mgan.UserError, match="nothing is paid"):
        mgan.load_config("relgan", ["game.value=mine"])


@pytest.mark.parametrize("name", ["reverse_kl", "a-b", ""])
def test_a_name_that_is_taken_or_none_is_refused(name: str) -> None:
    with pytest.raises(mgan.UserError, match="name must be a new one"):
        mgan.value_function(name)


def test_a_loss_that_is_none_is_refused() -> None:
    with pytest.raises(mgan.UserError, match="loss must be one of binary"):
        mgan.value_function("mine", "hindge")


def test_an_unknown_value_is_a_sentence_with_the_known_ones() -> None:
    with pytest.raises(mgan.UserError, match=r"game\.value: expected one of minimax, .*, got \"bounded\""):
        mgan.load_config("mgan", ["game.value=bounded"])
