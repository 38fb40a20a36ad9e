"""BLEU against a shared set of references, and Self-BLEU: all texts and all orders at once.

Equal to ``nltk.translate.bleu_score.sentence_bleu`` with ``SmoothingFunction().method1``, text by text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mgan.evaluation.metrics.ngrams import Counts, Integers, Texts, lengths, orders

Floats = npt.NDArray[np.float64]

ORDERS = (2, 3, 4, 5)
EPSILON = 0.1
"""What stands for the matches of an order without any (method 1 of Chen and Cherry 2014)."""


def bleu(hypotheses: Texts, references: Texts, n: int = 4) -> float:
    """Mean over the hypotheses of sentence BLEU-n, each against the whole set of references.

    BLEU-n = BP · exp(Σ_k log p_k / n), k = 1..n. p_k: the k-grams of the hypothesis that the references have, each
    counted at most as often as in the one reference that has it most often, over all its k-grams; 0.1 for 0 matches;
    BLEU is 0 without a matching token. BP = exp(1 - r/h) for a hypothesis of h tokens that is shorter than r, the
    length of the reference closest in length (the shorter of two as close).

    Source: Papineni et al. 2002; smoothing 1 of Chen and Cherry 2014; a whole test set as the references of every
    sample since Yu et al. 2017 (SeqGAN) and Zhu et al. 2018 (Texygen).
    Unit: none, 0 to 1.
    Direction: the target is the BLEU of real text, other than the references, against the same references. To pass
    it is not better: samples at temperature 0.5 pass it, being likelier and less diverse than real text.
    Traps: it grows with the number of references, so compare only against the same ones. It says nothing of diversity
    (one good sentence repeated scores high) and little of meaning (Semeniuta et al. 2018). A text shorter than n has
    orders without a k-gram, which count as 0.1, so that even a copy of a reference scores less than 1. A mean of
    sentence scores is not the corpus BLEU of translation.
    """
    if not len(hypotheses):
        raise ValueError("BLEU needs at least one hypothesis")
    return float(bleu_scores(hypotheses, references, (n,)).mean())


def bleu_scores(hypotheses: Texts, references: Texts, orders: Sequence[int] = ORDERS) -> Floats:
    """[len(orders), H]: the sentence BLEU of every hypothesis (see ``bleu``), a row for each order."""
    if not len(references):
        raise ValueError("BLEU needs at least one reference")
    texts = [*references, *hypotheses]
    tables = _tables(texts, orders)
    matches = [_of_texts(table, _clipped(table, len(references)), len(texts))[len(references) :] for table in tables]
    return _scores(matches, lengths(hypotheses), _closest(lengths(hypotheses), lengths(references)), orders)


def self_bleu(texts: Texts, n: int = 4, *, references: int | None = None, seed: int = 0) -> float:
    """Mean over the texts of sentence BLEU-n, each against all the others.

    Source: Zhu et al. 2018 (Texygen). Definition of BLEU-n: see ``bleu``.
    Unit: none, 0 to 1.
    Direction: lower is more diverse; the target is the value of as many real texts. Below it is noise, not quality.
    Traps: it grows with the number of texts: compare only sets of the same size. Two equal texts of n tokens score 1,
    so a bootstrap, which draws texts repeatedly, looks like a collapse. Resampling the per-text scores instead gives
    an interval that takes the other texts as given.

    references: a deviation from the definition: among so many + 1 of the texts, drawn without replacement with
    ``seed``, so that sets of different size can be compared. Published figures that sample are of this kind, and lower.
    """
    if references is not None:
        if not 1 <= references < len(texts):
            raise ValueError(f"references must be 1 to {len(texts) - 1} for {len(texts)} texts, got {references}")
        kept = np.random.default_rng(seed).choice(len(texts), references + 1, replace=False)
        texts = [texts[i] for i in kept]
    return float(self_bleu_scores(texts, (n,)).mean())


def self_bleu_scores(texts: Texts, orders: Sequence[int] = ORDERS) -> Floats:
    """[len(orders), N]: the sentence BLEU of every text against all the others (see ``self_bleu``)."""
    if len(texts) < 2:
        raise ValueError(f"Self-BLEU needs at least two texts, got {len(texts)}")
    matches = [_of_texts(table, _clipped_by_others(table), len(texts)) for table in _tables(texts, orders)]
    return _scores(matches, lengths(texts), _closest_other(lengths(texts)), orders)


def _tables(texts: Texts, wanted: Sequence[int]) -> Iterator[Counts]:
    if not wanted or min(wanted) < 1:
        raise ValueError(f"the orders of BLEU are one or more numbers from 1, got {tuple(wanted)}")
    return (grams.by_text() for grams in orders(texts, max(wanted)))


def _clipped(table: Counts, references: int) -> Integers:
    """[E] matches of each entry with the first texts, which are the references."""
    most = table.most(np.where(table.texts < references, table.counts, 0))
    return np.minimum(table.counts, most[table.grams])


def _clipped_by_others(table: Counts) -> Integers:
    """[E] matches of each entry with all other texts: the owner of the largest count is left the second largest."""
    largest = table.most(table.counts)
    holders = np.flatnonzero(table.counts == largest[table.grams])
    _, first = np.unique(table.grams[holders], return_index=True)
    owners = holders[first]
    others = table.counts.copy()
    others[owners] = 0
    limit = largest[table.grams]
    limit[owners] = table.most(others)
    return np.minimum(table.counts, limit)


def _of_texts(table: Counts, matches: Integers, texts: int) -> Integers:
    """[N] matches of each text: those of its entries together."""
    return np.bincount(table.texts, matches, minlength=texts).astype(np.int64)


def _closest(sizes: Integers, references: Integers) -> Integers:
    """[H] the reference length closest to each length; the shorter of two."""
    known = np.unique(references)
    above = np.searchsorted(known, sizes).clip(max=len(known) - 1)
    below = (above - 1).clip(min=0)
    closest: Integers = np.where(abs(sizes - known[below]) <= abs(known[above] - sizes), known[below], known[above])
    return closest


def _closest_other(sizes: Integers) -> Integers:
    """[N] the length closest to each among the other texts': a neighbour in the sorted list."""
    order = np.argsort(sizes)
    ranked = sizes[order]
    gaps = np.diff(ranked)
    far = np.iinfo(np.int64).max
    to_below, to_above = np.append(far, gaps), np.append(gaps, far)
    closest = np.empty_like(sizes)
    closest[order] = np.where(to_below <= to_above, np.roll(ranked, 1), np.roll(ranked, -1))
    return closest


def _scores(matches: list[Integers], sizes: Integers, closest: Integers, wanted: Sequence[int]) -> Floats:
    """[len(wanted), H] BLEU from the matches of the orders 1, 2, ... and the lengths."""
    matched = np.stack(matches)
    k = np.arange(1, len(matches) + 1)[:, None]
    precision = np.maximum(matched, EPSILON * (matched == 0)) / np.maximum(sizes - k + 1, 1)
    logs = np.log(precision).cumsum(0)
    brevity = np.exp(np.minimum(1 - closest / np.maximum(sizes, 1), 0))
    scores: Floats = np.exp(logs / k) * brevity * (matched[0] > 0)
    return scores.take(np.array(wanted) - 1, axis=0)
