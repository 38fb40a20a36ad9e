"""What is measured, and what survives a kill."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from mgan.sections.base import Positive, Rate, Section
from mgan.sections.game import Control


class Evaluation(Section):
    """The honest comparison, on held-out text."""

    samples: int = Field(400, ge=2, description="texts drawn, and held-out texts used, at most, per measure")
    temperatures: tuple[Rate, ...] = Field(
        (0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2),
        min_length=1,
        description="temperatures each system chooses from on validation",
    )
    discriminator_steps: Positive = Field(60, description="updates of each fresh discriminator at the verdict")
    candidates: int = Field(8, ge=2, description="k of the resampled pair")
    baseline: bool = Field(
        True,
        description="go on with maximum likelihood for as many operations as the game took, which the verdict compares "
        "with; false: there is no verdict, for a study that trains its baseline in a run of its own",
    )
    baseline_updates: Positive | None = Field(
        None,
        description="most updates of that maximum likelihood; null: as many as the game's operations pay for, which "
        "alone is an equal comparison",
    )
    bootstrap: int = Field(2000, ge=100, description="resamples of the paired bootstrap")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="joint coverage of the verdict's intervals")
    controls: tuple[Control, ...] = Field(
        (),
        json_schema_extra={"uniqueItems": True},
        description="play the same game once more for each: paid a constant, noise, or judged by a discriminator "
        "frozen after its warm-up",
    )

    task: Literal["none", "translation", "answering", "dialogue", "verse"] = Field(
        "none", description="what the texts are for: its own measures of what each system writes to held-out prompts"
    )

    @field_validator("controls")
    @classmethod
    def _each_once(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        if len(set(controls)) < len(controls):
            raise ValueError("evaluation.controls must name each control once at most")
        return controls


class Checkpoint(Section):
    """What survives a kill."""

    every: Positive = Field(
        25, description="updates or rounds between checkpoints; a slow one is also kept after five minutes"
    )
    keep: Positive = Field(2, description="newest checkpoints kept")
