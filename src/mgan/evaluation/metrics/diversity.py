"""How much a set of texts repeats itself: distinct and unique n-grams, their entropy, loops, double texts.

The target of each is the value of real texts, as many and as long. Past it lies noise on one side and repetition on
the other; no value is good by itself. All but ``repetition`` change with the number of texts, so compare only sets of
the same size, and never a bootstrap resample with a set: texts drawn twice look like a collapse.
"""

from __future__ import annotations

import numpy as np

from mgan.evaluation.metrics.ngrams import Grams, Texts, orders


def distinct_n(texts: Texts, n: int) -> float:
    """Different n-grams of all texts over all their n-grams.

    Source: Li et al. 2016 (distinct-1, distinct-2).
    Unit: share, 0 to 1; 0 if no text has n tokens.
    Direction: higher is more diverse; the target is real text's value.
    Traps: it falls as the set grows and as texts grow longer, roughly with the square root of the number of tokens
    (Heaps' law); typing errors and noise raise it.
    """
    grams = _grams(texts, n)
    return grams.distinct / max(len(grams.ids), 1)


def unique_n(texts: Texts, n: int) -> float:
    """n-grams that occur exactly once in the whole set over all n-grams, each counted as often as it occurs.

    The share of hapax legomena (Baayen 2001). "Unique n-grams" of the text GANs (Fedus et al. 2018, MaskGAN) often
    means the different ones instead, which is ``distinct_n``: unique_n <= distinct_n, equal only without repetition.
    Unit: share, 0 to 1; 0 if no text has n tokens.
    Direction: higher is more diverse; the target is real text's value.
    Traps: one copy of a set brings it to 0, while distinct_n only halves; it falls as the set grows.
    """
    grams = _grams(texts, n)
    return float((np.bincount(grams.ids) == 1).sum()) / max(len(grams.ids), 1)


def ngram_entropy(texts: Texts, n: int) -> float:
    """-Σ p(g) log p(g) over the different n-grams g of all texts, p(g) the share of the n-grams that are g.

    Source: Zhang et al. 2018 (Ent-n).
    Unit: nats, 0 to log of the number of n-grams; 0 if no text has n tokens.
    Direction: higher is more diverse; the target is real text's value.
    Traps: the estimate from counts is too low, the more so the fewer the texts, and for n > 2 it is hardly more
    than the logarithm of the set's size. It is the entropy of the samples' n-grams, not of the generator.
    """
    grams = _grams(texts, n)
    counts = np.bincount(grams.ids)
    share = counts / max(len(grams.ids), 1)
    return float(-(share * np.log(share)).sum()) + 0.0


def repetition(texts: Texts, n: int = 4) -> float:
    """Mean over the texts of 1 - (different n-grams / n-grams) within the text.

    Source: Welleck et al. 2020 (seq-rep-n).
    Unit: share, 0 to 1; texts of fewer than n tokens have no value and are left out; 0 if that is all of them.
    Direction: higher is more repetitive, and loops lie near 1; the target is real text's value, which is seldom 0.
    Traps: it grows with the length of the texts. It does not see a text that is repeated in another text, for
    which see ``distinct_texts``. Short texts hide it: also look at how many have n tokens.
    """
    grams = _grams(texts, n)
    all_of_text = np.bincount(grams.texts)
    different = np.bincount(grams.by_text().texts)
    has_any = all_of_text > 0
    if not has_any.any():
        return 0.0
    return float(1 - (different[has_any] / all_of_text[has_any]).mean())


def distinct_texts(texts: Texts) -> float:
    """Texts that differ from all earlier ones over all texts.

    Source: the share of different samples, as reported since de Masson d'Autume et al. 2019 (ScratchGAN) and before.
    Unit: share, 0 to 1.
    Direction: the target is real text's value, which is below 1 where people repeat themselves.
    Traps: it falls as the set grows; texts that differ in one token are different, so a near-copy is not seen.
    """
    _some(texts)
    return len(set(map(tuple, texts))) / len(texts)


def _grams(texts: Texts, n: int) -> Grams:
    _some(texts)
    *_, last = orders(texts, n)
    return last


def _some(texts: Texts) -> None:
    if not len(texts):
        raise ValueError("diversity is that of at least one text")
