"""What a record becomes: a text and the prompt that it answers, chats as lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mgan.data.segmentation import SPEAKER, SPEAKERS

NEXT = "assistant: "
SPOKEN = re.compile(rf"\n(?= *(?:{'|'.join(SPEAKERS)}): )")
SET_IN = re.compile(rf"\n (?= *(?:{'|'.join(SPEAKERS)}): )")


@dataclass(frozen=True)
class Example:
    """text: the completion, or the whole text; prompt: what it answers, "" if nothing.

    chat: where the prompt was messages, the (role, content) of each, for a model with a chat template of its own.
    rejected: answers in the same record that were not preferred, which are no real text; they are left out.
    unanswered: whether the chat went on behind the text, without an answer; that is left out too.
    group: the question or passage with all of whose texts it stays in one split; "" if the prompt decides.
    """

    prompt: str
    text: str
    chat: tuple[tuple[str, str], ...] | None = None
    rejected: int = field(default=0, compare=False)
    unanswered: bool = field(default=False, compare=False)
    group: str = field(default="", compare=False)

    @property
    def given(self) -> Prompt:
        """The prompt as it was given."""
        return self.prompt if self.chat is None else self.chat

    def ended(self, ending: str) -> Example:
        """With ``ending`` behind the prompt, if that is text and has it not yet."""
        if not self.prompt or self.chat is not None or self.prompt.endswith(ending):
            return self
        return replace(self, prompt=self.prompt + ending)

    def lower(self) -> Example:
        chat = None if self.chat is None else tuple((role, content.lower()) for role, content in self.chat)
        return Example(self.prompt.lower(), self.text.lower(), chat, group=self.group.lower())


Prompt = str | Sequence[tuple[str, str]]
"""Text, or messages as (role, content)."""


def answer(prompt: Prompt, text: str) -> Example:
    """``text`` as the completion of a prompt, which of messages is a line for each and the beginning of the answer.

    A line within a message that begins as a message does is set in by a space: nobody speaks in another's name.
    """
    if isinstance(prompt, str):
        return Example(prompt, text)
    plain = "".join(SPOKEN.sub("\n ", f"{role}: {content}") + "\n" for role, content in prompt)
    return Example(plain + NEXT, text, tuple(prompt))


def last_turn(prompt: str) -> str:
    """What was said last in a prompt that ``answer`` made of messages, without who said it; of another, all of it."""
    if not prompt.endswith(NEXT):
        return prompt.strip()
    return SET_IN.sub("\n", SPEAKER.split(prompt.removesuffix(NEXT))[-1]).strip()
