"""Plain text to the tokens that metrics count; nothing but white space is lost.

Figures of different tokenizers cannot be compared. This one serves texts that have none of their own; a corpus that
comes tokenized (EMNLP news: "a cat , a dog .") is split at its spaces.
"""

from __future__ import annotations

import regex

CJK = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}"
    r"\u3001-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts written without spaces between words, and hangul, with their own punctuation: a token is a character."""

_EMOJI = r"(?=[\p{Extended_Pictographic}\p{Regional_Indicator}]|[0-9#*]\ufe0f?\u20e3)\X"
# A grapheme: a kana with its voicing mark, a syllable spelled out in jamo.
_CHARACTER = rf"(?={CJK})\X"
_WORD = rf"[\w--{CJK}]+"
# regex, unlike str.split, does not take the four separators of ASCII for white space.
_MARK = r"[^\s\x1c-\x1f]\p{M}*"
_TOKEN: regex.Pattern[str] = regex.compile("|".join((_EMOJI, _CHARACTER, _WORD, _MARK)), regex.VERSION1)


def words(text: str) -> list[str]:
    """The tokens of a text: runs of letters, marks, digits and ``_``; every other character is a token of its own.

    A Chinese, Japanese or Korean character is one token, so is a punctuation mark, and an emoji with all that is
    joined to it (skin tone, family, flag, keycap). Case is kept. "don't" is three tokens, and so is "3.5".
    """
    return list(_TOKEN.findall(text))
