"""Corpus BLEU, chrF and TER of the sacrebleu package, on this project's scale: 1 where sacrebleu says 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import ModuleType
from typing import Any

import numpy as np

from mgan.errors import UserError

TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char", "th": "char"}
"""sacrebleu's tokenizer of a language; "13a" for all others. Without a dictionary, characters."""

References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Score:
    """value: 1 where sacrebleu says 100. signature: sacrebleu's, to be cited with the value."""

    value: float
    signature: str


def sacrebleu(hypotheses: Sequence[str], references: References, language: str | None = None) -> Score:
    """Corpus BLEU-4: matches and lengths summed over all texts, then the formula once.

    references: of each hypothesis, one or more texts; their number may differ. language: "zh", "ja", "ko", "th", or
    anything else for tokenizer 13a.
    Source: Papineni et al. 2002; tokenizer and smoothing fixed by Post 2018 (sacreBLEU).
    Unit: 0 to 1 (sacrebleu prints 0 to 100).
    Direction: higher is closer to the references; another person's translation is far from 1.
    Traps: give plain, not tokenized text. Figures compare only with the same signature and the same references. It
    is not the mean of sentence BLEU (``bleu.bleu``).
    """
    tokenizer = TOKENIZERS.get(_primary(language), "13a")
    return _score(_metrics().BLEU(tokenize=tokenizer), hypotheses, references)


def chrf(hypotheses: Sequence[str], references: References, word_order: int = 0) -> Score:
    """Corpus chrF: F2 of character n-grams, n = 1..6, averaged over n; with ``word_order=2`` it is chrF++.

    Source: Popović 2015, 2017. No tokenizer, hence no language; white space is ignored.
    Unit: 0 to 1 (sacrebleu prints 0 to 100).
    Direction: higher is closer to the references.
    Traps: F2 weighs recall four times as much as precision, so long hypotheses are favoured. Unrelated texts of one
    language score about 0.15 to 0.2, not 0. Words of Chinese (chrF++) are its spaces: leave word_order at 0.
    """
    return _score(_metrics().CHRF(word_order=word_order), hypotheses, references)


def ter(hypotheses: Sequence[str], references: References, language: str | None = None) -> Score:
    """Corpus translation edit rate: insertions, deletions, substitutions and shifts of blocks over reference tokens.

    language: "zh", "ja" split East Asian characters; "ko", "th" and all others are split at spaces.
    Source: Snover et al. 2006, in sacrebleu's implementation of tercom.
    Unit: edits a reference token, from 0; above 1 where more is edited than the reference has (sacrebleu: times 100).
    Direction: lower is closer to the references.
    Traps: shifts are found greedily, so it is an upper bound. Case counts not; punctuation stuck to a word is part
    of it, except for "zh" and "ja".
    """
    asian = _primary(language) in {"zh", "ja"}
    return _score(_metrics().TER(normalized=asian, asian_support=asian), hypotheses, references)


@dataclass(frozen=True)
class Counts:
    """Of each text the counts of which a corpus measure is a function, so that resampled corpora cost a sum each.

    values: [N, K]. metric: sacrebleu's.
    """

    values: np.ndarray
    metric: Any

    @classmethod
    def of_bleu(cls, hypotheses: Sequence[str], references: References, language: str | None = None) -> Counts:
        """K = 10: tokens of the hypothesis, of the reference nearest in length, 4 times matches, 4 times n-grams."""
        return cls._of(_metrics().BLEU(tokenize=TOKENIZERS.get(_primary(language), "13a")), hypotheses, references)

    @classmethod
    def of_chrf(cls, hypotheses: Sequence[str], references: References) -> Counts:
        """K = 18: n-grams of the hypothesis, of the reference that it is most like, and of both, 6 times."""
        return cls._of(_metrics().CHRF(), hypotheses, references)

    @classmethod
    def _of(cls, metric: Any, hypotheses: Sequence[str], references: References) -> Counts:
        # As sacrebleu's own significance tests do it; it has no public name.
        found = metric._extract_corpus_statistics(list(hypotheses), _streams(hypotheses, references))
        return cls(np.array(found), metric)

    def score(self, weights: np.ndarray) -> np.ndarray:
        """[R] corpus scores, 0 to 1, of corpora in which each text stands so often. weights: [R, N]."""
        sums = weights @ self.values
        return np.array([self.metric._compute_score_from_stats(row).score for row in sums.tolist()]) / 100


def _primary(language: str | None) -> str:
    """ "zh" of "zh-Hant_TW"."""
    return (language or "").lower().replace("_", "-").split("-")[0]


def _metrics() -> ModuleType:
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise UserError('sacrebleu is not installed: pip install "mgan[metrics]" gives it') from error
    return sacrebleu.metrics


def _score(metric: Any, hypotheses: Sequence[str], references: References) -> Score:
    value = metric.corpus_score(list(hypotheses), _streams(hypotheses, references)).score / 100
    # Rounding, lest a perfect BLEU be 1.0000000000000004.
    return Score(round(float(value), 12), str(metric.get_signature()))


def _streams(hypotheses: Sequence[str], references: References) -> list[list[str | None]]:
    """sacrebleu wants the first reference of every text, then the second of every text, None where there is none."""
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(f"every hypothesis needs its references: {len(hypotheses)} and {len(references)} were given")
    if any(isinstance(given, str) or not given for given in references):
        raise ValueError("the references of a hypothesis are a list of one or more texts")
    return [list(stream) for stream in zip_longest(*references)]
