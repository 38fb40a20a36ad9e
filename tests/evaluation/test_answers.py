"""Exact match and F1 against SQuAD's own script, answers in Chinese, and the tokens of plain text."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mgan.data import segmentation
from mgan.evaluation.metrics.answers import exact_match, exact_matches, f1, f1_scores
from mgan.evaluation.metrics.words import words


def squad_normalise(answer: str) -> str:
    """As evaluate-v2.0.py has it."""
    without = "".join(character for character in answer.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", without).split())


def squad_f1(prediction: str, reference: str) -> float:
    ours, theirs = squad_normalise(prediction).split(), squad_normalise(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((Counter(ours) & Counter(theirs)).values())
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


pieces = st.sampled_from([*"aAbn .,-$_'?\t1", "the", "The ", " an ", "a ", "theme", "cat ", "Cat, "])
answer = st.lists(pieces, max_size=8).map("".join)


@given(answer, st.lists(answer, min_size=1, max_size=3))
@example("", [""])
@example("", ["cat"])
@example("The", [""])
@example("the cat", ["dog", "The CAT!"])
@settings(max_examples=300, deadline=None)
def test_english_answers_score_as_squad_scores_them(prediction: str, references: list[str]) -> None:
    same = any(squad_normalise(prediction) == squad_normalise(reference) for reference in references)
    assert exact_match(prediction, references) == same
    assert f1(prediction, references) == pytest.approx(max(squad_f1(prediction, each) for each in references))


def test_chinese_answers_are_compared_by_characters() -> None:
    assert exact_match("《红楼梦》。", ["红楼梦"]) == 1
    assert exact_match("红楼 梦", ["红楼梦"]) == 1
    assert exact_match("红楼", ["红楼梦"]) == 0
    assert f1("红楼", ["红楼梦"]) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert f1("苹果iPhone手机", ["iPhone"]) == pytest.approx(2 * (1 / 5) * 1 / (1 / 5 + 1))
    assert f1("，。！", ["红"]) == 0
    assert f1("二〇二四年", ["2024年"]) == pytest.approx(2 / 7)


def test_of_many_answers_there_is_one_score_each() -> None:
    predictions, references = ["the cat", "a dog", ""], [["cat"], ["big dog", "cat"], [""]]
    assert exact_matches(predictions, references).tolist() == [1, 0, 1]
    assert f1_scores(predictions, references) == pytest.approx([1, 2 / 3, 1])
    assert exact_matches([], []).shape == (0,)


def test_answers_without_references_are_refused() -> None:
    with pytest.raises(ValueError, match="references of an answer"):
        exact_match("cat", [])
    with pytest.raises(ValueError, match="references of an answer"):
        f1("cat", "cat")
    with pytest.raises(ValueError, match="1 and 0"):
        f1_scores(["cat"], [])


# --- words


@pytest.mark.parametrize(
    ("plain", "tokens"),
    [
        ("", []),
        (" \t\n\u3000", []),
        ("A man's dog.", ["A", "man", "'", "s", "dog", "."]),
        ("3.5 x_1 ...", ["3", ".", "5", "x_1", ".", ".", "."]),
        ("他说：“hello世界”！", ["他", "说", "：", "“", "hello", "世", "界", "”", "！"]),
        ("ひらがなカー한국어々〇", [*"ひらがなカー한국어々〇"]),
        ("か\u3099 각", ["か\u3099", "각"]),
        ("ok👍🏽❤️👨‍👩‍👧‍👦", ["ok", "👍🏽", "❤️", "👨‍👩‍👧‍👦"]),
        ("🇨🇳🇩🇪1️⃣ #1 😀😀", ["🇨🇳", "🇩🇪", "1️⃣", "#", "1", "😀", "😀"]),
        ("हिन्दी cafe\u0301 naïve می\u200cخواهم", ["हिन्दी", "cafe\u0301", "naïve", "می\u200cخواهم"]),
    ],
)
def test_the_tokens_of_plain_text(plain: str, tokens: list[str]) -> None:
    assert words(plain) == tokens


@given(
    st.text()
    | st.lists(st.sampled_from([*"a1_ .\n\u3000\x1c猫が한，👍🏽\u200d\ufe0f\u20e3\u0301🇨\u0600"])).map("".join)
)
@settings(max_examples=500, deadline=None)
def test_nothing_but_white_space_is_lost(plain: str) -> None:
    assert "".join(words(plain)) == "".join(plain.split())
    assert all(words(token) == [token] for token in words(plain) if token[0].isalnum())


def test_what_the_tokenizers_call_a_character_is_a_token_of_its_own() -> None:
    every = [chr(code) for code in range(0x110000) if segmentation.CJK.match(chr(code))]
    assert len(every) > 80_000
    assert all(words(f"a{character}b") == ["a", character, "b"] for character in every if character.isalnum())
