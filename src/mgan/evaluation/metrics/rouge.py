"""ROUGE-N and ROUGE-L on tokens, so that it works for any script: equal to the rouge-score package without stemming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from mgan.evaluation.metrics.ngrams import Texts

Tokens = Sequence[Hashable]


@dataclass(frozen=True)
class Rouge:
    """precision: of the hypothesis; recall: of the reference; f1: their harmonic mean. All 0 to 1."""

    precision: float
    recall: float
    f1: float


def rouge_n(hypothesis: Tokens, reference: Tokens, n: int) -> Rouge:
    """ROUGE-N: the n-grams that both have, each as often as both have it, over those of either.

    Source: Lin 2004.
    Unit: share, 0 to 1; 0 where either has fewer than n tokens.
    Direction: higher is closer to this reference. It is a measure for tasks with a right answer (summaries); of free
    text the target is what another person's text of the same prompt scores.
    Traps: published figures differ in stemming, lower case and tokenizer, none of which is done here: the tokens
    decide. Older figures are recalls, which long hypotheses win; cite the F1.
    """
    if n < 1:
        raise ValueError(f"the order of an n-gram is at least 1, got {n}")
    ours, theirs = _grams(hypothesis, n), _grams(reference, n)
    return _rouge((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(hypothesis: Tokens, reference: Tokens) -> Rouge:
    """ROUGE-L: the length of the longest common subsequence over the length of either.

    Source: Lin 2004, of whole texts (not rougeLsum, which goes sentence by sentence).
    Unit: share, 0 to 1; 0 where either is empty.
    Direction and traps: as for ``rouge_n``.
    """
    return _rouge(_common(hypothesis, reference), len(hypothesis), len(reference))


def rouge(hypotheses: Texts, references: Texts, kind: str = "rougeL") -> Rouge:
    """The means over pairs (a hypothesis, its one reference); kind: "rougeL", or "rouge1", "rouge2", ...

    Definition, source, unit, direction and traps: see ``rouge_n`` and ``rouge_l``. The mean F1 is not the F1 of the
    mean precision and recall.
    """
    order = kind.removeprefix("rouge")
    if not kind.startswith("rouge") or not (order == "L" or (order.isdecimal() and int(order) > 0)):
        raise ValueError(f"kind must be rougeL or rouge and an order, such as rouge2, got {kind!r}")
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(f"every hypothesis needs its reference: {len(hypotheses)} and {len(references)} were given")
    pairs = zip(hypotheses, references, strict=True)
    scores = [rouge_l(h, r) if order == "L" else rouge_n(h, r, int(order)) for h, r in pairs]
    return Rouge(
        sum(score.precision for score in scores) / len(scores),
        sum(score.recall for score in scores) / len(scores),
        sum(score.f1 for score in scores) / len(scores),
    )


def _grams(tokens: Tokens, n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def _common(ours: Tokens, theirs: Tokens) -> int:
    """Length of the longest common subsequence, a row of the table at a time as the bits of a number (Hyyrö 2004)."""
    places: dict[Hashable, int] = {}
    for i, token in enumerate(ours):
        places[token] = places.get(token, 0) | 1 << i
    everywhere = (1 << len(ours)) - 1
    row = everywhere
    for token in theirs:
        here = row & places.get(token, 0)
        row = (row + here | row - here) & everywhere
    return len(ours) - row.bit_count()


def _rouge(common: int, ours: int, theirs: int) -> Rouge:
    precision, recall = common / max(ours, 1), common / max(theirs, 1)
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0)
