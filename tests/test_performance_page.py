"""The page of the performance says what the records say."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_performance.py"))


def side(seconds: float, mb: int, **more: Any) -> dict[str, Any]:
    return {"cpu_seconds": {"min": seconds, "median": seconds}, "wall_seconds_min": seconds, "peak_mb": mb} | more


def record(what: str = "64 texts", peer: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "ours": side(0.5, 300, of_limit=0.617),
        "peer": side(4.0, 1250) if peer else None,
        "ratio": {"median": 8.1, "low": 7.7, "high": 8.4} if peer else None,
        "work": {"what": what, "flops": None, "tokens": None},
        "threads": 1,
        "changes": "its CUDA was switched off" if peer else "",
        "missing": "" if peer else "give --peer its folder",
        "command": "python benchmarks/mle.py",
        "machine": {"processor": "Z80", "cores": 1},
        "versions": {"torch": "2.13"},
    } | more


def test_the_page_is_fresh(made: dict[str, Any]) -> None:
    assert made["page"](PAGE) == PAGE, "run: python docs/make_performance.py"
    assert {name for _, name, _ in made["BLOCK"].findall(PAGE)} == set(made["BLOCKS"])


def test_a_record_is_a_row_with_all_its_figures(made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mle.json").write_text(json.dumps(record()))
    page = made["page"](PAGE, tmp_path)
    assert "| **maximum likelihood, LSTM 32**: 64 texts | 0.5 | 4 | 8.1 [7.7, 8.4] | 1.5 | 62 % | 300; 1,250 |" in page
    assert "- maximum likelihood, LSTM 32: its CUDA was switched off." in page
    assert "- `python benchmarks/mle.py`: Z80, 1 cores, 1 thread; torch 2.13." in page


def test_what_has_no_record_is_a_row_that_says_so(made: dict[str, Any], tmp_path: Path) -> None:
    page = made["page"](PAGE, tmp_path)
    assert page.count("| not measured |") == len(made["WORKS"])
    assert "svg" not in page
    assert "Not measured yet: no accelerator" in page


def test_a_peer_that_was_absent_leaves_its_cells_empty(made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "seqgan-step.json").write_text(json.dumps(record(peer=False)))
    page = made["page"](PAGE, tmp_path)
    assert "| **SeqGAN generator step, 16 rollouts**: 64 texts | 0.5 | – | – | 12 | 62 % | 300 |" in page
    assert "- SeqGAN generator step, 16 rollouts: not timed. give --peer its folder" in page


def test_a_record_inside_a_record_is_a_row_with_a_target_of_its_own(made: dict[str, Any], tmp_path: Path) -> None:
    both = record("generator step", discriminator=record("discriminator step"))
    (tmp_path / "relgan-step.json").write_text(json.dumps(both))
    rows = [line for line in made["page"](PAGE, tmp_path).splitlines() if "8.1 [7.7, 8.4]" in line]
    assert [(row.split(" | ")[0], row.split(" | ")[4]) for row in rows] == [
        ("| **RelGAN generator step**: generator step", "2"),
        ("| **RelGAN discriminator step**: discriminator step", "6"),
    ]


def test_the_pictures_are_the_same_bytes_every_time(made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mle.json").write_text(json.dumps(record()))
    for folder in ("once", "again"):
        made["draw"](tmp_path, tmp_path / folder)
    drawn = (tmp_path / "once" / "ratios.svg").read_bytes()
    assert b"target" in drawn and drawn == (tmp_path / "again" / "ratios.svg").read_bytes()


ABOUT = {key: record()[key] for key in ("threads", "command", "machine", "versions")}


def test_the_growth_is_shown_and_drawn(made: dict[str, Any], tmp_path: Path) -> None:
    series = {"cpu_seconds": [0.01, 0.02], "mb": [1.0, 2.5], "time": 1.0, "memory": None}
    growth = {"ours": {"update": {"length": series}}, "base": {"update": {"batch": 3000}}, "times": [1, 2], "hidden": 9}
    (tmp_path / "scaling.json").write_text(json.dumps(growth | ABOUT))
    page = made["page"](PAGE, tmp_path)
    assert "LSTM players of 9; at x1: update: batch 3,000." in page
    assert "| update | length | 0.01 | 0.02 | n^1.00 | – |" in page
    made["draw"](tmp_path, tmp_path)
    assert b"linear" in (tmp_path / "scaling.svg").read_bytes()


def test_a_gpu_is_named_with_its_figures_and_a_cpu_is_none(made: dict[str, Any], tmp_path: Path) -> None:
    model = {
        "name": "GPT-2", "parameters": 137.6e6, "batch": 64, "length": 256, "tokens_per_second": 50_000,
        "hugging_face_tokens_per_second": 20_000, "of_bandwidth": 0.512, "training_tokens_per_second": 300_000,
        "mfu": 0.4, "peak_gib": 12.34,
    }  # fmt: skip
    chip = {
        "chip": "A1", "precision": "bf16", "models": [model], "copy_gb_per_second": 4000.0, "matrix_tflops": 700.0,
        "checks": {"rows that are the same": {"value": 1.0, "right": True}},
    }  # fmt: skip
    for name, shown in (("A1", True), ("cpu", False)):
        (tmp_path / "gpu.json").write_text(json.dumps(chip | ABOUT | {"chip": name}))
        page = made["page"](PAGE, tmp_path)
        row = "| GPT-2, 138 M | 64 x 256 | 50,000 | 20,000 | 51 % | 300,000 | 40 % | 12.3 |"
        assert (row in page) == shown and ("no accelerator" in page) != shown
        assert ("- rows that are the same: 1.0" in page) == shown


def test_sampling_ahead_is_a_row_a_network(made: dict[str, Any], tmp_path: Path) -> None:
    ratio = {"median": 1.2, "low": 0.9, "high": 1.31}
    row = {"what": "LSTM, 1 thread", "serial": 0.5, "ahead": 0.4, "ratio": ratio, "cpu_ratio": ratio}
    (tmp_path / "overlap.json").write_text(json.dumps({"rows": [row], "spare": ratio | {"median": 1.9}} | ABOUT))
    expected = "| LSTM, 1 thread | 0.5 | 0.4 | 1.20 [0.90, 1.31] | 1.20 [0.90, 1.31] |"
    page = made["page"](PAGE, tmp_path)
    assert expected in page and "in two threads at that time: 1.90 [0.90, 1.31]." in page
