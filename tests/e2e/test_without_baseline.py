"""evaluation.baseline=false: a study trains its baseline in a run of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mgan
from mgan.planning.estimate import estimate
from mgan.training.run import Run

SETTINGS = ["evaluation.baseline=false", "evaluation.controls=[constant]"]


@pytest.fixture(scope="module")
def run(many_sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        return mgan.train(many_sentences, overrides=SETTINGS, smoke=True, run=tmp_path_factory.mktemp("runs") / "bare")


def test_nothing_is_claimed_against_likelihood(run: Run) -> None:
    verdict = run.results["verdict"]
    assert verdict["outcome"] == "none"
    assert "evaluation.baseline=false" in verdict["sentence"]
    assert [*run.results["systems"]] == ["adversarial", "constant"]
    assert "baseline" not in run.results["compute"]
    other = Run(shutil.copytree(run.path, run.path.with_name("other")))
    written = other.path / "config.yaml"
    written.write_text(written.read_text().replace("seed: 0", "seed: 1", 1))
    with pytest.raises(mgan.UserError, match=r"evaluation\.baseline=false"):
        mgan.compare([run.path, other.path])


def test_its_controls_are_still_held_against_it(run: Run) -> None:
    compared = run.results["verdict"]["controls"]["constant"]
    assert {one["measure"] for one in compared["comparisons"]} >= {"held-out NLL"}
    assert "ours − constant" in run.report.read_text()


def test_the_plan_leaves_it_out(run: Run) -> None:
    names = [phase.name for phase in estimate(run.config).phases]
    assert "adversarial" in names and "baseline" not in names
