"""BLEU-2..5 of 1,000 texts against 10,000 and Self-BLEU-2..5 of the 1,000, by mgan.evaluation and by fast-bleu.

    python benchmarks/text_metrics.py [--data FILE] [--json]

Without --data the texts are drawn from a seed: words by Zipf's law, half of them chosen by the word before. FILE holds
a text a line, words parted by spaces; odd lines are the texts, even ones the references. fast-bleu is C++ and is
compiled on first use. nltk takes minutes: it is timed on a slice, and ``nltk`` in the peer's figures says of how many.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np

from metrics import fast_bleu_bleu, nltk_bleu
from mgan.evaluation.metrics.bleu import ORDERS, bleu_scores, self_bleu_scores
from pairing import AbsentError, Step, Work, installed, main

TEXTS, REFERENCES, SLICE = 1000, 10_000, 4
VOCABULARY, FOLLOWERS, LENGTHS = 5000, 8, (7, 15)
Words = list[list[str]]


def ours(arguments: argparse.Namespace) -> Step:
    words, known = texts(arguments.data)

    def step() -> dict[str, Any]:
        return _scores(bleu_scores(words, known, ORDERS), self_bleu_scores(words, ORDERS))

    return step


def peer(arguments: argparse.Namespace) -> Step:
    if importlib.util.find_spec("fast_bleu") is None:
        installed("fast-bleu")
    words, known = texts(arguments.data)
    try:
        fast_bleu_bleu(words[:2], known[:2], "BLEU")
    except (ImportError, OSError) as error:
        raise AbsentError(f"fast-bleu was fetched but does not load: {error}") from error
    beside = nltk_slice(words, known)

    def step() -> dict[str, Any]:
        scores = [fast_bleu_bleu(words, known, measure) for measure in ("BLEU", "Self-BLEU")]
        return _scores(*([of[n] for n in ORDERS] for of in scores)) | beside

    return step


def texts(file: Path | None, count: int = TEXTS, references: int = REFERENCES) -> tuple[Words, Words]:
    """The texts and what they are held against, as words."""
    if file is None:
        drawn = zipf(count + references)
        return drawn[:count], drawn[count:]
    lines = [line.split() for line in file.read_text("utf-8").splitlines() if line.strip()]
    words, known = lines[1::2][:count], lines[::2][:references]
    if len(words) < count or len(known) < references:
        raise SystemExit(f"{file} has {len(lines):,} texts: {2 * references:,} are needed")
    return words, known


def zipf(count: int, seed: int = 0) -> Words:
    """Sentences that share n-grams as real ones do: every word has a few that like to follow it."""
    generator = np.random.default_rng(seed)
    odds = 1 / np.arange(1, VOCABULARY + 1)
    odds /= odds.sum()
    followers = generator.choice(VOCABULARY, (VOCABULARY, FOLLOWERS), p=odds)
    lengths = generator.integers(*LENGTHS, count)
    found = generator.choice(VOCABULARY, (count, LENGTHS[1]), p=odds)
    likes, which = generator.random(found.shape) < 0.5, generator.integers(FOLLOWERS, size=found.shape)
    for i in range(1, LENGTHS[1]):
        found[:, i] = np.where(likes[:, i], followers[found[:, i - 1], which[:, i]], found[:, i])
    return [[f"w{word}" for word in row[:length]] for row, length in zip(found.tolist(), lengths, strict=True)]


def nltk_slice(words: Words, known: Words, count: int = SLICE) -> dict[str, Any]:
    """nltk's BLEU of a few of the texts against all references; empty where it is not installed."""
    try:
        began = time.process_time()
        nltk_bleu(words[:count], known, "BLEU")
    except ImportError:
        return {}
    taken = time.process_time() - began
    return {"nltk": {"texts": count, "references": len(known), "cpu_seconds": round(taken, 2)}}


def _scores(*measures: Any) -> dict[str, Any]:
    """Mean BLEU-5 and Self-BLEU-5, to see that both sides compute the same."""
    return {"scores": [round(float(np.mean(scores[-1])), 6) for scores in measures]}


if __name__ == "__main__":
    main(
        __doc__,
        Work(f"BLEU-2..5 of {TEXTS:,} x {REFERENCES:,} texts, Self-BLEU-2..5 of {TEXTS:,}"),
        ours,
        peer,
        packages=["fast-bleu", "nltk", "numpy"],
        arguments=lambda parser: parser.add_argument("--data", type=Path, metavar="FILE", help="a text a line"),
    )
