"""From the generator's tokens to text, and from the places in that text back to the tokens.

A discriminator with a tokenizer of its own reads what a person would: special tokens are dropped, EOS is an end.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mgan.data.tokenizers import Tokenizer
from mgan.game.signals import last_position

BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoders write for bytes that are no character, or not yet."""


@dataclass(frozen=True)
class Passage:
    """A prompt, which may be empty, and its completion."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Tracked:
    """text: prompt and completion. ended: it has its EOS.

    ends: for every token, how many characters of the text are whole once it is read; an EOS has one more.
    """

    text: str
    ends: list[int]
    ended: bool


class Reader:
    """Reads rows that were written with ``tokenizer``."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def passages(self, tokens: Tensor, mask: Tensor) -> list[Passage]:
        """The texts of rows. tokens, mask: [B, L], True on the completion, EOS included."""
        first, last = mask.int().argmax(1).tolist(), last_position(mask).tolist()
        return [
            self._passage(row[: end + 1], start) for row, start, end in zip(tokens.tolist(), first, last, strict=True)
        ]

    def whole(self, tokens: Tensor, mask: Tensor) -> list[Tracked]:
        """The texts of rows, prompt and completion, without the places of tokens. tokens, mask: as in ``passages``."""
        rows = zip(tokens.tolist(), last_position(mask).tolist(), strict=True)
        return [Tracked(self._decode(row[: last + 1]), [], self._ended(row[: last + 1])) for row, last in rows]

    def tracked(self, tokens: Tensor) -> list[Tracked]:
        """The same with the place of every token, and told from padding by the tokens alone. tokens: [B, L].

        Where EOS is also the padding, the first of those at a row's end is EOS.
        """
        return [self._tracked(row[: self._last(row) + 1]) for row in tokens.tolist()]

    def _passage(self, row: list[int], start: int) -> Passage:
        whole, prompt = self._decode(row), self._decode(row[:start])
        # A prompt may end within a character; then it ends before it.
        prompt = prompt if whole.startswith(prompt) else prompt.rstrip(BROKEN)
        if whole.startswith(prompt):
            return Passage(prompt, whole[len(prompt) :])
        return Passage(prompt, self.tokenizer.decode(row[start:]))

    def _tracked(self, row: list[int]) -> Tracked:
        whole, ended, ends, furthest = self._decode(row), self._ended(row), list[int](), 0
        for i in range(1, len(row) - ended):
            # The bytes of a character that is not whole yet are no character.
            furthest = max(furthest, min(len(self._decode(row[:i]).rstrip(BROKEN)), len(whole)))
            ends.append(furthest)
        ends += [len(whole), len(whole) + 1] if ended else [len(whole)]
        return Tracked(whole, ends, ended)

    def _ended(self, row: list[int]) -> bool:
        return len(row) > 1 and row[-1] == self.tokenizer.eos

    def _last(self, row: list[int]) -> int:
        pad, end = self.tokenizer.pad, len(row)
        while end > 1 and row[end - 1] == pad:
            end -= 1
        return min(end, len(row) - 1) if pad == self.tokenizer.eos else end - 1

    def _decode(self, row: list[int]) -> str:
        """The text of a row that begins at its beginning."""
        return self.tokenizer.decode(row[1:] if row[0] == self.tokenizer.bos else row)
