"""What a run writes down as it goes: metrics.jsonl, samples.jsonl, TensorBoard, and the listener's display."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from mgan.data.tokenizers import Tokenizer
from mgan.training.run import Run
from mgan.types import Batch, Progress, UserError

EXAMPLES = 5


class Events:
    """Logs begin at the sizes a checkpoint remembers: what a killed process wrote after it is written again."""

    def __init__(self, run: Run, tokenizer: Tokenizer, progress: Progress, sizes: Mapping[str, int]):
        self.tokenizer, self.progress = tokenizer, progress
        self.metrics, self.samples = run.metrics, run.samples
        self.metrics.cut(sizes["metrics"])
        self.samples.cut(sizes["samples"])
        # TensorBoard's step counts every logged line, so that a resumed run can take back what it writes again.
        self.lines = len(self.metrics.read())
        folder = str(run.path / "tensorboard")
        self.board = summary_writer()(folder, purge_step=self.lines) if run.config.tensorboard else None
        self.last = time.time()
        self.shown: Batch | None = None

    def start(self, phase: str, total: int, done: int) -> None:
        self.progress.start(phase, total, done)
        self.last = time.time()

    def log(self, phase: str, step: int, metrics: Mapping[str, float], examples: Batch | None) -> None:
        """One line a step. ``time`` is seconds since the epoch, ``throughput`` steps a second."""
        now = time.time()
        record: dict[str, Any] = {"phase": phase, "step": step}
        # JSON knows no infinity and no NaN.
        record |= {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        record |= {"time": round(now, 3), "throughput": round(1 / max(now - self.last, 1e-9), 3)}
        self.last = now
        self.metrics.append(record)
        if self.board is not None:
            for name, value in metrics.items():
                self.board.add_scalar(f"{phase}/{name}", value, self.lines)
        self.lines += 1
        if examples is not None and examples is not self.shown:
            self._show(phase, step, examples)
        self.progress.advance(phase, step, metrics)

    def say(self, sentence: str) -> None:
        self.progress.say(sentence)

    def sizes(self) -> dict[str, int]:
        return {"metrics": self.metrics.size, "samples": self.samples.size}

    def close(self) -> None:
        if self.board is not None:
            self.board.close()

    def _show(self, phase: str, step: int, examples: Batch) -> None:
        self.shown = examples
        some = examples.rows(slice(EXAMPLES))
        columns = (column.tolist() for column in (some.tokens, some.lengths, some.prompt_length))
        for tokens, length, given in zip(*columns, strict=True):
            text = self.tokenizer.whole(tokens[:length], given)
            record: dict[str, Any] = {"phase": phase, "step": step, "text": text}
            if self.tokenizer.labels:
                record["label"] = self.tokenizer.label_of(tokens)
            self.samples.append(record)


def summary_writer() -> Any:
    """TensorBoard's writer class; raises UserError where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("tensorboard=true needs the package tensorboard: pip install tensorboard") from error
    return SummaryWriter
