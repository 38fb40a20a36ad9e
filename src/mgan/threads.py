"""How many CPU threads to compute with: no more than the machine really gives this process.

A rented machine shows all of its host's CPUs and gives a share of them. Threads beyond the share wait for each other,
and each wait costs more than the thread was worth. So the default is the smallest of torch's own, of the CPUs that this
process may use, and of its control group's quota.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""The environment variables by which a user tells torch how many threads to take."""


@dataclass(frozen=True)
class Threads:
    """count: threads of one operation. reason: where the number came from. limits: what the machine gives, by name."""

    count: int
    reason: str
    limits: dict[str, int]


def use(wanted: int | None = None) -> Threads:
    """Make torch compute with ``wanted`` threads; None: with as many as make sense here.

    What the user has told torch himself stands: by an environment variable, or by ``torch.set_num_threads``.
    """
    import torch  # takes seconds

    now = torch.get_num_threads()
    chosen = choose(now, machine(), wanted, os.environ)
    if chosen.count != now:
        torch.set_num_threads(chosen.count)
    return chosen


def choose(
    now: int, limits: dict[str, int], wanted: int | None, environment: os._Environ[str] | dict[str, str]
) -> Threads:
    """What ``use`` sets. now: threads that torch would take. limits: see ``machine``."""
    if wanted is not None:
        return Threads(wanted, "threads of the configuration", limits)
    for name in VARIABLES:
        if environment.get(name):
            return Threads(now, name, limits)
    cpus = limits["CPUs of this process"]
    # torch takes a thread a CPU or, with MKL, one a core of two CPUs; any other number is somebody's wish.
    if now not in (cpus, max(1, cpus // 2)):
        return Threads(now, "torch.set_num_threads", limits)
    candidates = {"torch's own default": now} | limits
    reason = min(candidates, key=lambda name: candidates[name])
    return Threads(candidates[reason], reason, limits)


def machine(root: Path = Path("/")) -> dict[str, int]:
    """The CPUs that this process may use and, where there is one, the quota of its control group in whole CPUs."""
    quota = cgroup_quota(root)
    return {"CPUs of this process": _cpus()} | ({} if quota is None else {"control group's quota": max(1, int(quota))})


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups of this process may use at once, v2 or v1; None: without limit.

    root: where ``proc`` and ``sys`` are. A group's limit holds for all groups below it, so the smallest one counts.
    """
    found = [quota for folder, version in _groups(root) if (quota := _quota(folder, version)) is not None]
    return min(found, default=None)


def _groups(root: Path) -> list[tuple[Path, int]]:
    """The folders of this process's CPU control groups and of all above them, each with its version."""
    mount, folders = root / "sys/fs/cgroup", list[tuple[Path, int]]()
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        # In a container the path is the host's, and what is mounted may be its end alone.
        above = [part.relative_to("/") for part in (PurePosixPath(path), *PurePosixPath(path).parents) if path]
        if not controllers:
            folders += [(mount / part, 2) for part in above]
        elif "cpu" in controllers.split(","):
            folders += [(mount / name / part, 1) for name in {controllers, "cpu"} for part in above]
    return folders


def _quota(folder: Path, version: int) -> float | None:
    if version == 2:
        words = _read(folder / "cpu.max").split()
    else:
        words = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
    try:
        quota, period = map(float, words)
    except ValueError:  # no such file, or "max"
        return None
    return quota / period if quota > 0 and period > 0 else None  # -1: without limit


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _cpus() -> int:
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
