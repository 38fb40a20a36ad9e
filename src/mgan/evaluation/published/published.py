"""The published figures of each suite: the temperature sweeps to draw beside ours, and the tables to quote.

They are quoted, not measured here: each suite says its source, its protocol and what is wrong with it, and each row
whether the figure was read in the paper, not re-read, or is quoted by a third party. No errors are published.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mgan.evaluation.frontier import Axes, Axis, Curve, Point

SUITES = ("coco", "emnlp_news", "oracle_20", "oracle_40")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measure(_Frozen):
    """An axis of the sweeps. real: the value of real text under the papers' protocol; None where it is not known."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    real: float | None


class Row(_Frozen):
    """One system's figures by measure; two numbers are the range that papers give."""

    system: str
    values: dict[str, float | tuple[float, float]]
    status: Literal["read", "not re-read", "as quoted by a third party"]
    note: str


class Sweep(_Frozen):
    """One system's temperature sweep, hottest first. featured: the strongest of its system, the one to draw."""

    system: str
    variant: str
    featured: bool
    note: str
    points: tuple[tuple[float, float, float], ...] = Field(min_length=1, max_length=25)
    """Temperature, quality, diversity."""

    @model_validator(mode="after")
    def _in_order(self) -> Sweep:
        temperatures = [temperature for temperature, _, _ in self.points]
        if temperatures != sorted(temperatures, reverse=True) or temperatures[-1] <= 0:
            raise ValueError(f"the temperatures of {self.system} do not fall")
        return self

    def curve(self) -> Curve:
        """As a frontier's curve; the standard errors are not known."""
        points = tuple(Point(f"{t:.2g}", quality, diversity) for t, quality, diversity in self.points)
        return Curve(" ".join(filter(None, (self.system, self.variant))), None, points)


class Published(_Frozen):
    """A suite's published figures. prepared: what was done to the curves' files."""

    suite: str
    title: str
    source: str
    protocol: str
    caveats: tuple[str, ...]
    prepared: str
    quality: Measure
    diversity: Measure
    table: tuple[Row, ...]
    curves: tuple[Sweep, ...]

    @property
    def axes(self) -> Axes:
        """The two measures of the sweeps."""
        return Axes(Axis(**self.quality.model_dump()), Axis(**self.diversity.model_dump()))

    def overlay(self) -> list[Curve]:
        """What to draw beside ours: each system's strongest sweep, or of a table with both measures single points."""
        if self.curves:
            return [Curve(s.system, None, s.curve().points) for s in self.curves if s.featured]
        found = [
            (row.system, row.values.get(self.quality.name), row.values.get(self.diversity.name)) for row in self.table
        ]
        return [
            Curve(system, None, (Point("", quality, diversity),))
            for system, quality, diversity in found
            if isinstance(quality, float) and isinstance(diversity, float)
        ]


def published(suite: str) -> Published:
    """The published figures of one of ``SUITES``."""
    if suite not in SUITES:
        raise ValueError(f"nothing is published here for suite {suite!r}; there is {', '.join(SUITES)}")
    text = files("mgan.evaluation.published").joinpath(f"{suite}.json").read_text(encoding="utf-8")
    return Published.model_validate_json(text)
