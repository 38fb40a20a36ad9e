"""``mgan plan``: what a configuration takes of a device's memory, whether that fits, and what would make it fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mgan.config import PRETRAINED_JUDGES, Config
from mgan.planning.live import without_memory
from mgan.planning.phases import Phase, Run
from mgan.planning.players import discriminator, generator, vocabulary

GIB = 2**30
LIBRARIES = {"cpu": 0.6, "cuda": 0.6, "mps": 0.6}
"""GiB that are gone before a run holds anything: Python and its libraries on a CPU, the driver's context on a GPU."""


@dataclass(frozen=True)
class Advice:
    """change: fields to set. peak: bytes that the worst phase would take then."""

    change: str
    peak: int


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes, by phase and by what they are for. device: cpu, cuda or mps. memory: what the device has, libraries off.

    vocabulary: tokens that networks from scratch were given. advice: what would save memory, the most first; empty if
    the run fits.
    """

    device: str
    memory: int
    phases: tuple[Phase, ...]
    vocabulary: int
    advice: tuple[Advice, ...] = ()

    @property
    def worst(self) -> Phase:
        """The phase with the peak."""
        return max(self.phases, key=lambda phase: phase.total)

    @property
    def peak(self) -> int:
        return self.worst.total

    @property
    def fits(self) -> bool:
        return self.peak <= self.memory

    def as_json(self) -> dict[str, Any]:
        """Everything, in bytes."""
        phases = [
            {"name": p.name, "total": p.total, "moment": p.moment, "rows": p.rows, "waiting_on_cpu": p.waiting}
            for p in self.phases
        ]
        return {
            "device": self.device, "memory": self.memory, "peak": self.peak, "peak_phase": self.worst.name,
            "fits": self.fits, "vocabulary": self.vocabulary, "phases": phases,
            "advice": [asdict(one) | {"saves": self.peak - one.peak} for one in self.advice],
        }  # fmt: skip


def estimate(config: Config, memory: float | None = None) -> MemoryPlan:
    """The plan of a validated configuration. No weights are opened, and nothing is computed but shapes.

    memory: GiB of the device; None: this machine's. Raises UserError if a pretrained model's config.json cannot be had.
    """
    device = device_of(config)
    room = int(((memory_of(device) if memory is None else memory) - LIBRARIES[device]) * GIB)
    with without_memory():
        phases = _phases(config, device)
        found = MemoryPlan(device, room, phases, vocabulary(config))
        if found.fits:
            return found
        tried = [Advice(change, _peak(other, device)) for change, other in _changes(config, device)]
    advice = sorted((one for one in tried if one.peak < found.peak), key=lambda one: one.peak)
    return MemoryPlan(device, room, phases, found.vocabulary, tuple(advice))


def device_of(config: Config) -> str:
    """Where the configuration runs on this machine. A device that is not here can be planned for, too."""
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def memory_of(device: str) -> float:
    """GiB that this machine's device has; 0.0 if there is none."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory / GIB if torch.cuda.is_available() else 0.0
    if device == "mps":
        return torch.mps.recommended_max_memory() / GIB if torch.backends.mps.is_available() else 0.0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB


def _phases(config: Config, device: str) -> tuple[Phase, ...]:
    return tuple(Run(config, device, generator(config), discriminator(config)).phases())


def _peak(config: Config, device: str) -> int:
    return max(phase.total for phase in _phases(config, device))


def _changes(config: Config, device: str) -> Iterator[tuple[str, Config]]:
    """Fields that would save memory, each alone, and the configuration with it."""
    pretrained = config.generator.pretrained is not None
    judge = config.discriminator.architecture in PRETRAINED_JUDGES[::2]
    rows, batch, context = config.rows_per_step, config.pretrain.batch_size, config.generator.context
    wanted: list[tuple[bool, str, Any]] = [
        (config.adversarial.micro_batches < rows, "adversarial.micro_batches", rows),
        (batch > 1, "pretrain.batch_size", max(1, batch // 4)),
        (context > 16, "generator.context", context // 2),
        (pretrained and not config.generator.lora.rank, "generator.lora.rank", 16),
        (judge and not config.discriminator.lora.rank, "discriminator.lora.rank", 16),
        ((pretrained or judge) and not config.memory.checkpointing, "memory.checkpointing", True),
        (device == "cuda" and config.memory.optimizer == "adamw", "memory.optimizer", "adamw_8bit"),
        (device != "cpu" and (pretrained or judge) and not config.memory.offload, "memory.offload", True),
        (bool(config.generator.lora.rank) and config.memory.base == "fp32", "memory.base", "bf16"),
    ]
    for sensible, field, value in wanted:
        if sensible:
            yield f"{field}={str(value).lower()}", _changed(config, field.split("."), value)


def _changed(section: Any, path: list[str], value: Any) -> Any:
    first, *rest = path
    return section.model_copy(update={first: _changed(getattr(section, first), rest, value) if rest else value})
