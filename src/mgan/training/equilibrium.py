"""When the game is over.

Equilibrium: over a window of rounds the discriminator's balanced accuracy on held-out real text and fresh
samples lies within a band of 0.5, the slope of the generator's held-out score has 0 in its 95 % interval, and a
freshly trained discriminator of the same budget cannot tell them apart either. Where only the old one cannot,
it is the discriminator that is exhausted, not the game.
"""

from __future__ import annotations

from typing import Any

from mgan.config import Equilibrium as Settings


class Equilibrium:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.accuracies: list[float] = []
        self.measures: list[tuple[float, float]] = []

    def observe(self, accuracy: float) -> None:
        """The held-out balanced accuracy of one round."""
        self.accuracies = [*self.accuracies, accuracy][-self.settings.window :]

    def measure(self, round_number: int, score: float) -> None:
        """The generator's held-out score after a round."""
        self.measures = [*self.measures, (float(round_number), score)][-self.settings.evaluations :]

    def undecided(self) -> bool:
        """A whole window of rounds in which the discriminator did no better than the band allows."""
        full = len(self.accuracies) == self.settings.window
        return full and self.within_band(sum(self.accuracies) / len(self.accuracies))

    def within_band(self, accuracy: float) -> bool:
        return abs(accuracy - 0.5) <= self.settings.band

    def settled(self) -> bool:
        """The least-squares slope of the last held-out scores has 0 in its 95 % interval."""
        if len(self.measures) < self.settings.evaluations:
            return False
        from scipy import stats  # takes seconds to import

        rounds, scores = zip(*self.measures, strict=True)
        line = stats.linregress(rounds, scores)
        # Scores that do not move at all have no standard error.
        return bool(line.slope == 0 or abs(line.slope) <= stats.t.ppf(0.975, len(rounds) - 2) * line.stderr)

    def restart(self) -> None:
        """A new discriminator: what was seen of the old one says nothing of it."""
        self.accuracies = []

    def state_dict(self) -> dict[str, Any]:
        return {"accuracies": self.accuracies, "measures": self.measures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.accuracies = list(state["accuracies"])
        self.measures = [(a, b) for a, b in state["measures"]]
