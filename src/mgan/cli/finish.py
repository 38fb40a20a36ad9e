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
    results = run.results
    written = results["samples"][next(iter(results["systems"]))]
    for text in [text for text in written if text.strip()][:SAMPLES]:
        print(escaped(text))
    say_verdict(results["verdict"]["sentence"])
    note(f"report: {run.path / 'report.html'}")


def say_verdict(sentence: str) -> None:
    """The line a script looks for."""
    print("Verdict:", sentence.removeprefix("Verdict:").strip())
