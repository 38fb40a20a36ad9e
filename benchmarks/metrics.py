"""CPU seconds of every metric on real captions, and of the usual packages on a slice of them.

    python benchmarks/metrics.py --data FOLDER [--samples 10000] [--few 1000] [--peer 300]

FOLDER holds Texygen's train.txt and test.txt of MS-COCO captions. They are split by topic, so they are pooled first:
odd lines stand for samples, even ones are the reference (and what may have been copied). Words are what spaces part.
Writes benchmarks/results/metrics-speed.json and prints a Markdown table. Peers: nltk and fast-bleu, where installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mgan.evaluation.metrics.bleu import ORDERS, bleu_scores, self_bleu_scores
from mgan.evaluation.metrics.divergence import donsker_varadhan
from mgan.evaluation.metrics.diversity import distinct_n, distinct_texts, ngram_entropy, repetition
from mgan.evaluation.metrics.embedders import CharacterNGrams
from mgan.evaluation.metrics.frechet import frechet_distance
from mgan.evaluation.metrics.language_model import LanguageModel, reverse_lm_score, word_tokenizer
from mgan.evaluation.metrics.mauve import mauve
from mgan.evaluation.metrics.mmd import mmd2
from mgan.evaluation.metrics.neighbours import prdc
from mgan.evaluation.metrics.novelty import longest_copies, near_copy_flags
from mgan.evaluation.metrics.quantiles import quantile_distance
from mgan.evaluation.metrics.two_sample import two_sample_test
from mgan.evaluation.scorecard import Scorecard
from mgan.evaluation.tables import markdown, number
from mgan.evaluation.wordlm import CrossFitted, WordLM

HERE = Path(__file__).parent
GOALS = {"BLEU": 1.0, "Self-BLEU": 5.0}
"""CPU seconds at 1,000 against 10,000, and at 10,000."""


@dataclass(frozen=True)
class Texts:
    """samples, reference: as text and as words."""

    samples: list[str]
    reference: list[str]
    words: list[list[str]]
    known: list[list[str]]

    @classmethod
    def read(cls, folder: Path, count: int) -> Texts:
        lines = [line for name in ("train.txt", "test.txt") for line in (folder / name).read_text("utf-8").splitlines()]
        pooled = [line.lower() for line in lines if line.strip()]
        # At fewer lines than there are, both topics must still be there.
        chosen = np.sort(np.random.default_rng(0).permutation(len(pooled))[: 2 * count])
        samples, reference = ([pooled[i] for i in chosen[start::2]] for start in (1, 0))
        return cls(samples, reference, [text.split() for text in samples], [text.split() for text in reference])


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def untrained(texts: Texts, few: int) -> dict[str, float]:
    """Each metric once, then all of them as ``mgan evaluate`` takes them: with ten replicates each."""
    words, known = texts.words, texts.known
    found = {
        f"BLEU-2 to 5, {few:,} against {len(known):,}": seconds(lambda: bleu_scores(words[:few], known, ORDERS)),
        "BLEU-2 to 5": seconds(lambda: bleu_scores(words, known, ORDERS)),
        "Self-BLEU-2 to 5": seconds(lambda: self_bleu_scores(words, ORDERS)),
        "distinct-2": seconds(lambda: distinct_n(words, 2)),
        "bigram entropy": seconds(lambda: ngram_entropy(words, 2)),
        "repetition-4": seconds(lambda: repetition(words, 4)),
        "distinct texts": seconds(lambda: distinct_texts(words)),
        "longest copy": seconds(lambda: longest_copies(words, known)),
        "exact copies": seconds(lambda: near_copy_flags(words, known, 0)),
        "near copies": seconds(lambda: near_copy_flags(words, known, 1)),
    }
    began = time.process_time()
    judges = CrossFitted(known)
    nll, tokens = judges.nll(words)
    found["n-gram score"] = time.process_time() - began
    found["n-gram score's distance"] = seconds(lambda: quantile_distance(nll / tokens, judges.reference_scores))
    found["reverse n-gram score"] = seconds(lambda: WordLM(words, judges.vocabulary).score(known))
    embedder = CharacterNGrams()
    began = time.process_time()
    written, real = embedder(texts.samples), embedder(texts.reference)
    found["embedding both sides (characters)"] = time.process_time() - began
    found |= {
        "Fréchet distance": seconds(lambda: frechet_distance(real, written)),
        "MMD²": seconds(lambda: mmd2(written, real)),
        "precision, recall, density, coverage": seconds(lambda: prdc(real, written)),
        "MAUVE": seconds(lambda: mauve(real, written)),
    }
    found["sum of the above, each once"] = sum(value for name, value in found.items() if "against" not in name)
    card = Scorecard(texts.reference, texts.reference, embedder, str.split)
    found["all but MAUVE with jackknife errors"] = seconds(lambda: card.measure(texts.samples))
    return found


def trained(texts: Texts) -> dict[str, float]:
    """The metrics that fit a model: half of either side fits the bound's discriminator, the other half is judged."""
    embedder = CharacterNGrams()
    written, real = embedder(texts.samples), embedder(texts.reference)
    half = len(written) // 2
    judge: list[LanguageModel] = []

    def forward() -> None:
        judge.append(LanguageModel.fit(texts.reference[:half], word_tokenizer(texts.reference)))
        judge[0].score(texts.samples[:half], texts.reference[half:])

    def backward() -> None:
        reference, held = texts.reference[:half], texts.reference[half:]
        reverse_lm_score(texts.samples[:half], reference, held, target=judge[0])

    return {
        "two-sample test": seconds(lambda: two_sample_test(real, written)),
        "bound on KL": seconds(lambda: donsker_varadhan(real[:half], written[:half], real[half:], written[half:])),
        f"LM score, {half:,} texts": seconds(forward),
        f"reverse LM score, {half:,} texts": seconds(backward),
    }


