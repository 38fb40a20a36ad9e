"""Phases: pre-training, warm-up, the adversarial loop, the verdict; checkpoints and the run folder."""

from mgan.training.compare import compare
from mgan.training.review import evaluate, report
from mgan.training.runner import resume, train

__all__ = ["compare", "evaluate", "report", "resume", "train"]
