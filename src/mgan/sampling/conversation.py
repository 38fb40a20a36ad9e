"""A conversation with a trained pair: what was said is the prompt of each answer, in the form it was trained on."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mgan.data.readers import Prompt
from mgan.data.segmentation import SPEAKER, SPEAKERS
from mgan.sampling.pair import Pair
from mgan.sampling.uniforms import stream
from mgan.types import UserError

Message = tuple[str, str]
NEXT = tuple(f"{role}: " for role in SPEAKERS)
"""How a line begins with which somebody would speak next."""
ROOM = 0.25
"""Of the context, kept for an answer where older turns can be forgotten for it: as in training, for what is cut."""


@dataclass
class Conversation:
    """system: a message that stands before all others. decoding: of ``Pair.stream``. seed: of the first answer.

    messages: (role, content) of what was said, each user's turn with its answer. forgotten: how many of these did not
    fit into the last prompt. drawn: answers so far, also those that were taken back.
    """

    pair: Pair
    system: str = ""
    seed: int = 0
    decoding: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    forgotten: int = 0
    drawn: int = 0

    def __post_init__(self) -> None:
        if self.pair.tokenizer.labels or self.pair.tokenizer.blanks:
            raise UserError("this run's texts answer nothing that is said: use mgan generate")
        if self.system and not self.remembers:
            raise UserError("a system message needs a run that was trained on chats: leave --system out")
        self.pair.sampling(seed=self.seed, **self.decoding)

    @property
    def remembers(self) -> bool:
        """Whether prompts are messages: else each answer is given the last turn alone."""
        return self.pair.chats or self.pair.tokenizer.chat

    def answer(self, text: str) -> Generator[str, None, None]:
        """The answer to what the user says, in pieces, without white space around it.

        What was written of it when the iterator is exhausted or closed is what was said; nothing, if it is empty.
        Raises UserError if ``text`` alone leaves no room in the context.
        """
        prompt = self.prompt(text)
        pieces = self.pair.stream(prompt, seed=stream(self.seed, self.drawn), **self.decoding)
        lines = self.pair.chats and not self.pair.tokenizer.chat
        self.drawn += 1
        written = ""
        try:
            for piece in turn(pieces, NEXT if lines else ()):
                written += piece
                yield piece
        finally:
            if written:
                self.messages += [("user", text), ("assistant", written)]

    def prompt(self, text: str) -> Prompt:
        """All that was said and ``text``: without the oldest turns, each with its answer, that leave too little room.

        ``forgotten`` is how many messages were left out.
        """
        if not self.remembers:
            return self.pair.question(text)
        system = [("system", self.system)] if self.system else []
        self.forgotten = 0
        while True:
            messages = (*system, *self.messages[self.forgotten :], ("user", text))
            room = self.pair.context - self.pair.taken(messages)
            if room >= ROOM * self.pair.context or self.forgotten == len(self.messages):
                return messages
            self.forgotten += 2

    def reset(self) -> None:
        self.messages.clear()

    def undo(self) -> str | None:
        """Take back the last turn and its answer; what the user had said, None if nothing."""
        if not self.messages:
            return None
        said = self.messages[-2][1]
        del self.messages[-2:]
        return said

    def record(self) -> dict[str, Any]:
        """All that was said as ``mgan train`` reads a chat."""
        system = [("system", self.system)] if self.system else []
        return {"messages": [{"role": role, "content": content} for role, content in (*system, *self.messages)]}


def turn(pieces: Iterable[str], speakers: tuple[str, ...]) -> Iterator[str]:
    """A text in pieces, without white space around it and up to a line that begins with one of ``speakers``.

    What may become such a line, or the end, waits for what stands behind it.
    """
    text, shown = "", 0
    for piece in pieces:
        text = (text + piece).lstrip()
        if speakers and (other := SPEAKER.search(text)):
            text = text[: other.start()]
            break
        line = text[text.rfind("\n") + 1 :]
        waits = len(line) if any(speaker.startswith(line) for speaker in speakers) else 0
        ready = len(text[: len(text) - waits].rstrip())
        if ready > shown:
            yield text[shown:ready]
            shown = ready
    if rest := text.rstrip()[shown:]:
        yield rest