def peers(texts: Texts, count: int) -> list[dict[str, Any]]:
    """The same figures by other packages on ``count`` texts against ``count``; each is asked for all four orders."""
    words, known = texts.words[:count], texts.known[:count]
    ours = {
        "BLEU": seconds(lambda: bleu_scores(words, known, ORDERS)),
        "Self-BLEU": seconds(lambda: self_bleu_scores(words, ORDERS)),
    }
    found = []
    for package, work in (("nltk", nltk_bleu), ("fast-bleu", fast_bleu_bleu)):
        for measure in ours:
            try:
                work(words[:2], known[:2], measure)
                taken = seconds(lambda measure=measure, work=work: work(words, known, measure))  # type: ignore[misc]
            except ImportError:
                continue
            about = {"package": package, "measure": f"{measure}-2 to 5, {count:,} texts"}
            found.append(about | {"seconds": taken, "ours": ours[measure], "ratio": taken / max(ours[measure], 1e-9)})
    return found


def nltk_bleu(words: list[list[str]], known: list[list[str]], measure: str) -> list[list[float]]:
    """A row a text, a column an order."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    weights = [tuple([1 / n] * n) for n in ORDERS]
    smooth = SmoothingFunction().method1
    found = []
    for i, text in enumerate(words):
        against = known if measure == "BLEU" else words[:i] + words[i + 1 :]
        found.append(sentence_bleu(against, text, weights, smoothing_function=smooth))
    return found


def fast_bleu_bleu(words: list[list[str]], known: list[list[str]], measure: str) -> dict[int, list[float]]:
    """A list of the texts' scores for each order."""
    import fast_bleu

    weights = {n: tuple([1 / n] * n) for n in ORDERS}
    if measure == "BLEU":
        return fast_bleu.BLEU(known, weights).get_score(words)
    return fast_bleu.SelfBLEU(words, weights).get_score()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("mgan", "numpy", "scipy", "torch", "rapidfuzz", "nltk", "fast-bleu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def table(record: dict[str, Any]) -> str:
    rows = [[name, number(taken)] for part in ("untrained", "trained") for name, taken in record[part].items()]
    others = [
        [
            f"{peer['measure']} by {peer['package']}",
            number(peer["seconds"]),
            number(peer["ours"]),
            number(peer["ratio"]),
        ]
        for peer in record["peers"]
    ]
    tables = [markdown([f"of {record['samples']:,} samples", "CPU seconds"], rows)]
    if others:
        tables.append(markdown(["peer", "CPU seconds", "ours", "times as long"], others))
    return "\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.txt and test.txt")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1000, help="hypotheses of the first BLEU row")
    parser.add_argument("--peer", type=int, default=300, help="texts given to nltk and fast-bleu")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "metrics-speed.json")
    options = parser.parse_args()
    texts = Texts.read(options.data, options.samples)
    few = min(options.few, len(texts.samples))
    # Imports are not what is measured.
    import scipy.stats

    assert scipy.stats
    bleu_scores(texts.words[:9], texts.known[:9], ORDERS)
    record = {
        "command": f"python benchmarks/metrics.py --data FOLDER --samples {options.samples} --few {options.few} "
        f"--peer {options.peer}",
        "versions": versions(),
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.machine()},
        "samples": len(texts.samples),
        "goals": GOALS,
        "untrained": untrained(texts, few),
        "trained": trained(texts),
        "peers": peers(texts, options.peer),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
