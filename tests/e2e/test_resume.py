"""A killed run goes on as if it had never been killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mgan

SETTINGS = ["--smoke", "--quiet", "evaluation.discriminator_steps=4", "evaluation.samples=12", "adversarial.steps=5"]
UNTIMED = ("time", "throughput")


def start(*arguments: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mgan", *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in UNTIMED} for line in lines]


def assert_same_run(run: Path, uninterrupted: Path) -> None:
    for name in ("generator/model.safetensors", "discriminator/model.safetensors", "samples.jsonl", "results.json"):
        assert (run / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    assert metrics(run) == metrics(uninterrupted)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, sentences: Path) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert start("train", "--data", sentences, "--run", run, *SETTINGS).wait() == 0
    return run


def kill_when(process: subprocess.Popen[bytes], run: Path, lines: int) -> None:
    """SIGKILL once the log has so many lines; 0: as soon as there is a run."""
    log = run / "metrics.jsonl"
    while process.poll() is None:
        logged = log.read_bytes().count(b"\n") if log.exists() else 0
        if logged >= lines and (run / "config.yaml").exists():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"


def kill_and_resume(run: Path, data: Path, moments: list[int], settings: list[str] = SETTINGS) -> None:
    process = start("train", "--data", data, "--run", run, *settings)
    kill_when(process, run, moments[0])
    for moment in moments[1:]:
        kill_when(start("resume", run, "--quiet"), run, moment)
    assert start("resume", run, "--quiet").wait() == 0


# In order: set-up, pre-training, the warm-up, the game, and twice: the game, then the baseline and the verdict.
@pytest.mark.parametrize(
    "moments", [[0], pytest.param([4], marks=pytest.mark.slow), pytest.param([9], marks=pytest.mark.slow), [13, 22]]
)
def test_killed_and_resumed_is_never_killed(
    moments: list[int], tmp_path: Path, sentences: Path, uninterrupted: Path
) -> None:
    kill_and_resume(tmp_path / "run", sentences, moments)
    assert_same_run(tmp_path / "run", uninterrupted)


def test_killed_in_a_control_it_goes_on_as_well(tmp_path: Path, sentences: Path) -> None:
    settings = [*SETTINGS, "evaluation.controls=[frozen]"]
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert start("train", "--data", sentences, "--run", whole, *settings).wait() == 0
    after_two_rounds = [line["phase"] for line in metrics(whole)].index("frozen") + 3
    kill_and_resume(run, sentences, [after_two_rounds], settings)
    assert_same_run(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(1, 21))
def test_killed_at_any_moment(moment: int, tmp_path: Path, sentences: Path, uninterrupted: Path) -> None:
    total = len(metrics(uninterrupted))
    kill_and_resume(tmp_path / "run", sentences, [moment * total // 21])
    assert_same_run(tmp_path / "run", uninterrupted)


def test_a_finished_run_is_left_as_it_is(uninterrupted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")}
    assert start("resume", uninterrupted).wait() == 0
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")} == before


@pytest.fixture
def killed(tmp_path: Path, uninterrupted: Path) -> Path:
    """A run that was killed after its game: no results yet, checkpoints in place."""
    import shutil

    run = tmp_path / "killed"
    shutil.copytree(uninterrupted, run)
    (run / "results.json").unlink()
    return run


def test_an_altered_checkpoint_is_refused_and_nothing_is_written(killed: Path) -> None:
    newest = max((killed / "checkpoints").iterdir())
    weights = newest / "tensors.safetensors"
    content = bytearray(weights.read_bytes())
    content[-10] ^= 1
    weights.write_bytes(content)
    log = (killed / "metrics.jsonl").read_bytes()
    with pytest.raises(mgan.UserError, match=r"altered.*delete that folder"):
        mgan.resume(killed)
    assert (killed / "metrics.jsonl").read_bytes() == log


def test_changed_data_is_refused(killed: Path, sentences: Path) -> None:
    text = sentences.read_text()
    try:
        sentences.write_text(text.replace("cat", "owl"))
        with pytest.raises(mgan.UserError, match=r"data\.path=.* has changed since the run began"):
            mgan.resume(killed)
    finally:
        sentences.write_text(text)


@pytest.mark.parametrize(
    ("line", "other"), [("  kl: 0.05", "  kl: 0.5"), ("seed: 0", "seed: 1"), ("  every: 2", "  every: 3")]
)
def test_a_changed_configuration_is_refused_by_its_line(killed: Path, line: str, other: str) -> None:
    text = (killed / "config.yaml").read_text()
    changed = re.sub(rf"^{line}(?= |$)", other, text, flags=re.MULTILINE)
    assert changed != text
    (killed / "config.yaml").write_text(changed)
    log = (killed / "metrics.jsonl").read_bytes()
    with pytest.raises(mgan.UserError, match=rf"config\.yaml has changed.*it said '{line.strip()}"):
        mgan.resume(killed)
    assert (killed / "metrics.jsonl").read_bytes() == log


def test_a_run_goes_on_with_another_number_of_threads(killed: Path, uninterrupted: Path) -> None:
    text = (killed / "config.yaml").read_text()
    assert "\nthreads: null\n" in text
    (killed / "config.yaml").write_text(text.replace("\nthreads: null\n", "\nthreads: 1\n"))
    assert mgan.resume(killed).finished
    assert_same_run(killed, uninterrupted)


def test_a_remark_in_the_configuration_changes_nothing(killed: Path) -> None:
    text = (killed / "config.yaml").read_text()
    (killed / "config.yaml").write_text("# a remark\n" + text)
    assert mgan.resume(killed).finished


@pytest.mark.parametrize("content", ["", '{"verdict": {"sent', "[]", "null", "{}", '{"verdict": 3}', '{"verdict": {}}'])
def test_damaged_results_are_one_sentence(killed: Path, content: str) -> None:
    (killed / "results.json").write_text(content)
    for look in (mgan.report, mgan.evaluate, lambda run: mgan.compare([run, run])):
        with pytest.raises(mgan.UserError, match=r"results\.json is cut short or altered.*mgan resume killed"):
            look(killed)


def test_an_unfinished_run_says_what_to_type(killed: Path) -> None:
    with pytest.raises(mgan.UserError, match="mgan resume killed"):
        mgan.load(killed)
