"""``mgan doctor``."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mgan.cli.speed import Speed

PACKAGES = ("mgan", "torch", "transformers", "tokenizers", "accelerate", "safetensors", "datasets", "numpy", "scipy")
EXTRAS = {
    "tensorboard": ("tensorboard",),
    "metrics": ("sacrebleu", "sentence-transformers", "model2vec"),
    "gguf": ("gguf",),
    "lora": ("peft",),
    "memory": ("bitsandbytes",),
    "trl": ("trl",),
}
GIB = 2**30


def doctor(
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, metavar="S", help="How long the self-benchmark takes, about.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what mgan finds on this machine: versions, devices, threads, precision, and how fast it is."""
    from mgan.cli.speed import measure

    record = survey()
    count = record["threads"]["count"]
    speed = measure(seconds, count)
    record["speed"] = speed.as_json()
    record["remarks"] = [*_waiting(record), *speed.remarks(count)]
    print(json.dumps(record, ensure_ascii=False, indent=2) if as_json else _page(record, speed))


def survey() -> dict[str, Any]:
    """What is here, unmeasured. Memory in GiB."""
    from dataclasses import asdict

    from mgan import threads

    chosen = threads.use()
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "extras": {extra: {name: _version(name) for name in packages} for extra, packages in EXTRAS.items()},
        "devices": _devices(),
        "threads": asdict(chosen) | {"wait_policy": os.environ.get("OMP_WAIT_POLICY", "")},
        "precision": _precision(),
        "cache": _cache(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    import torch

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = [{"device": "cpu", "name": _processor(), "memory": round(pages / GIB, 1)}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = round(properties.total_memory / GIB, 1)
        found.append({"device": f"cuda:{index}", "name": properties.name, "memory": memory})
    if torch.backends.mps.is_available():
        memory = round(torch.mps.recommended_max_memory() / GIB, 1)
        found.append({"device": "mps", "name": platform.processor(), "memory": memory})
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _precision() -> dict[str, str]:
    """What the devices can compute in; how fast a CPU is in bf16, the benchmark shows."""
    import torch

    found = {"cpu": f"fp32, bf16 ({torch.backends.cpu.get_cpu_capability()})"}
    if torch.cuda.is_available():
        native = torch.cuda.get_device_capability() >= (8, 0)
        tf32 = torch.get_float32_matmul_precision() != "highest"
        found["cuda"] = "fp32, bf16, tf32 " + ("on" if tf32 else "off") if native else "fp32; neither bf16 nor tf32"
    if torch.backends.mps.is_available():
        found["mps"] = "fp32, bf16"
    return found


def _cache() -> dict[str, Any]:
    from mgan.data.cache import root

    folder = root()
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return {"path": str(folder), "free": round(shutil.disk_usage(there).free / GIB, 1)}


def _waiting(record: dict[str, Any]) -> list[str]:
    threads = record["threads"]
    if threads["count"] > 1 and threads["wait_policy"].upper() != "PASSIVE":
        return ["OMP_WAIT_POLICY is not PASSIVE: waiting threads spin, which slows a shared machine down manyfold"]
    return []


def _page(record: dict[str, Any], speed: Speed) -> str:
    from mgan.cli.columns import aligned

    threads, cache = record["threads"], record["cache"]
    limits = ", ".join(f"{name} {count}" for name, count in threads["limits"].items())
    facts = [
        *((name, number or "absent") for name, number in record["versions"].items()),
        *((f"extra {extra}", _present(packages)) for extra, packages in record["extras"].items()),
        *((d["device"], f"{d['name']}, {d['memory']:g} GiB") for d in record["devices"]),
        *((f"precision, {device}", kinds) for device, kinds in record["precision"].items()),
        ("threads", f"{threads['count']}, by {threads['reason']} ({limits})"),
        ("wait policy", threads["wait_policy"] or "the system's"),
        ("cache", f"{cache['path']}, {cache['free']:g} GiB free"),
    ]
    places = list(speed.rates[0].by_place)
    rates = [(r.work, *(f"{r.by_place[place]:,.0f}" for place in places), r.unit) for r in speed.rates]
    blocks = [aligned(facts), aligned([("speed", *places, "unit"), *rates]), "\n".join(record["remarks"])]
    return "\n\n".join(block for block in blocks if block)


def _present(packages: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {number or 'absent'}" for name, number in packages.items())
