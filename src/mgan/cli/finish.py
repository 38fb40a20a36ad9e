"""How ``train`` and ``resume`` end: a few samples and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mgan.cli.display import note
from mgan.cli.generate import escaped

if TYPE_CHECKING:
    from mgan.training.run import Run

SAMPLES = 5


def finish(run: Run) -> None:
    """Samples and the verdict to stdout, the verdict last; where the report is to stderr."""
    for text in run.load().generate(n=SAMPLES, seed=0):
        print(escaped(text))
    print("Verdict:", run.results["verdict"]["sentence"].removeprefix("Verdict:").strip())
    note(f"report: {run.path / 'report.html'}")
