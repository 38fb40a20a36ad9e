"""Rhyme categories of Chinese characters, as Mandarin says them today: the fourteen of 中華新韻 (2005), without tones.

Readings are those of the package pypinyin. Verse of the Tang rhymed in another Chinese: many of its rhymes are none
today, so only the share that real text of the same kind reaches says what is much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CATEGORIES = {
    "麻": "a ia ua", "波": "o e uo", "皆": "ie ve ê", "開": "ai uai", "微": "ei uei", "豪": "ao iao", "尤": "ou iou",
    "寒": "an ian uan van", "文": "en in uen vn", "唐": "ang iang uang", "庚": "eng ing ueng ong iong", "齊": "i er v",
    "姑": "u",
}  # fmt: skip
"""Finals in full spelling, v for ü. 支 is the i of zhi, chi, shi, ri, zi, ci and si."""
CATEGORY = {final: name for name, finals in CATEGORIES.items() for final in finals.split()}
SIBILANTS = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))


def category(line: str) -> str | None:
    """That of the last character, read as it is in this line; None if it has none. Needs pypinyin."""
    from pypinyin import Style, pinyin

    if not line:
        return None
    final = pinyin(line, style=Style.FINALS, strict=True)[-1][0]
    if final == "i" and pinyin(line, style=Style.INITIALS, strict=True)[-1][0] in SIBILANTS:
        return "支"
    return CATEGORY.get(final)


def rhymes(pairs: Sequence[tuple[str, str]]) -> np.ndarray | None:
    """[pairs] 1 where both lines end in one category, 0 where not; None without pypinyin."""
    try:
        import pypinyin  # noqa: F401
    except ImportError:
        return None
    ends = ((category(a), category(b)) for a, b in pairs)
    return np.array([a is not None and a == b for a, b in ends], dtype=float)
