"""How ``train`` and ``resume`` end: a few samples and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mgan.cli.display import note
from mgan.data.escapes import escaped

if TYPE_CHECKING:
    from mgan.training.run import Run

SAMPLES = 5


def finish(run: Run) -> None:
    """Samples and the verdict to stdout, the verdict last; where the report is to stderr."""
    from mgan.evaluation.reproduce import changes

    results = run.results
    written = results["samples"][next(iter(results["systems"]))]
    labels = results.get("labels", {}).get("samples") or [None] * len(written)
    shown = [(label, text) for label, text in zip(labels, written, strict=True) if text.strip()]
    for label, text in shown[:SAMPLES]:
        print(escaped(text) if label is None else f"[{escaped(label)}] {escaped(text)}")
    if changes(run.config)[0]:
        note("a smoke run shows that everything works: its networks learn next to nothing, and their texts are noise")
    say_verdict(results["verdict"]["sentence"])
    note(f"report: {run.path / 'report.html'}")


def say_verdict(sentence: str) -> None:
    """The line a script looks for."""
    print("Verdict:", sentence.removeprefix("Verdict:").strip())
