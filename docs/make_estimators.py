"""Write what was measured into docs/estimators.md: python docs/make_estimators.py

It reads benchmarks/results/estimators.json, which benchmarks/estimators.py wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgan.files import write_text

PAGE = Path(__file__).with_name("estimators.md")
RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "estimators.json"
TABLES = re.compile(r"(<!-- tables: made by docs/make_estimators.py -->\n).*?(<!-- tables: end -->)", re.DOTALL)
SMALLEST = 0.001
Record = dict[str, Any]


def page(text: str, result: Path = RESULT) -> str:
    """The page with what stands between its markers made anew."""
    said = "\n".join(_tables(json.loads(result.read_text(encoding="utf-8"))))
    return TABLES.sub(lambda block: f"{block[1]}\n{said}\n\n{block[2]}", text)


def _tables(record: Record) -> Iterator[str]:
    yield f"{record['draws']:,} draws of each estimator.\n"
    yield "### Unbiased\n"
    yield from _table([one for one in record["estimators"] if not one["biased"]])
    yield "\nAll of them in one test: χ² = {chi2:.1f} on {freedom} degrees of freedom, p = {p:.3f}.\n".format(
        **record["joint"]
    )
    yield "### Biased by design\n"
    yield from _table([one for one in record["estimators"] if one["biased"]])


def _table(measured: list[Record]) -> Iterator[str]:
    yield "| estimator | texts judged a sample | variance a sample | bias | noise | turned | p |"
    yield "|---|---|---|---|---|---|---|"
    for one in measured:
        shares = " | ".join(f"{one[name]:.1%}" for name in ("bias", "noise", "turned"))
        p = f"{one['p']:.2f}" if one["p"] >= SMALLEST else f"< {SMALLEST}"
        yield f"| {one['name']} | {one['judged']} | {one['variance']:.1f} | {shares} | {p} |"


if __name__ == "__main__":
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
