"""Rows that lose no token, batches that a step number finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import rows as token_rows
from mgan.data import tokenizers
from mgan.data.corpus import build
from mgan.data.readers import Example
from mgan.data.rows import Batches, Rows, encode, order, with_prefix
from mgan.types import collate

TOKENIZER = tokenizers.train(["abcdefgh \n"], config.Tokenizer(kind="char", min_frequency=1))
TEXTS = [Example("", "abc"), Example("ab", "c"), Example("abcdefgh", "abcdefgh" * 3), Example("", "h" * 14)]

letters = st.text("abcdefgh \n", max_size=60)
examples = st.lists(st.builds(Example, letters, letters), min_size=1, max_size=8)


def as_lists(rows: Rows) -> list[tuple[list[int], int]]:
    return [rows.row(i) for i in range(len(rows))]


@given(examples, st.integers(8, 40))
def test_every_completion_token_is_predicted_exactly_once(texts: list[Example], context: int) -> None:
    rows = encode(texts, TOKENIZER, context)
    assert rows.texts == len(texts)
    found: list[list[int]] = [[] for _ in texts]
    for i, (tokens, prompt_length) in enumerate(as_lists(rows)):
        assert tokens[0] == TOKENIZER.bos
        assert 1 <= prompt_length < len(tokens) <= context
        found[rows.text_index[i]] += tokens[prompt_length:]
    assert found == [[*TOKENIZER.encode(example.text), TOKENIZER.eos] for example in texts]
    assert rows.tokens == sum(map(len, found))
    whole = [2 + len(example.prompt) + len(example.text) for example in texts]
    assert rows.windowed == sum(length > context for length in whole)


@given(examples, st.integers(8, 40))
def test_what_is_given_is_what_stood_before(texts: list[Example], context: int) -> None:
    rows = encode(texts, TOKENIZER, context)
    seen: dict[int, list[int]] = {}
    for i, (tokens, prompt_length) in enumerate(as_lists(rows)):
        text = int(rows.text_index[i])
        given = tokens[1:prompt_length]
        if text in seen:
            assert given == seen[text][-(context // 4) :]
        else:
            prompt = TOKENIZER.encode(texts[text].prompt)
            fits = 2 + len(prompt) + len(texts[text].text) <= context
            room = len(prompt) if fits else context - context // 4 - 1
            assert given == prompt[max(0, len(prompt) - room) :]
            seen[text] = list(given)
        seen[text] += tokens[prompt_length:]


def test_layout_of_a_row() -> None:
    a, b, c = TOKENIZER.encode("abc")
    rows = encode(TEXTS[:2], TOKENIZER, 8)
    assert as_lists(rows) == [
        ([TOKENIZER.bos, a, b, c, TOKENIZER.eos], 1),
        ([TOKENIZER.bos, a, b, c, TOKENIZER.eos], 3),
    ]
    batch = rows.batch(np.array([1, 0]))
    assert batch.prompt_length.tolist() == [3, 1]
    assert batch.mask.tolist() == [[False] * 3 + [True] * 2, [False] + [True] * 4]


def test_many_blocks_number_their_texts_through(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Example("", "abc"[: i % 4] * i) for i in range(50)]
    whole = encode(texts, TOKENIZER, 16)
    monkeypatch.setattr(token_rows, "BLOCK_TEXTS", 7)
    pieces = encode(texts, TOKENIZER, 16)
    assert as_lists(pieces) == as_lists(whole)
    assert pieces.text_index.tolist() == whole.text_index.tolist()


def test_no_texts_no_rows(tmp_path: Path) -> None:
    for cache in (None, tmp_path):
        rows = encode([], TOKENIZER, 8, cache)
        assert (len(rows), rows.texts, rows.windowed, rows.tokens) == (0, 0, 0, 0)


def test_cached_rows_are_the_same_and_not_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encode(TEXTS, TOKENIZER, 12)
    first = encode(TEXTS, TOKENIZER, 12, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tokenizers.Tokenizer, "encode_batch", lambda *_: pytest.fail("encoded again"))
        again = encode(TEXTS, TOKENIZER, 12, tmp_path)
    for rows in (first, again):
        assert as_lists(rows) == as_lists(expected)
        assert rows.text_index.tolist() == expected.text_index.tolist()
        assert (rows.texts, rows.windowed, rows.tokens) == (4, expected.windowed, expected.tokens)
    other = tokenizers.train(["hgfedcba" * 3], config.Tokenizer(kind="char", min_frequency=1))
    assert as_lists(encode(TEXTS, other, 12, tmp_path)) == as_lists(encode(TEXTS, other, 12))
    assert as_lists(encode(TEXTS, TOKENIZER, 20, tmp_path)) == as_lists(encode(TEXTS, TOKENIZER, 20))
    assert as_lists(encode(TEXTS[1:], TOKENIZER, 12, tmp_path)) == as_lists(encode(TEXTS[1:], TOKENIZER, 12))


def test_damaged_rows_are_made_again(tmp_path: Path) -> None:
    expected = as_lists(encode(TEXTS, TOKENIZER, 12, tmp_path))
    (file,) = tmp_path.rglob("tokens")
    file.write_bytes(file.read_bytes()[:-4])
    assert as_lists(encode(TEXTS, TOKENIZER, 12, tmp_path)) == expected


def test_rows_of_an_embedded_corpus(tmp_path: Path) -> None:
    corpus = build(config.Data(path="tang", max_texts=200), tmp_path)
    tokenizer = tokenizers.train((e.text for e in corpus.train), config.Tokenizer())
    rows = encode(corpus.test, tokenizer, 32, tmp_path)
    assert rows.texts == len(corpus.test) == len(rows)
    assert rows.windowed == 0


@given(st.integers(1, 300), st.integers(0, 2**40), st.integers(0, 99))
def test_order_is_a_permutation_of_its_seed_and_epoch(rows: int, seed: int, epoch: int) -> None:
    found = order(rows, seed, epoch)
    assert sorted(found.tolist()) == list(range(rows))
    assert found.tolist() == order(rows, seed, epoch).tolist()
    assume(rows > 20)
    assert found.tolist() != order(rows, seed, epoch + 1).tolist()
    assert found.tolist() != order(rows, seed + 1, epoch).tolist()


def numbered(count: int) -> Rows:
    """Rows whose second token is their number in base 8."""
    return encode([Example("", "".join("abcdefgh"[int(d)] for d in f"{i:03o}")) for i in range(count)], TOKENIZER, 8)


@given(st.integers(1, 60), st.integers(1, 25), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_an_epoch_meets_every_row_in_full_batches(count: int, batch_size: int, seed: int) -> None:
    rows = numbered(count)
    every = {tuple(tokens) for tokens, _ in as_lists(rows)}
    batches = Batches(rows, batch_size, seed)
    for epoch in (0, 3):
        first = epoch * batches.per_epoch
        met = [batches.at(step).tokens.tolist() for step in range(first, first + batches.per_epoch)]
        assert all(len(batch) == batch_size for batch in met)
        once = [tuple(row) for batch in met for row in batch][:count]
        assert set(once) == every


def test_a_step_number_is_all_a_batch_needs() -> None:
    rows = numbered(30)
    walked = Batches(rows, 8, seed=1)
    whole = [walked.at(step).tokens.tolist() for step in range(20)]
    for step in (13, 2, 19):
        assert Batches(rows, 8, seed=1).at(step).tokens.tolist() == whole[step]
        assert walked.at(step).tokens.tolist() == whole[step]
    assert Batches(rows, 8, seed=2).at(0).tokens.tolist() != whole[0]


@given(examples, st.integers(1, 12), st.integers(0, 2**31))
def test_a_prefix_leaves_a_completion(texts: list[Example], max_prefix: int, seed: int) -> None:
    batch = encode(texts, TOKENIZER, 40).batch(range(len(texts)))
    found = with_prefix(batch, max_prefix, seed)
    added = found.prompt_length - batch.prompt_length
    assert (added >= 0).all() and (added <= max_prefix).all()
    assert torch.equal(found.lengths, batch.lengths)
    assert (found.mask.sum(1) >= 1).all()
    rows = [(batch.tokens[i, : batch.lengths[i]].tolist(), int(found.prompt_length[i])) for i in range(len(batch))]
    assert torch.equal(found.mask, collate(rows, TOKENIZER.pad).mask)
    assert torch.equal(found.tokens, batch.tokens)
    assert torch.equal(with_prefix(batch, max_prefix, seed).prompt_length, found.prompt_length)


def test_prefix_lengths_cover_their_range() -> None:
    batch = encode([Example("", "abcdefgh" * 2)] * 400, TOKENIZER, 40).batch(range(400))
    lengths = with_prefix(batch, 3, seed=0).prompt_length - 1
    assert np.bincount(lengths).min() > 70 and lengths.max() == 3
    assert not torch.equal(lengths, with_prefix(batch, 3, seed=1).prompt_length - 1)


def test_a_tokenizer_without_end_mark_adds_none() -> None:
    """Texts that fill their context to the last token are not cut, longer ones are, an empty one has no row."""
    full, longer = " ".join("1234567"), " ".join("12345678")
    rows = encode([Example("", full), Example("9 0", "5"), Example("", longer), Example("", "")], tokenizers.ids(10), 8)
    texts = [(tokens, int(text)) for (tokens, _), text in zip(as_lists(rows), rows.text_index, strict=True)]
    assert texts[:2] == [([0, 1, 2, 3, 4, 5, 6, 7], 0), ([0, 9, 0, 5], 1)]
    assert rows.row(1)[1] == 3
    assert [text for _, text in texts] == [0, 1, 2, 2] and texts[3][0][-1] == 8
    assert (rows.texts, rows.windowed, rows.tokens) == (4, 1, 7 + 1 + 8)
