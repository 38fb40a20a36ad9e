"""The untrained metrics of one set of texts, each as the same set of real texts would be measured.

A reference set of real texts stands on one side. Samples, and a second set of real texts as large, are measured
against it in the same way: what the real set scores is the target, and passing it is not better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np

from mgan.evaluation.jackknife import Jackknifed, groups, jackknife
from mgan.evaluation.metrics.bleu import bleu_scores, self_bleu_scores
from mgan.evaluation.metrics.diversity import distinct_n, distinct_texts, ngram_entropy, repetition
from mgan.evaluation.metrics.embedders import Embedder
from mgan.evaluation.metrics.frechet import frechet_distance
from mgan.evaluation.metrics.mauve import mauve
from mgan.evaluation.metrics.mmd import mmd2
from mgan.evaluation.metrics.neighbours import prdc
from mgan.evaluation.metrics.novelty import longest_copies, near_copy_flags
from mgan.evaluation.metrics.quantiles import quantile_distance
from mgan.evaluation.wordlm import CrossFitted, WordLM

Texts = Sequence[str]
Words = list[list[str]]
Sums = tuple[np.ndarray, np.ndarray]
Statistics = dict[tuple[str, ...], Callable[[np.ndarray], np.ndarray]]
"""Functions of the indices of the texts kept, by the names of the values they give."""
ORDERS = (2, 3, 4, 5)
GROUPS = 10
SEED = 20
"""Of the jackknife's groups: the same for every set of one size."""


@dataclass(frozen=True)
class Metric:
    """A measure's name, title, unit, what it speaks of, and which way is better up to real text's value."""

    name: str
    title: str
    unit: str
    speaks_of: Literal["quality", "diversity", "both", "copying", "neither"]
    better: Literal["lower", "higher", "real"]


METRICS = {
    metric.name: metric
    for metric in (
        *(Metric(f"bleu_{n}", f"BLEU-{n}", "", "quality", "higher") for n in ORDERS),
        *(Metric(f"self_bleu_{n}", f"Self-BLEU-{n}", "", "diversity", "lower") for n in ORDERS),
        Metric("ngram_score", "n-gram score", "nats a word", "quality", "lower"),
        Metric("ngram_distance", "n-gram score's distance", "nats a word", "quality", "lower"),
        Metric("reverse_ngram_score", "reverse n-gram score", "nats a word", "diversity", "lower"),
        Metric("distinct_2", "distinct-2", "", "diversity", "higher"),
        Metric("entropy_2", "bigram entropy", "nats", "diversity", "higher"),
        Metric("repetition_4", "repetition-4", "", "quality", "lower"),
        Metric("distinct_texts", "distinct texts", "", "diversity", "higher"),
        Metric("length", "length", "words", "neither", "real"),
        Metric("frechet", "Fréchet distance", "", "both", "lower"),
        Metric("mmd", "MMD²", "", "both", "lower"),
        Metric("precision", "precision", "", "quality", "higher"),
        Metric("recall", "recall", "", "diversity", "higher"),
        Metric("density", "density", "", "quality", "higher"),
        Metric("coverage", "coverage", "", "diversity", "higher"),
        Metric("mauve", "MAUVE", "", "both", "higher"),
        Metric("copied", "longest copy", "", "copying", "real"),
        Metric("exact_copies", "exact copies", "", "copying", "real"),
        Metric("near_copies", "near copies", "", "copying", "real"),
        Metric("nll", "held-out NLL", "nats a token", "diversity", "lower"),
        Metric("nll_oracle", "NLL_oracle", "nats a token", "quality", "lower"),
        Metric("nll_gen", "NLL_gen", "nats a token", "diversity", "lower"),
        Metric("kl_generated", "KL(G‖oracle)", "nats a token", "quality", "lower"),
        Metric("kl_oracle", "KL(oracle‖G)", "nats a token", "diversity", "lower"),
        Metric("js", "Jensen–Shannon", "nats a text", "both", "lower"),
        Metric("two_sample", "two-sample accuracy", "", "both", "lower"),
        Metric("kl_bound", "bound on KL(real‖G)", "nats a text", "both", "lower"),
        Metric("lm_score", "LM score", "nats a word", "quality", "lower"),
        Metric("lm_distance", "LM score's distance", "nats a word", "quality", "lower"),
        Metric("reverse_lm_score", "reverse LM score", "nats a word", "both", "lower"),
    )
}
"""Every measure there is, the trained ones last; a run has those that make sense for its text."""

PAIRS = (
    ("bleu_5", "self_bleu_5"),
    ("ngram_score", "reverse_ngram_score"),
    ("ngram_score", "nll"),
    ("precision", "recall"),
    ("nll_oracle", "nll_gen"),
    ("lm_score", "reverse_lm_score"),
)
"""Quality against diversity: the frontiers that are drawn."""


