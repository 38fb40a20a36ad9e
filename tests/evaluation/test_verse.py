"""The measures of verse, on poems counted by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mgan.evaluation.bootstrap import Intervals
from mgan.evaluation.tasks import Asked, named
from mgan.evaluation.tasks.rhyme import CATEGORIES, category, rhymes
from mgan.evaluation.tasks.verse import FEWEST, form, is_chinese, lines, measure

FIVE = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"
SEVEN = "朝辭白帝彩雲間，千里江陵一日還。兩岸猿聲啼不住，輕舟已過萬重山。"
UNRHYMED = "白日依山盡，黃河入海中。欲窮千里目，更上一層樓。"
CROOKED = "白日依山盡，黃河入海。欲窮千里目，更上一層樓。"


def measured(outputs: list[str], references: list[str]) -> dict[str, float]:
    asked = [Asked("", (text,)) for text in references]
    intervals = Intervals.over(len(outputs), 200, 0.95, 0)
    return {name: estimate.value for name, estimate in measure(asked, outputs, intervals).items()}


def test_a_chinese_line_ends_at_a_mark_or_a_line_break() -> None:
    assert lines(FIVE, True) == ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
    assert lines("春眠！不覺？ \n 曉；處處\n\n聞。。啼鳥", True) == ["春眠", "不覺", "曉", "處處", "聞", "啼鳥"]
    assert form(lines("春 眠，\n不覺曉", True), True) == (2, 3)
    assert lines("。，", True) == lines("", True) == []


def test_any_other_line_ends_at_a_line_break_and_is_counted_in_words() -> None:
    poem = "Shall I compare thee, to a day?\n\n  Thou art more lovely.  \n"
    assert form(lines(poem, False), False) == (7, 4)
    assert not is_chinese([poem]) and is_chinese([FIVE]) and not is_chinese([])
    assert is_chinese([FIVE, "Ode"]), "most letters decide"


def test_a_form_is_known_if_another_real_text_has_it() -> None:
    real = [FIVE, UNRHYMED, SEVEN]
    assert measured([FIVE, CROOKED, FIVE], real)["known_form"] == pytest.approx(2 / 3)
    # Real text against itself: the only poem of its form is not known from others.
    assert measured(real, real)["known_form"] == pytest.approx(2 / 3)
    two = measure([Asked("", (SEVEN, SEVEN)), Asked("", (FIVE,))], [SEVEN, SEVEN], Intervals.over(2, 100, 0.95, 0))
    assert two["known_form"].value == 0.5, "a prompt's own texts count for the other prompts alone"


def test_lines_and_lengths_are_means_over_texts_and_over_lines() -> None:
    found = measured([FIVE, "春", "", SEVEN], [FIVE] * 4)
    assert found["lines"] == (4 + 1 + 0 + 4) / 4 and found["quatrains"] == 0.5
    assert "line_length" not in found and "rhyme" not in found
    assert measured([FIVE, "春", SEVEN], [FIVE] * 3)["line_length"] == (20 + 1 + 28) / 9
    assert set(measured(["a b\nc", "d"], ["e f", "g h"])) == {"known_form", "lines", "line_length"}


def test_the_interval_is_the_bootstrap_of_the_texts() -> None:
    outputs = [FIVE] * 30 + [CROOKED] * 10
    intervals = Intervals.over(40, 500, 0.9, 3)
    found = measure([Asked("", (FIVE,))] * 40, outputs, intervals)["quatrains"]
    shares = np.array([row[:30].sum() / 40 for row in intervals.weights])
    assert (found.value, found.low, found.high) == (0.75, *np.quantile(shares, [0.05, 0.95]))


def test_rhymes_are_a_share_of_the_quatrains() -> None:
    pytest.importorskip("pypinyin")
    outputs = [FIVE] * FEWEST + [UNRHYMED] * FEWEST + [CROOKED] * 5
    found = measured(outputs, [FIVE] * len(outputs))
    assert found["rhyme"] == 0.5 and found["quatrains"] == pytest.approx(2 * FEWEST / len(outputs))
    assert "rhyme" not in measured(outputs[: FEWEST - 1], [FIVE] * (FEWEST - 1))


def test_rhyme_categories_are_the_fourteen_of_modern_mandarin() -> None:
    pytest.importorskip("pypinyin")
    assert len(CATEGORIES) + 1 == 14
    same = {
        "麻": "花家", "波": "歌多", "皆": "月斜", "開": "來", "微": "歸杯", "豪": "高遙", "尤": "流樓", "寒": "間山然",
        "文": "春人雲新", "唐": "霜鄉光", "庚": "生情風翁空", "齊": "溪兒雨", "支": "知時枝絲", "姑": "湖書",
    }  # fmt: skip
    assert {character: category(character) for characters in same.values() for character in characters} == {
        character: name for name, characters in same.items() for character in characters
    }
    assert category("") is None and category("abc") is None
    assert rhymes([("海流", "層樓"), ("海中", "層樓"), ("x", "x")]).tolist() == [1, 0, 0]  # type: ignore[union-attr]


def test_without_pypinyin_there_are_no_rhymes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    outputs = [FIVE] * FEWEST
    assert set(measured(outputs, outputs)) == {"known_form", "quatrains", "lines", "line_length"}


def test_the_task_is_found_by_its_name() -> None:
    assert named("verse").measure is measure and named("verse").REAL
