"""The scripts in benchmarks/ that measure the whole: they run, and what they say is so."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from argparse import Namespace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mgan.evaluation.metrics.bleu import ORDERS, bleu_scores, self_bleu_scores

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script by its name, as running it would."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # a script sets them for itself
        monkeypatch.setenv(variable, "1")
    known = set(sys.modules)

    def load(name: str) -> ModuleType:
        return import_module(name)

    yield load
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == BENCHMARKS:
            del sys.modules[name]


def run(name: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {"ours", "peer", "ratio", "work", "versions"} <= found.keys()
    return found


def test_the_sentences_are_zipfs_and_the_same_every_time(script: Any) -> None:
    texts = script("text_metrics").zipf(2000)
    assert texts == script("text_metrics").zipf(2000) != script("text_metrics").zipf(2000, seed=1)
    words = [word for text in texts for word in text]
    _, counts = np.unique(words, return_counts=True)
    counts = np.sort(counts)[::-1]
    assert 5 < counts[0] / counts[20] < 60
    pairs = [pair for text in texts for pair in pairwise(text)]
    shuffled = list(zip(words, np.random.default_rng(0).permutation(words).tolist(), strict=True))
    assert len(set(pairs)) < 0.9 * len(set(shuffled[: len(pairs)]))


def test_both_sides_of_the_text_metrics_score_alike(script: Any) -> None:
    metrics = script("metrics")
    texts = script("text_metrics").zipf(120)
    words, known = texts[:20], texts[20:]
    ours = bleu_scores(words, known, ORDERS), self_bleu_scores(words, ORDERS)
    for measure, scores in zip(("BLEU", "Self-BLEU"), ours, strict=True):
        if measure == "BLEU":
            assert np.allclose(scores.T, metrics.nltk_bleu(words, known, measure))
        try:
            theirs = metrics.fast_bleu_bleu(words, known, measure)
        except ImportError:
            continue
        assert np.allclose(scores, [theirs[n] for n in ORDERS])


def test_real_lines_are_taken_turn_about(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line {i}\n" for i in range(8)))
    words, known = script("text_metrics").texts(path, count=3, references=4)
    assert [text[1] for text in words] == ["1", "3", "5"] and [text[1] for text in known] == ["0", "2", "4", "6"]
    with pytest.raises(SystemExit, match=r"8 texts: 10 are needed"):
        script("text_metrics").texts(path, count=3, references=5)


@pytest.mark.parametrize(("power", "factor"), [(1.0, 3.0), (2.0, 0.1), (0.0, 5.0)])
def test_the_exponent_of_a_power_law_is_its_power(script: Any, power: float, factor: float) -> None:
    times = (1, 2, 4, 8)
    assert script("scaling").exponent(times, [factor * n**power for n in times]) == pytest.approx(power)


def test_nothing_grows_as_no_power(script: Any) -> None:
    assert script("scaling").exponent((1, 2), [0.0, 1.0]) is None


def test_a_point_has_the_time_and_the_memory_of_its_own_work(script: Any) -> None:
    scaling = script("scaling")

    def work(size: Any) -> Any:
        def step() -> None:
            torch.ones(size.batch * 2**18).sum()
            until = time.process_time() + 0.01 * math.log2(size.batch)
            while time.process_time() < until:
                pass

        return step

    # What is larger than 32 MiB is never put into a hole of memory that the process has already.
    small, large = (scaling.point(work, scaling.Size(batch=batch), 0.0) for batch in (64, 256))
    assert 180 < large["mb"] - small["mb"] < 204
    assert large["cpu_seconds"] > small["cpu_seconds"] > 0.039


def test_scaling_runs() -> None:
    record = run("scaling.py", "--quick")
    assert {work: set(axes) for work, axes in record["ours"].items()} == {
        "generator step": {"batch", "length", "vocabulary"},
        "likelihood update": {"batch", "length", "vocabulary"},
        "rollouts": {"batch", "length", "vocabulary", "rollouts"},
    }
    for axes in record["ours"].values():
        assert all(min(found["cpu_seconds"]) > 0 and len(found["mb"]) == 2 for found in axes.values())


def test_the_gpu_script_runs_its_small_sizes_on_a_cpu() -> None:
    began = time.monotonic()
    record = run("gpu.py", "--small")
    assert time.monotonic() - began < 60
    assert all(check["right"] for check in record["checks"].values()) and len(record["checks"]) == 10
    (model,) = record["models"]
    assert model["tokens_per_second"] > 0 and model["mfu"] > 0 and model["of_bandwidth"] > 0


def test_what_decoding_must_read_is_counted_step_by_step(script: Any) -> None:
    model = script("gpu").Model(
        "tiny", layers=3, hidden=8, heads=2, vocabulary=9, batch=5, length=2, texts=1, context=9
    )
    # Two steps: all weights each, and the keys and values of 8 and then of 9 tokens of 5 rows.
    assert model.bytes_read(1000) == 2 * (2 * 1000 + 2 * 3 * 8 * 5 * (8 + 9))


def test_the_text_metrics_say_what_they_did(script: Any) -> None:
    scores = script("text_metrics").ours(Namespace(data=None))()["scores"]
    assert all(0 < score < 1 for score in scores)
