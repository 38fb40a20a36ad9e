"""What must hold where a run has a task of its own."""

from __future__ import annotations

from mgan.sections.evaluation import Evaluation
from mgan.sections.text import ORACLE, Data, Prompt

PROMPTED = ("translation", "answering", "dialogue")
"""Tasks that answer a prompt of the data."""


def agree(data: Data, prompt: Prompt, evaluation: Evaluation) -> None:
    """Raises ValueError where the task does not go with the texts."""
    task = evaluation.task
    if task != "none" and data.path == ORACLE:
        raise ValueError(f"evaluation.task={task} measures text, and with data.path=oracle there is none")
    if task in PROMPTED and prompt.source != "data":
        raise ValueError(f"evaluation.task={task} measures answers to the prompts of the data: set prompt.source=data")
