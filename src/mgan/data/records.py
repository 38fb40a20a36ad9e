"""Records that hold more than one text: a question and all the answers that are accepted, a chat with several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mgan import config
from mgan.data.formats import kind
from mgan.data.shapes import CHATS, PREFERENCE, ROLES
from mgan.errors import UserError

QUESTIONS, CONTEXT = ("question", "q"), "context"
ANSWERS = ("answers", "answer", "a")
FIELDS = (*QUESTIONS, CONTEXT, *ANSWERS)
SPEAKERS = ("user", "assistant")
"""Who speaks where only what was said stands, by turns."""


def asked(question: str, context: str = "", ending: str = "\n") -> str:
    """A question as a prompt: behind the passage it is about, if there is one, and with ``ending`` at its end."""
    passage = f"{context}\n" if context else ""
    return passage + question.removesuffix(ending) + ending


def unfolded(record: Any, place: str, config: config.Data) -> Iterator[tuple[Any, str]]:
    """The records of one text each that ``record`` stands for, itself if it is such a one; and their ``Example.group``.

    A completion that is a list of strings is all that is accepted: a record for each, with the prompt as it stands. So
    is ``answers`` beside a ``question``, whose prompt is as in ``asked``; where nothing is accepted it is "". Their
    group is the passage, else the prompt.
    A list of strings is a chat. With ``data.turns=all`` a chat is its beginnings up to each answer.
    """
    if isinstance(record, list | tuple):
        record = _chat(record, place)
    prompt, completion = config.prompt_field, config.completion_field
    if not isinstance(record, Mapping) or (config.text_field in record and config.text_field != completion):
        yield record, ""
    elif completion in record:
        accepted = _accepted(record[completion])
        group = str(record.get(prompt) or "") if accepted != [record[completion]] else ""
        for answer in accepted:
            yield {**record, completion: answer}, group
    elif (answers := _answers(record)) and (question := _question(record, prompt)):
        context = _string(record, CONTEXT, place)
        given = asked(_string(record, question, place), context)
        for answer in _accepted(record[answers]):
            yield {**record, prompt: given, completion: answer}, context or given
    elif config.turns == "all" and (chat := next((name for name in CHATS if name in record), None)):
        yield from ((beginning, "") for beginning in _beginnings(record, chat))
    else:
        yield record, ""


def _chat(said: Sequence[Any], place: str) -> dict[str, Any]:
    """What user and assistant say by turns, the user first, as messages."""
    if not all(isinstance(turn, str) for turn in said):
        wrong = next(kind(turn) for turn in said if not isinstance(turn, str))
        raise UserError(
            f"{place}: a list is a chat, of what user and assistant say by turns, each a string; found {wrong}: write "
            'it as {"messages": [{"role": "user", "content": "…"}, …]} if somebody else speaks'
        )
    if len(said) < len(SPEAKERS):
        raise UserError(f"{place}: a list is a chat, a turn of the user's and its answer at least; found {len(said)}")
    return {CHATS[0]: [{"role": SPEAKERS[i % 2], "content": turn} for i, turn in enumerate(said)]}


def _beginnings(record: Mapping[str, Any], chat: str) -> Iterator[Any]:
    """The last one is the record itself, with whatever stands behind the last answer."""
    messages = record[chat]
    answers = [i for i, message in enumerate(messages) if _is_answer(message)] if isinstance(messages, list) else []
    for i in answers[:-1]:
        yield {**record, chat: messages[: i + 1]}
    yield record


def _is_answer(message: Any) -> bool:
    return (
        isinstance(message, Mapping)
        and ROLES.get(role := message.get("role", message.get("from")), role) == "assistant"
    )


def _answers(record: Mapping[str, Any]) -> str | None:
    """The field of answers, if the record is a question with these and nothing else."""
    if any(name in record for name in (*CHATS, *PREFERENCE)):
        return None
    return next((name for name in ANSWERS if name in record), None)


def _question(record: Mapping[str, Any], prompt: str) -> str | None:
    return next((name for name in (*QUESTIONS, prompt) if name in record), None)


def _accepted(value: Any) -> list[Any]:
    """A list of strings is a list of answers, so is SQuAD's {"text": [...]}; anything else is one."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if not isinstance(value, list | tuple) or not all(isinstance(answer, str) for answer in value):
        return [value]
    return list(dict.fromkeys(value)) or [""]


def _string(record: Mapping[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{place}: field {name!r} must be a string, found {kind(value)}")
    return value or ""
