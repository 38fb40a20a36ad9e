"""The n-gram language model on words: an independent judge that needs no training loop and no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgan.evaluation.ngram import NGramLM
from mgan.types import Batch, collate

START, END, UNKNOWN, KNOWN = 0, 1, 2, 3
Words = Sequence[Sequence[str]]


def vocabulary_of(texts: Words) -> dict[str, int]:
    """Every word's id, in order of appearance; a word that is not here counts as the one unknown word."""
    words = dict.fromkeys(word for text in texts for word in text)
    return {word: i for i, word in enumerate(words, KNOWN)}


class WordLM:
    """Interpolated n-grams (Witten & Bell 1991) over words and the end of the text."""

    def __init__(self, texts: Words, vocabulary: dict[str, int]):
        self.vocabulary = vocabulary
        self.model = NGramLM([_batch(texts, vocabulary)], len(vocabulary) + KNOWN)

    def nll(self, texts: Words) -> tuple[np.ndarray, np.ndarray]:
        """Of each text: -log P in nats [N], and its words, the end included [N]."""
        return self.model.nll(_batch(texts, self.vocabulary))

    def score(self, texts: Words) -> float:
        """Nats a word over all texts."""
        nll, words = self.nll(texts)
        return float(nll.sum() / words.sum())


class CrossFitted:
    """Two judges, each fitted to one half of the reference and scoring the other.

    So the reference's own scores come from a judge that never saw the text, as a sample's do: sample i is scored by
    judge i mod 2, and the two sets of scores may be compared quantile by quantile.
    """

    def __init__(self, reference: Words):
        self.vocabulary = vocabulary_of(reference)
        self.judges = [WordLM(reference[half::2], self.vocabulary) for half in (1, 0)]
        nll, words = self.nll(reference)
        self.reference_scores = nll / words

    def nll(self, texts: Words) -> tuple[np.ndarray, np.ndarray]:
        """nats [N], words [N]."""
        nll, words = np.zeros(len(texts)), np.zeros(len(texts))
        for half, judge in enumerate(self.judges):
            if texts[half::2]:
                nll[half::2], words[half::2] = judge.nll(texts[half::2])
        return nll, words


def _batch(texts: Words, vocabulary: dict[str, int]) -> Batch:
    rows = [([START, *(vocabulary.get(word, UNKNOWN) for word in text), END], 1) for text in texts]
    return collate(rows, END)
