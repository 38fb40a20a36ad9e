"""Translation: how near it is to what people wrote, by the measures of the field, and whether it is as long.

All real translations of a source that are held out count. A translation is what a beam finds. None of the measures sees
sense: of two that say the same the one in the reference's words is better to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mgan.errors import UserError
from mgan.evaluation.bootstrap import Estimate, Intervals
from mgan.evaluation.metrics.translation import Counts
from mgan.evaluation.tasks import Asked, Decoding
from mgan.evaluation.tasks.verse import is_chinese

REAL = False
DECODING: Decoding = "beam"
TITLES: Mapping[str, tuple[str, str]] = {
    "bleu": (
        "BLEU",
        "Corpus BLEU-4 of sacrebleu, tokenizer zh where the references are Chinese, else 13a; 0 to 1 (sacrebleu says "
        "100), higher is better.",
    ),
    "chrf": ("chrF", "Corpus F2 of 1 to 6 characters, of sacrebleu; 0 to 1 (sacrebleu says 100), higher is better."),
    "length_ratio": (
        "Length ratio",
        "BLEU's tokens of all translations over those of the references nearest in length; 1 is the target.",
    ),
}


def measure(asked: Sequence[Asked], outputs: Sequence[str], intervals: Intervals) -> dict[str, Estimate]:
    """Of the corpus and of resampled ones, for which the counts of sentences are summed again (Koehn 2004)."""
    references = [one.references for one in asked]
    chinese = is_chinese([text for given in references for text in given])
    bleu = Counts.of_bleu(outputs, references, "zh" if chinese else None)
    found = {name: _corpus(of, intervals) for name, of in
             (("bleu", bleu), ("chrf", Counts.of_chrf(outputs, references)))}  # fmt: skip
    return found | {"length_ratio": intervals.ratio(bleu.values[:, 0], bleu.values[:, 1])}


def _corpus(counts: Counts, intervals: Intervals) -> Estimate:
    (value,) = counts.score(np.ones((1, len(counts.values))))
    return intervals.of(value, counts.score(intervals.weights))


def must_be_had() -> None:
    """Raises UserError without the package that measures: a run should say so before it begins."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        raise UserError(
            'evaluation.task=translation measures with the package sacrebleu: pip install "mgan[metrics]" gives it, or '
            "set evaluation.task=none"
        ) from error
