"""A study's record as Markdown: what was chosen, and every system's measures over its seeds."""

from __future__ import annotations

import math
from typing import Any

from mgan.bench.suite import Suite
from mgan.evaluation.tables import markdown, number, system_table, trained_table
from mgan.evaluation.tradeoff import NAMES


def table(record: dict[str, Any], suite: Suite) -> str:
    """The whole record, for people."""
    trees = list(record["seeds"].values())
    parts = [f"### {record['suite']}: {record['method']}\n", suite.method(record["method"]).about + ".\n"]
    if record["trials"]:
        parts.append(chosen(record))
    for system in trees[0]["systems"]:
        parts.append(f"**{NAMES.get(system, system)}** ({_seeds(len(trees))})\n")
        parts += [system_table(trees, system), trained_table(trees, system)]
    return "\n".join(part for part in parts if part)


def chosen(record: dict[str, Any]) -> str:
    """Every trial, the one with the lowest validation score marked."""
    best = min((trial["score"] for trial in record["trials"] if math.isfinite(trial["score"])), default=math.nan)
    fields = list(record["trials"][0]["settings"])
    rows = [
        [*(str(trial["settings"][name]) for name in fields), number(trial["nll"]),
         number(trial["score"]) + (" (chosen)" if trial["score"] == best else "")]
        for trial in record["trials"]
    ]  # fmt: skip
    return markdown([*(f"`{name}`" for name in fields), "validation NLL", "validation NLL + n-gram gap"], rows)


def _seeds(count: int) -> str:
    return "1 seed, ± over texts" if count == 1 else f"{count} seeds, ± over seeds"
