"""Text for people to look at: what would move a cursor, turn a line around or stand for nothing is spelled out."""

from __future__ import annotations

import re
import unicodedata

HIDDEN = ("Cc", "Cf", "Zl", "Zp")
JOINERS = "\u200c\u200d"
"""Between letters of many scripts, and in emoji, these are spelling."""
BROKEN = "\ufffd"
"""What stands for bytes that are no character, of which a byte-level model writes many at first."""


def escaped(text: str) -> str:
    """``text`` on one line, control characters and backslashes escaped as in Python; "" if it is empty."""
    return "".join("\\\\" if c == "\\" else _spelled(c) for c in text) or '""'


def unescaped(text: str) -> str:
    """What ``escaped`` came from; escapes it does not write stay as they are."""
    return re.sub(
        r"\\(\\|n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5})",
        lambda found: found[0].encode().decode("unicode_escape"),
        text,
    )


def visible(text: str) -> str:
    """``text`` as it stands, line breaks, tabs and backslashes too; other control characters escaped."""
    return "".join(c if c in "\n\t" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    hidden = unicodedata.category(character) in HIDDEN and character not in JOINERS
    return character.encode("unicode_escape").decode() if hidden or character == BROKEN else character