class Scorecard:
    """Measures sets of texts against ``reference`` real ones; ``training`` is what a generator may have copied."""

    def __init__(
        self, reference: Texts, training: Texts, embedder: Embedder | None, tokenise: Callable[[str], list[str]]
    ):
        """embedder: None leaves out the measures that need embeddings. tokenise: a text's words."""
        self.tokenise, self.embedder = tokenise, embedder
        self.reference, self.training = self.words(reference), self.words(training)
        self.judges = CrossFitted(self.reference)
        self.embedded = embedder(reference) if embedder else None

    def words(self, texts: Texts) -> Words:
        return [self.tokenise(text) for text in texts]

    def measure(self, texts: Texts) -> dict[str, Jackknifed]:
        """Every measure that needs nothing but text. Errors are over the texts, the reference as it is."""
        words = self.words(texts)
        left_out = groups(len(texts), min(GROUPS, len(texts)), SEED)
        measured = {
            name: ratio_of_sums(*sums, left_out)
            for name, sums in (self._per_text(words) | self._scores(words) | self._copies(words)).items()
        }
        for names, statistic in (self._of_words(words) | self._of_embeddings(texts)).items():
            measured |= _columns(names, jackknife(statistic, len(texts), left_out))
        return measured

    def mauve(self, texts: Texts) -> float:
        """Apart from the others: it quantises all texts anew, and its error is mostly that of the clustering."""
        if self.embedder is None or self.embedded is None:
            raise ValueError("MAUVE needs an embedder")
        return mauve(self.embedded[: len(texts)], self.embedder(texts))

    def _per_text(self, words: Words) -> dict[str, Sums]:
        orders = bleu_scores(words, self.reference, ORDERS)
        ones, lengths = np.ones(len(words)), _lengths(words)
        return {f"bleu_{n}": (scores, ones) for n, scores in zip(ORDERS, orders, strict=True)} | {
            "length": (lengths, ones)
        }

    def _scores(self, words: Words) -> dict[str, Sums]:
        return {"ngram_score": self.judges.nll(words)}

    def _copies(self, words: Words) -> dict[str, Sums]:
        ones, lengths = np.ones(len(words)), _lengths(words)
        return {
            "copied": (longest_copies(words, self.training) / np.maximum(lengths, 1), ones),
            "exact_copies": (near_copy_flags(words, self.training, 0).astype(float), ones),
            "near_copies": (near_copy_flags(words, self.training, 1).astype(float), ones),
        }

    def _of_words(self, words: Words) -> Statistics:
        nll, tokens = self.judges.nll(words)
        scores = nll / tokens

        def self_bleu(kept: np.ndarray) -> np.ndarray:
            return np.asarray(self_bleu_scores([words[i] for i in kept], ORDERS).mean(1))

        def others(kept: np.ndarray) -> np.ndarray:
            texts = [words[i] for i in kept]
            return np.array([
                WordLM(texts, self.judges.vocabulary).score(self.reference),
                quantile_distance(scores[kept], self.judges.reference_scores),
                distinct_n(texts, 2), ngram_entropy(texts, 2), repetition(texts, 4), distinct_texts(texts),
            ])  # fmt: skip

        return {
            tuple(f"self_bleu_{n}" for n in ORDERS): self_bleu,
            (
                "reverse_ngram_score", "ngram_distance", "distinct_2", "entropy_2", "repetition_4", "distinct_texts",
            ): others,
        }  # fmt: skip

    def _of_embeddings(self, texts: Texts) -> Statistics:
        if self.embedder is None or self.embedded is None:
            return {}
        # As many reference texts as samples: these measures change with either number.
        real, written = self.embedded[: len(texts)], self.embedder(texts)

        def neighbours(kept: np.ndarray) -> np.ndarray:
            return np.array(astuple(prdc(real, written[kept])))

        def distances(kept: np.ndarray) -> np.ndarray:
            return np.array([frechet_distance(real, written[kept]), mmd2(written[kept], real)])

        return {("precision", "recall", "density", "coverage"): neighbours, ("frechet", "mmd"): distances}


def ratio_of_sums(numerator: np.ndarray, denominator: np.ndarray, left_out: Sequence[np.ndarray]) -> Jackknifed:
    """sum(numerator) / sum(denominator) over texts, e.g. nats over words; both [N]."""
    above, below = numerator.sum(), denominator.sum()
    replicates = [(above - numerator[group].sum()) / (below - denominator[group].sum()) for group in left_out]
    return Jackknifed(float(above / below), np.array(replicates))


def _columns(names: tuple[str, ...], found: Jackknifed) -> dict[str, Jackknifed]:
    """A statistic of several values, one by one."""
    values = np.asarray(found.value)
    return {name: Jackknifed(float(values[i]), found.replicates[:, i]) for i, name in enumerate(names)}


def _lengths(words: Words) -> np.ndarray:
    return np.array([len(text) for text in words], dtype=float)
