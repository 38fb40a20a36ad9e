"""Copying against brute force, and a generator that recites against one that does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.evaluation.metrics import novelty
from mgan.evaluation.metrics.novelty import copied_share, exact_copies, longest_copies, near_copies

text = st.lists(st.sampled_from("abc"), max_size=9)
corpus = st.lists(text, max_size=7)


def contains(whole: list[str], part: list[str]) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))


def longest(x: list[str], training: list[list[str]]) -> int:
    spans = [x[i:j] for i in range(len(x)) for j in range(i + 1, len(x) + 1)]
    return max((len(span) for span in spans if any(contains(t, span) for t in training)), default=0)


def edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


@given(corpus, corpus)
@settings(max_examples=150, deadline=None)
def test_longest_copies_against_every_span(texts: list[list[str]], training: list[list[str]]) -> None:
    assert longest_copies(texts, training).tolist() == [longest(x, training) for x in texts]


@given(st.lists(text, min_size=1, max_size=7), corpus, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_near_copies_against_every_pair(texts: list[list[str]], training: list[list[str]], limit: int) -> None:
    expected = [any(edits(x, t) <= limit for t in training) for x in texts]
    assert near_copies(texts, training, edits=limit) == pytest.approx(np.mean(expected))


def test_many_lengths_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, each against the training texts of fitting length only."""
    monkeypatch.setattr(novelty, "CHUNK", 5)
    random = np.random.default_rng(0)
    draw = [[str(t) for t in random.integers(0, 3, random.integers(0, 12))] for _ in range(140)]
    texts, training = draw[:70], draw[70:]
    for limit in (1, 2, 4):
        expected = np.mean([any(edits(x, t) <= limit for t in training) for x in texts])
        assert near_copies(texts, training, limit) == pytest.approx(expected)


def test_copied_share_is_of_each_texts_own_length() -> None:
    training = [list("abcd"), list("xy")]
    texts = [list("abcd"), list("zzab"), [], list("q"), list("dxyc")]
    assert longest_copies(texts, training).tolist() == [4, 2, 0, 0, 2]
    assert copied_share(texts, training) == pytest.approx((1 + 0.5 + 0 + 0 + 0.5) / 5)


def test_a_span_does_not_run_on_from_one_training_text_into_the_next() -> None:
    assert longest_copies([list("abcd")], [list("ab"), list("cd")]).tolist() == [2]
    assert longest_copies([list("ab"), list("cd")], [list("abcd")]).tolist() == [2, 2]


def test_a_generator_that_recites_is_caught_and_one_that_writes_is_not() -> None:
    random = np.random.default_rng(0)
    draw = [random.integers(0, 50, random.integers(5, 15)).tolist() for _ in range(900)]
    training, held_out, fresh = draw[:300], draw[300:600], draw[600:]
    recited = [training[i] for i in random.integers(0, 300, 300)]
    assert copied_share(recited, training) == exact_copies(recited, training) == 1
    target = copied_share(held_out, training)
    assert target < 0.4 and copied_share(fresh, training) == pytest.approx(target, abs=0.03)
    assert exact_copies(fresh, training) == near_copies(fresh, training, 2) == 0
    changed = [[*t[:2], -1, *t[3:]] for t in recited]
    assert exact_copies(changed, training) == 0 and near_copies(changed, training, 1) == 1
    assert copied_share(changed, training) > 0.6


def test_texts_stitched_from_two_training_texts_show_in_the_span_only() -> None:
    training = [[100 * i + j for j in range(10)] for i in range(20)]
    stitched = [training[i][:6] + training[i + 1][6:] for i in range(19)]
    assert longest_copies(stitched, training).tolist() == [6] * 19
    assert near_copies(stitched, training, 3) == 0 and near_copies(stitched, training, 4) == 1


def test_chinese_emoji_and_one_token() -> None:
    training = [list("床前明月光"), ["🙂", "🙃"]]
    texts = [list("明月光光"), ["🙂"], ["🙃", "🙃"], ["🐙"]]
    assert longest_copies(texts, training).tolist() == [3, 1, 1, 0]
    assert near_copies(texts, training, 1) == 0.5
    assert exact_copies([["🙂", "🙃"], ["🙂🙃"]], training) == 0.5


def test_all_the_same_text() -> None:
    same = [list("aaaaaaaa")] * 50
    assert longest_copies(same, same).tolist() == [8] * 50
    assert longest_copies([["a"] * 30], same).tolist() == [8]
    assert copied_share(same, same) == near_copies(same, same) == 1


def test_tokens_that_no_training_text_has_equal_nothing() -> None:
    assert near_copies([["u", "v"]], [["x", "y"]], 1) == 0
    assert near_copies([["x", "v"]], [["x", "y"]], 1) == 1
    assert longest_copies([["u", "u"]], [["x"]]).tolist() == [0]


def test_a_large_vocabulary_keeps_tokens_apart() -> None:
    """More tokens than one Unicode plane, surrogates among them."""
    training = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(25_000)]
    assert near_copies([[3 * i, 3 * i + 4, 3 * i + 2] for i in range(18_000, 18_700)], training, 1) == 1
    assert near_copies([[3 * i, 3 * i + 4, 3 * i + 8] for i in range(18_000, 18_700)], training, 1) == 0


def test_long_texts() -> None:
    random = np.random.default_rng(0)
    book = random.integers(0, 1000, 50_000).tolist()
    assert longest_copies([[-1, *book[100:3100], -1], book], [book]).tolist() == [3000, 50_000]


def test_nothing_is_copied_from_nothing_and_no_texts_have_no_share() -> None:
    assert longest_copies([], []).tolist() == [] and longest_copies([], [["a"]]).tolist() == []
    assert longest_copies([["a"], []], []).tolist() == [0, 0]
    assert copied_share([["a"]], []) == exact_copies([["a"]], []) == near_copies([["a"]], []) == 0
    for measure in (copied_share, exact_copies, near_copies):
        with pytest.raises(ValueError, match="at least one text"):
            measure([], [["a"]])
    with pytest.raises(ValueError, match="edits"):
        near_copies([["a"]], [["a"]], -1)
