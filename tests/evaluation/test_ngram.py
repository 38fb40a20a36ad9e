"""The n-gram model against a slow one made of dictionaries, and the measures of diversity."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation.diversity import distinct, entropy
from mgan.evaluation.ngram import NGramLM
from mgan.types import Batch, collate

PAD, BOS, EOS, VOCABULARY = 0, 1, 2, 9

completion = st.lists(st.integers(3, VOCABULARY - 1), max_size=8).map(lambda body: [*body, EOS])
prompt = st.lists(st.integers(3, VOCABULARY - 1), max_size=3)
text = st.tuples(prompt, completion).map(lambda pair: ([BOS, *pair[0], *pair[1]], 1 + len(pair[0])))
corpus = st.lists(text, min_size=1, max_size=12)


class Slow:
    """Interpolated Witten-Bell, as it is written down: one dictionary an order."""

    def __init__(self, texts: list[tuple[list[int], int]], order: int):
        self.order = order
        self.counts: list[defaultdict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
        for tokens, start in texts:
            for i in range(start, len(tokens)):
                for n in range(order):
                    self.counts[n][self.history(tokens, i, n)][tokens[i]] += 1

    @staticmethod
    def history(tokens: list[int], i: int, n: int) -> tuple[int, ...]:
        padded = [-1] * n + tokens
        return tuple(padded[i : i + n])

    def probability(self, tokens: list[int], i: int) -> float:
        p = 1 / VOCABULARY
        for n in range(self.order):
            after = self.counts[n].get(self.history(tokens, i, n))
            if after:
                p = (after[tokens[i]] + len(after) * p) / (after.total() + len(after))
        return p


@given(corpus, corpus, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_it_is_interpolated_witten_bell(
    train: list[tuple[list[int], int]], test: list[tuple[list[int], int]], order: int
) -> None:
    half = (len(train) + 1) // 2
    batches = [collate(part, PAD) for part in (train[:half], train[half:]) if part]
    fast, slow = NGramLM(batches, VOCABULARY, order), Slow(train, order)
    nll, tokens = fast.nll(collate(test, PAD))
    expected = [-sum(math.log(slow.probability(row, i)) for i in range(given, len(row))) for row, given in test]
    assert nll == pytest.approx(expected)
    assert tokens.tolist() == [len(row) - given for row, given in test]
    assert fast.score(collate(test, PAD)) == pytest.approx(sum(expected) / tokens.sum())


@given(corpus, text)
@settings(max_examples=40, deadline=None)
def test_the_probabilities_of_all_next_tokens_add_up_to_one(
    train: list[tuple[list[int], int]], context: tuple[list[int], int]
) -> None:
    model = NGramLM([collate(train, PAD)], VOCABULARY)
    prefix = context[0][:-1]
    nexts = collate([([*prefix, token], len(prefix)) for token in range(VOCABULARY)], PAD)
    assert np.exp(-model.nll(nexts)[0]).sum() == pytest.approx(1)


def test_text_like_the_training_text_is_likelier_than_noise() -> None:
    source = torch.Generator().manual_seed(0)
    alike = [([BOS, 3, 4, 5, 6, EOS], 1), ([BOS, 3, 4, 6, EOS], 1)]
    model = NGramLM([collate(alike * 50, PAD)], VOCABULARY)
    noise = [([BOS, *torch.randint(3, 9, (4,), generator=source).tolist(), EOS], 1) for _ in range(50)]
    assert model.score(collate(alike, PAD)) < 0.3 < math.log(VOCABULARY) / 2 < model.score(collate(noise, PAD))


def test_a_large_vocabulary_makes_no_two_contexts_one() -> None:
    """Hashed keys: 50,000 different bigrams and trigrams stay different."""
    source = torch.Generator().manual_seed(0)
    rows = torch.randint(3, 30_000, (2000, 26), generator=source)
    batch = collate([([BOS, *row], 1) for row in rows.tolist()], PAD)
    model = NGramLM([batch], 30_000)
    for n in range(1, 4):
        grams = {tuple(row[i : i + n + 1]) for row in batch.tokens.tolist() for i in range(1, 27 - n)}
        starts = {tuple(row[: i + 1]) for row in batch.tokens.tolist() for i in range(1, n + 1)}
        assert len(model.grams[n].keys) == len(grams) + len(starts)


# --- diversity


@given(corpus, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_distinct_is_different_n_grams_over_all_of_them(texts: list[tuple[list[int], int]], n: int) -> None:
    grams = [
        tuple(row[i : i + n]) for tokens, given in texts for row in [tokens[given:]] for i in range(len(row) - n + 1)
    ]
    expected = len(set(grams)) / len(grams) if grams else 0.0
    assert distinct(collate(texts, PAD), n) == pytest.approx(expected)


def test_entropy_is_the_mean_surprise_of_a_token() -> None:
    mask = torch.tensor([[False, True, True], [False, True, False]])
    logprobs = torch.tensor([[0.0, -1.0, -2.0], [0.0, -6.0, 0.0]])
    batch = Batch(torch.ones(2, 3, dtype=torch.long), mask, torch.ones(2, dtype=torch.long), logprobs)
    assert entropy(batch) == 3.0
    with pytest.raises(ValueError, match="logprobs"):
        entropy(Batch(batch.tokens, mask, batch.prompt_length))
