"""How good the samples are: every metric by its name, each loaded when it is first used; see docs/metrics.md.

from mgan.evaluation import self_bleu, words
self_bleu([words(text) for text in texts])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgan.evaluation.bootstrap import mean as bootstrap_mean
    from mgan.evaluation.bootstrap import ratio as bootstrap_ratio
    from mgan.evaluation.bootstrap import resample as bootstrap_weights
    from mgan.evaluation.jackknife import groups as jackknife_groups
    from mgan.evaluation.jackknife import jackknife as delete_a_group
    from mgan.evaluation.metrics.answers import exact_match, exact_matches, f1, f1_scores
    from mgan.evaluation.metrics.bleu import bleu, bleu_scores, self_bleu, self_bleu_scores
    from mgan.evaluation.metrics.divergence import bound_from_logits, donsker_varadhan
    from mgan.evaluation.metrics.diversity import distinct_n, distinct_texts, ngram_entropy, repetition, unique_n
    from mgan.evaluation.metrics.embedders import CharacterNGrams, embedder
    from mgan.evaluation.metrics.frechet import frechet_distance
    from mgan.evaluation.metrics.language_model import LanguageModel, lm_score, reverse_lm_score
    from mgan.evaluation.metrics.mauve import mauve
    from mgan.evaluation.metrics.mmd import mmd2
    from mgan.evaluation.metrics.neighbours import expected_coverage, prdc
    from mgan.evaluation.metrics.novelty import copied_share, exact_copies, longest_copies, near_copies
    from mgan.evaluation.metrics.quantiles import quantile_differences, quantile_distance
    from mgan.evaluation.metrics.rouge import rouge, rouge_l, rouge_n
    from mgan.evaluation.metrics.translation import chrf, sacrebleu, ter
    from mgan.evaluation.metrics.two_sample import two_sample_test
    from mgan.evaluation.metrics.words import words
    from mgan.evaluation.oracle import divergences

__all__ = [
    "CharacterNGrams",
    "LanguageModel",
    "bleu",
    "bleu_scores",
    "bootstrap_mean",
    "bootstrap_ratio",
    "bootstrap_weights",
    "bound_from_logits",
    "chrf",
    "copied_share",
    "delete_a_group",
    "distinct_n",
    "distinct_texts",
    "divergences",
    "donsker_varadhan",
    "embedder",
    "exact_copies",
    "exact_match",
    "exact_matches",
    "expected_coverage",
    "f1",
    "f1_scores",
    "frechet_distance",
    "jackknife_groups",
    "lm_score",
    "longest_copies",
    "mauve",
    "mmd2",
    "near_copies",
    "ngram_entropy",
    "prdc",
    "quantile_differences",
    "quantile_distance",
    "repetition",
    "reverse_lm_score",
    "rouge",
    "rouge_l",
    "rouge_n",
    "sacrebleu",
    "self_bleu",
    "self_bleu_scores",
    "ter",
    "two_sample_test",
    "unique_n",
    "words",
]

_HOMES = {
    "metrics.answers": "exact_match exact_matches f1 f1_scores",
    "metrics.bleu": "bleu bleu_scores self_bleu self_bleu_scores",
    "metrics.divergence": "bound_from_logits donsker_varadhan",
    "metrics.diversity": "distinct_n distinct_texts ngram_entropy repetition unique_n",
    "metrics.embedders": "CharacterNGrams embedder",
    "metrics.frechet": "frechet_distance",
    "metrics.language_model": "LanguageModel lm_score reverse_lm_score",
    "metrics.mauve": "mauve",
    "metrics.mmd": "mmd2",
    "metrics.neighbours": "expected_coverage prdc",
    "metrics.novelty": "copied_share exact_copies longest_copies near_copies",
    "metrics.quantiles": "quantile_differences quantile_distance",
    "metrics.rouge": "rouge rouge_l rouge_n",
    "metrics.translation": "chrf sacrebleu ter",
    "metrics.two_sample": "two_sample_test",
    "metrics.words": "words",
    "oracle": "divergences",
}
_HOME = {name: (home, name) for home, names in _HOMES.items() for name in names.split()} | {
    # Too short by themselves, or the name of their module.
    "bootstrap_mean": ("bootstrap", "mean"),
    "bootstrap_ratio": ("bootstrap", "ratio"),
    "bootstrap_weights": ("bootstrap", "resample"),
    "delete_a_group": ("jackknife", "jackknife"),
    "jackknife_groups": ("jackknife", "groups"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mgan.evaluation' has no attribute {name!r}")
    home, there = _HOME[name]
    return getattr(import_module(f"mgan.evaluation.{home}"), there)


def __dir__() -> list[str]:
    return __all__
