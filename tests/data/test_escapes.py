"""Text for people: what a terminal or a page would not show as it is, is spelled out, and reads back."""

from __future__ import annotations

import unicodedata

import pytest

from mgan.data.escapes import escaped, unescaped, visible

PLAIN = "a b 全　角 é 👩\u200d💻 می\u200cخواهم"
HIDDEN = "\x00\x07\x1b\x7f\x85\u2028\u2029\u202e\u2066\ufeff\ufffd\U000e0067\r"


def test_ordinary_text_stays() -> None:
    assert escaped(PLAIN) == visible(PLAIN) == PLAIN
    assert visible("two\nlines\t\\") == "two\nlines\t\\"
    assert escaped("") == '""'


@pytest.mark.parametrize("character", HIDDEN)
def test_what_would_not_be_seen_is_spelled_out(character: str) -> None:
    for shown in (escaped(f"a{character}b"), visible(f"a{character}b")):
        assert shown[:2] == "a\\" and shown[-1] == "b" and shown.isascii()
        assert all(unicodedata.category(c)[0] != "C" for c in shown)


def test_every_escape_reads_back() -> None:
    text = PLAIN + HIDDEN + "\n\t\\ \\x41 \\u0041"
    assert "\n" not in escaped(text) and unescaped(escaped(text)) == text
