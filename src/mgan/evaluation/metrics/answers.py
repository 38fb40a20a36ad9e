"""Exact match and F1 of short answers, as SQuAD counts them, and with Chinese by characters."""

from __future__ import annotations

import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

from mgan.evaluation.metrics.words import CJK

_ARTICLE = regex.compile(r"\b(a|an|the)\b")
_CHARACTER = regex.compile(CJK, regex.VERSION1)


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the normalised prediction equals a normalised reference, else 0.

    Normalised: lower case, without punctuation (of any script, full width too), without a, an and the, split at
    white space, every Chinese, Japanese or Korean character a token.
    Source: Rajpurkar et al. 2016 (SQuAD); Cui et al. 2019 (CMRC) and Lewis et al. 2020 (MLQA) for Chinese.
    Unit: 0 or 1; its mean over questions is a share.
    Direction: higher is better, up to what people score on the same questions (about 0.8 on SQuAD 1.1).
    Traps: "no answer" is the reference "", which only an empty prediction matches; an answer that is nothing but an
    article or punctuation ("A", "?") counts as empty. Cyrillic or Arabic words are split at spaces only.
    """
    return max(float(_tokens(prediction) == tokens) for tokens in _all(references))


def f1(prediction: str, references: Sequence[str]) -> float:
    """The largest F1 over the references of the bags of tokens of the normalised prediction and reference.

    Normalised as for ``exact_match``. F1 = 2PR/(P + R), P the tokens in common over the prediction's, R over the
    reference's; where one is empty, 1 if both are, else 0 (Rajpurkar et al. 2018).
    Source: Rajpurkar et al. 2016 (SQuAD). CMRC's own F1 takes the longest common substring instead of the bag and
    is lower; the bag is what MLQA takes.
    Unit: 0 to 1.
    Direction: higher is better, up to what people score (about 0.91 on SQuAD 1.1).
    Traps: the order of tokens does not count; a long prediction that quotes the whole passage still scores above 0.
    """
    tokens = _tokens(prediction)
    return max(_bag_f1(tokens, reference) for reference in _all(references))


def exact_matches(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
    """[N] ``exact_match`` of each prediction with its references; the figure to cite is the mean."""
    return _each(exact_match, predictions, references)


def f1_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
    """[N] ``f1`` of each prediction with its references; the figure to cite is the mean."""
    return _each(f1, predictions, references)


def _each(
    score: Callable[[str, Sequence[str]], float], predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> npt.NDArray[np.float64]:
    if len(predictions) != len(references):
        raise ValueError(f"every prediction needs its references: {len(predictions)} and {len(references)} were given")
    return np.array([score(*pair) for pair in zip(predictions, references, strict=True)], dtype=np.float64)


def _all(references: Sequence[str]) -> list[list[str]]:
    if isinstance(references, str) or not references:
        raise ValueError('the references of an answer are a list of one or more texts ([""] where there is no answer)')
    return [_tokens(reference) for reference in references]


def _tokens(text: str) -> list[str]:
    without_marks = text.lower().translate(_punctuation())
    spaced: str = _CHARACTER.sub(r" \g<0> ", _ARTICLE.sub(" ", without_marks))
    return spaced.split()


@cache
def _punctuation() -> dict[int, None]:
    """Every punctuation mark of Unicode, and the ASCII symbols that SQuAD counts as such."""
    marks = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*marks, *map(ord, string.punctuation)])


def _bag_f1(ours: list[str], theirs: list[str]) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))
