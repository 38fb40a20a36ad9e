"""Answering: whether the answer is one of the accepted ones, as SQuAD counts, Chinese by characters.

A question is graded against all answers that the held-out texts accept, the one likeliest to score is what counts. An
answer is the generator's likeliest token each time. Neither measure sees that two answers mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mgan.evaluation.bootstrap import Estimate, Intervals
from mgan.evaluation.metrics.answers import exact_matches, f1_scores
from mgan.evaluation.tasks import Asked, Decoding

REAL = False
DECODING: Decoding = "greedy"
TITLES: Mapping[str, tuple[str, str]] = {
    "exact_match": (
        "Exact match",
        "Share of questions whose answer is an accepted one, but for case, punctuation and a, an, the; higher is "
        "better.",
    ),
    "f1": (
        "F1",
        "Mean over questions of the best F1 of an answer's words, of Chinese characters, with an accepted one's; 0 to "
        "1, higher is better.",
    ),
}


def measure(asked: Sequence[Asked], outputs: Sequence[str], intervals: Intervals) -> dict[str, Estimate]:
    """Of each question the answer against all its references (``evaluation.metrics.answers``)."""
    references = [one.references for one in asked]
    return {
        "exact_match": intervals.mean(exact_matches(outputs, references)),
        "f1": intervals.mean(f1_scores(outputs, references)),
    }
