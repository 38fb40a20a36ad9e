"""What must hold where a run has a task of its own."""

from __future__ import annotations

from mgan.sections.evaluation import Evaluation
from mgan.sections.text import ORACLE, Data, Prompt

PROMPTED = ("translation", "answering", "dialogue")
"""Tasks that answer a prompt of the data."""


def agree(data: Data, prompt: Prompt, evaluation: Evaluation, contest: str | None) -> None:
    """Raises ValueError where the task does not go with the texts, or with who is trained."""
    task = evaluation.task
    if task != "none" and data.path == ORACLE:
        raise ValueError(f"evaluation.task={task} measures text, and with data.path=oracle there is none")
    if task in PROMPTED and prompt.source != "data":
        raise ValueError(f"evaluation.task={task} measures answers to the prompts of the data: set prompt.source=data")
    if task != "none" and contest == "residual":
        raise ValueError(
            f"evaluation.task={task} measures what generators write, and adversarial.steps=0 trains the discriminator "
            "of a pair whose generator stands still: set evaluation.task=none, or warmup.steps=0 to have it alone"
        )
