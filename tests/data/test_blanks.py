"""Blanks: given and left out are the text together, no row is too long, every epoch leaves out another part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import tokenizers
from mgan.data.blanks import Blanks
from mgan.data.readers import Example
from mgan.data.rows import Batches, Rows, encode
from mgan.data.tokenizers import Tokenizer
from mgan.errors import UserError

LETTERS = "abcdefgh "


def tokenizer(share: float = 0.5, sources: bool = True, kind: str = "char", texts: str = LETTERS) -> Tokenizer:
    settings = config.Tokenizer(kind=kind, min_frequency=1, vocabulary=400)  # type: ignore[arg-type]
    return tokenizers.train([texts], settings, sources, blanks=share)


def parts(rows: Rows, blanks: Blanks, i: int) -> tuple[list[int], list[int], int, list[int]]:
    """What stands before the blanks and behind, how many there are, and what was left out, of a row."""
    tokens, length = rows.row(i)
    source, written = tokens[1 : length - 1], tokens[length:]
    assert tokens[length - 1] == written[-1] == blanks.boundary
    place, count = source.index(blanks.token), source.count(blanks.token)
    assert source[place : place + count] == [blanks.token] * count
    return source[:place], source[place + count :], count, written[:-1]


@settings(deadline=None)
@given(
    st.lists(st.text(LETTERS, min_size=1, max_size=60), min_size=1, max_size=6),
    st.integers(9, 40),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.booleans(),
)
def test_given_and_left_out_are_the_text(texts: list[str], context: int, share: float, sources: bool) -> None:
    reader = tokenizer(share, sources)
    blanks = reader.blanks
    assert blanks is not None
    rows = encode([Example("", text) for text in texts], reader, context)
    read: list[str] = ["" for _ in texts]
    for i in range(len(rows)):
        before, after, count, written = parts(rows, blanks, i)
        assert len(written) == count == np.ceil(share * (len(before) + len(after) + count))
        tokens, length = rows.row(i)
        assert len(tokens) == rows.lengths[i] <= context
        assert reader.whole(tokens, length) == reader.decode([*before, *written, *after])
        text = rows.text_index[i]
        windowed = read[text] != ""
        piece = reader.decode([*before, *written, *after])
        overlap = blanks.room(context) // 4 if windowed else 0
        assert not windowed or read[text].endswith(piece[:overlap])
        read[text] += piece[overlap:]
    assert read == texts
    assert rows.tokens == sum(len(rows.row(i)[0]) - rows.row(i)[1] for i in range(len(rows)))


def test_texts_that_fit_are_not_cut() -> None:
    for share in (0.1, 0.5, 1.0):
        reader = tokenizer(share)
        assert reader.blanks is not None
        room = reader.blanks.room(30) - 2
        for length, rows in ((room, 1), (room + 1, 2)):
            assert len(encode([Example("", "a" * length)], reader, 30)) == rows


def test_every_stretch_is_left_out_as_often_and_anew_each_epoch() -> None:
    reader = tokenizer(0.5)
    rows = encode([Example("", "abcdef")] * 5, reader, 20)
    batches = Batches(rows, 5, 3)
    drawn = [batches.at(i).tokens.tolist() for i in range(400)]
    again = Batches(rows, 5, 3)
    assert [again.at(i).tokens.tolist() for i in (399, 7)] == [drawn[399], drawn[7]], "found by its number alone"
    places = Counter(row.index(reader.blanks.token) for batch in drawn for row in batch)  # type: ignore[union-attr]
    assert set(places) == {1, 2, 3, 4} and min(places.values()) > 0.9 * 500
    assert rows.batch(range(5)).tokens.tolist() == rows.batch(range(5)).tokens.tolist()


def test_without_an_epoch_what_is_left_out_hangs_on_the_text_alone() -> None:
    reader = tokenizer(0.5)
    texts = [Example("", text) for text in ("abcdefgh", "hgfedcba", "aabbccdd", "abcdefga")]
    here, there = encode(texts, reader, 30), encode(texts[::-1], reader, 30)
    assert [here.row(i) for i in range(4)] == [there.row(3 - i) for i in range(4)]
    places = {here.row(i)[0].index(reader.blanks.token) for i in range(4)}  # type: ignore[union-attr]
    assert len(places) > 1, "texts of one length differ in it"


def test_other_vocabularies_do_not_change() -> None:
    plain = tokenizers.train([LETTERS], config.Tokenizer(kind="char", min_frequency=1))
    assert plain.blanks is None and "<left out>" not in plain.vocabulary
    filled = tokenizer(sources=False)
    assert filled.vocabulary_size == plain.vocabulary_size + 1
    assert filled.blanks is not None and filled.blanks.token in filled.never


@pytest.mark.parametrize(
    ("kind", "before", "count"), [("word", "the old", 2), ("bpe", "the old", 2), ("char", "the ", 5)]
)
def test_typed_blanks_are_those_of_training(kind: str, before: str, count: int) -> None:
    """What a person types is, token for token, what a text with blanks there is."""
    text = "the old cat sees the house"
    reader = tokenizer(kind=kind, texts=text)
    ids, blank = reader.encode(text), reader.blanks.token  # type: ignore[union-attr]
    start = len(reader.encode(before))
    expected = [reader.bos, *ids[:start], *[blank] * count, *ids[start + count :], reader.eos]
    behind, gap = reader.decode(ids[start + count :]), ""
    if kind != "char":
        behind, gap = behind.removeprefix(" "), " "
    typed = before + gap + " ".join(["___"] * count) + gap + behind
    assert reader.prompts([Example(typed, "")]) == [expected]


def test_blanks_are_saved_with_the_tokenizer(tmp_path: Path) -> None:
    tokenizer(0.3).save(tmp_path)
    assert Tokenizer.load(tmp_path).blanks == tokenizer(0.3).blanks


def test_what_cannot_be_filled_in() -> None:
    reader = tokenizer()
    for prompt in ("", "a cat", "a ___ b ___ c"):
        with pytest.raises(UserError, match="one stretch of blanks"):
            reader.prompts([Example(prompt, "")])
    with pytest.raises(UserError, match="have prompts already"):
        encode([Example("a", "b")], reader, 20)


def test_a_filling_may_be_shorter_or_longer_than_its_blanks() -> None:
    blanks = Blanks(0.5, 9, 2)
    given = [1, 5, 9, 9, 6, 2]
    assert blanks.filled([*given, 7, 2], len(given)) == [5, 7, 6]
    assert blanks.filled([*given, 7, 7, 7], len(given)) == [5, 7, 7, 7, 6]
    assert blanks.filled([*given, 2], len(given)) == [5, 6]
