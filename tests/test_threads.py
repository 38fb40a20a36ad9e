from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mgan import threads
from mgan.config import Config
from mgan.training.compare import _groups

CPUS = "CPUs of this process"
QUOTA = "control group's quota"


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A fake root folder: /proc/self/cgroup and files under /sys/fs/cgroup."""
    placed = {root / "proc/self/cgroup": groups} | {root / "sys/fs/cgroup" / name: v for name, v in files.items()}
    for path, text in placed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


SHARED = "cpu,cpuacct/docker/a/cpu.cfs_"
V1 = "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n2:cpuset:/\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        # The tightest of a group and those above it; of no other group.
        ("0::/a/b\n", {"a/cpu.max": "100000 50000\n", "a/b/cpu.max": "300000 50000\n", "c/cpu.max": "1 100\n"}, 2.0),
        # A container that sees the host's path and its own files.
        ("0::/docker/123\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (V1, {f"{SHARED}quota_us": "150000", f"{SHARED}period_us": "50000"}, 3.0),
        (V1, {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1.5),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (V1, {"memory/cpu.cfs_quota_us": "1", "memory/cpu.cfs_period_us": "100"}, None),
        # Both versions mounted: the processor is still with the first.
        ("0::/\n" + V1, {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ("nonsense", {"cpu.max": "1 1 1"}, None),
    ],
)  # fmt: skip
def test_the_quota_of_the_control_group(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float | None
) -> None:
    assert threads.cgroup_quota(system(tmp_path, groups, files)) == expected


@pytest.mark.parametrize(("quota", "whole"), [("50000", 1), ("199999", 1), ("200000", 2), ("1050000", 10)])
def test_a_quota_is_rounded_down_but_not_to_nothing(tmp_path: Path, quota: str, whole: int) -> None:
    limits = threads.machine(system(tmp_path, "0::/\n", {"cpu.max": f"{quota} 100000\n"}))
    assert limits[QUOTA] == whole and limits[CPUS] >= 1


def test_a_machine_without_control_groups_has_its_cpus(tmp_path: Path) -> None:
    assert set(threads.machine(tmp_path)) == {CPUS}


@pytest.mark.parametrize(
    ("now", "limits", "count", "reason"),
    [
        (64, {CPUS: 64, QUOTA: 3}, 3, QUOTA),
        (32, {CPUS: 64, QUOTA: 48}, 32, "torch's own default"),
        (4, {CPUS: 4}, 4, "torch's own default"),
        # No default of torch's: somebody asked for it, be it wise or not.
        (16, {CPUS: 64, QUOTA: 3}, 16, "torch.set_num_threads"),
        (1, {CPUS: 64, QUOTA: 3}, 1, "torch.set_num_threads"),
    ],
)
def test_the_smallest_limit_counts_unless_the_user_has_spoken(
    now: int, limits: dict[str, int], count: int, reason: str
) -> None:
    assert threads.choose(now, limits, None, {}) == threads.Threads(count, reason, limits)


def test_the_environment_stands_and_the_configuration_stands_above_it() -> None:
    limits = {CPUS: 64, QUOTA: 2}
    told = {"OMP_NUM_THREADS": "64"}
    assert threads.choose(64, limits, None, told) == threads.Threads(64, "OMP_NUM_THREADS", limits)
    assert threads.choose(64, limits, None, {"OMP_NUM_THREADS": ""}).count == 2
    assert threads.choose(64, limits, 5, told) == threads.Threads(5, "threads of the configuration", limits)


def test_torch_takes_the_number_of_the_configuration() -> None:
    before = torch.get_num_threads()
    try:
        assert threads.use(3).count == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("said", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_openmp_lets_waiting_threads_sleep_unless_the_user_says_otherwise(said: str | None, policy: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE"} | ({"OMP_WAIT_POLICY": said} if said else {})
    code = "import mgan, mgan.cli.main, torch"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("this OpenMP does not say what it reads")
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr


def test_runs_that_differ_in_threads_are_of_one_configuration() -> None:
    runs = [SimpleNamespace(config=Config(seed=seed, threads=count)) for seed, count in ((0, None), (1, 4))]
    (group,) = _groups(runs)  # type: ignore[arg-type]
    assert group == runs
