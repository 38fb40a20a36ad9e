"""What in a record is prompt and text: plain texts, prompts with completions, chats, preferences.

These are the dataset formats of TRL, each standard (strings) and conversational (lists of messages), and ShareGPT's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

from mgan import config
from mgan.data.examples import Example, Prompt, answer
from mgan.data.formats import kind
from mgan.data.segmentation import SPEAKERS
from mgan.errors import UserError

CHATS = ("messages", "conversations")
PREFERENCE = ("chosen", "rejected")
ROLES = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names for who speaks."""


Shape = Callable[[Any, str], Example]


def fields(config: config.Data) -> tuple[str, ...]:
    """Every field that a record may hold its text in."""
    named = (config.text_field, config.prompt_field, config.completion_field, config.label_field)
    return (*named, "label", *CHATS, *PREFERENCE)


def shape(record: Any, place: str, config: config.Data) -> Shape:
    """How a file's records hold their text, decided by its first one."""
    if isinstance(record, str):
        return _plain
    if not isinstance(record, Mapping):
        raise UserError(f"{place}: expected an object or a string, found {kind(record)}")
    text, prompt, completion = config.text_field, config.prompt_field, config.completion_field
    # A title beside its text: the field of texts has been named as that of completions.
    if text in record and not (completion == text and prompt in record):
        return lambda record, place: Example("", _field(record, text, place))
    if prompt in record and completion in record:
        return lambda record, place: _completed(record, prompt, completion, place)
    for chat in CHATS:
        if chat in record:
            _must_answer(_turns(record, chat, place), chat, place)
            return lambda record, place: _last_answer(_turns(record, chat, place), chat, place)
    if "chosen" in record:
        return lambda record, place: _preferred(record, prompt, place)
    expected = f"{place}: expected a field {text!r}, or {prompt!r} and {completion!r}, or 'messages', or 'chosen'"
    if prompt in record:
        raise UserError(
            f"{expected}, found a {prompt!r} alone ({_names(record)}); mgan learns from real completions: put them "
            f"beside the prompts as {completion!r}, or name their field with data.completion_field"
        )
    raise UserError(
        f"{expected}, found {_names(record)}; "
        "name your own with data.text_field, or data.prompt_field and data.completion_field"
    )


def labelled(record: Any, place: str, config: config.Data) -> Shape:
    """How a file's records hold their text and its class, which is the prompt: a string, or a whole number."""
    name = config.label_field
    _label(record, name, place)
    text = shape(record, place, config)

    def of(record: Any, place: str) -> Example:
        label = _label(record, name, place)
        # Whoever has classes there has no preferences there.
        rest = {field: value for field, value in record.items() if field != name}
        return replace(text(rest, place), prompt=label, chat=None)

    return of


def _label(record: Any, name: str, place: str) -> str:
    if not isinstance(record, Mapping) or name not in record:
        found = _names(record) if isinstance(record, Mapping) else "a text alone"
        raise UserError(
            f"{place}: prompt.source=label needs a class beside every text, as in the .jsonl line "
            f'{{"text": "A film to see twice.", "{name}": "positive"}} (or a column {name!r} of a .json, .csv, .tsv or '
            f".parquet file), found {found}; name your own field with data.label_field"
        )
    label = record[name]
    if label is None or label == "":
        raise UserError(
            f"{place}: field {name!r} is {'null' if label is None else 'empty'}, and every text needs its class: "
            "fill it in, or leave the record out"
        )
    if isinstance(label, bool) or not isinstance(label, str | int):
        shown = f" {label}" if isinstance(label, float) else ""
        raise UserError(
            f"{place}: field {name!r} must be a class, a string or a whole number, found {kind(label)}{shown}: write "
            'it as 1, or in quotes as "1"'
        )
    return _encodable(str(label), place)


def prompt_of(value: Any, place: str) -> Prompt:
    """A prompt as TRL has it, text or a list of messages."""
    return tuple(_messages(value, "prompt", place)) if _is_list(value) else _string(value, "prompt", place)


def completion_of(value: Any, place: str) -> str:
    """A completion as TRL has it, text or a list of messages of which the assistant's count."""
    if not _is_list(value):
        return _string(value, "completion", place)
    return "".join(content for role, content in _messages(value, "completion", place) if role == "assistant")


def _plain(record: Any, place: str) -> Example:
    if not isinstance(record, str):
        raise UserError(f"{place}: expected a string as in the first record, found {kind(record)}")
    return Example("", _encodable(record, place))


def _completed(record: Any, prompt: str, completion: str, place: str) -> Example:
    """TRL's prompt-completion and, where ``label`` says whether it was wanted, its unpaired preference."""
    example = _pair(record, prompt, completion, place)
    wanted = record.get("label", True)
    if isinstance(wanted, str):
        # A class says nothing of whether the text is wanted; a .csv can write true and false in no other way.
        wanted = wanted.strip().lower() != "false"
    if wanted not in (True, False):
        raise UserError(f"{place}: field 'label' must be true or false, or a class in words, found {kind(wanted)}")
    return example if wanted else replace(example, text="", rejected=1)


def _preferred(record: Any, prompt: str, place: str) -> Example:
    """The chosen answer; without a prompt it is in there, as what chosen and rejected have in common."""
    rejected = int("rejected" in record) if isinstance(record, Mapping) else 0
    if isinstance(record, Mapping) and prompt in record:
        return replace(_pair(record, prompt, "chosen", place), rejected=rejected)
    if _is_list(_value(record, "chosen", place)):
        return replace(_last_answer(_turns(record, "chosen", place), "chosen", place), rejected=rejected)
    chosen, other = (_field(record, name, place) for name in PREFERENCE)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, other, strict=False)))
    # As in TRL, a space before the answers belongs to them.
    start -= chosen[:start].endswith(" ")
    return Example(chosen[:start], chosen[start:], rejected=rejected)


def _pair(record: Any, prompt: str, completion: str, place: str) -> Example:
    """Both are text or messages. Messages that begin with an answer go on from the prompt; others are a whole chat."""
    before, after = _value(record, prompt, place), _value(record, completion, place)
    if not _is_list(before) and not _is_list(after):
        return Example(_field(record, prompt, place), _field(record, completion, place))
    turns = _turns(record, prompt, place) if _is_list(before) else []
    if not _is_list(after):
        return answer(turns, _field(record, completion, place))
    said = _turns(record, completion, place)
    if not _is_list(before) and said and said[0][0] == "assistant":
        given = _field(record, prompt, place)
        if len(said) == 1:
            return Example(given, said[0][1])
        turns = [("user", given)]
    return _last_answer([*turns, *said], completion, place)


def _last_answer(turns: list[tuple[str, str]], name: str, place: str) -> Example:
    """The last assistant message, and everything before it as the prompt; no text where nobody answered."""
    answers = [i for i, (role, _) in enumerate(turns) if role == "assistant"]
    if not answers and turns and all(role in SPEAKERS for role, _ in turns):
        return Example("", "")
    _must_answer(turns, name, place)
    last = answers[-1]
    return replace(answer(turns[:last], turns[last][1]), unanswered=last + 1 < len(turns))


def _must_answer(turns: list[tuple[str, str]], name: str, place: str) -> None:
    if all(role != "assistant" for role, _ in turns):
        roles = ", ".join(dict.fromkeys(role for role, _ in turns)) or "no messages"
        raise UserError(
            f"{place}: {name!r} holds no message whose role is 'assistant', who is learned from (found: {roles}); give "
            "that role to whoever is to be learned from, and 'user' to the other"
        )


def _turns(record: Any, name: str, place: str) -> list[tuple[str, str]]:
    return _messages(_value(record, name, place), name, place)


def _messages(value: Any, name: str, place: str) -> list[tuple[str, str]]:
    """[(role, content)] of a list of messages, also of ShareGPT's."""
    if not _is_list(value):
        raise UserError(f"{place}: field {name!r} must be a list, found {kind(value)}")
    return [_message(message, place) for message in value]


def _message(message: Any, place: str) -> tuple[str, str]:
    if isinstance(message, Mapping) and "role" not in message and "from" in message:
        role = _field(message, "from", place)
        return ROLES.get(role, role), _field(message, "value", place)
    content = _value(message, "content", place)
    if not _is_list(content):
        return _field(message, "role", place), _field(message, "content", place)
    return _field(message, "role", place), "".join(_part(part, place) for part in content)


def _part(part: Any, place: str) -> str:
    if isinstance(part, Mapping) and part.get("type", "text") == "text":
        return _field(part, "text", place)
    found = part.get("type") if isinstance(part, Mapping) else kind(part)
    raise UserError(f"{place}: a message holds {found!r}, and mgan reads text alone; leave such records out")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _field(record: Any, name: str, place: str) -> str:
    return _string(_value(record, name, place), name, place)


def _string(value: Any, name: str, place: str) -> str:
    """A string; null counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{place}: field {name!r} must be a string, found {kind(value)}")
    return _encodable(value, place)


def _value(record: Any, name: str, place: str) -> Any:
    if not isinstance(record, Mapping):
        raise UserError(f"{place}: expected an object with the field {name!r}, found {kind(record)}")
    if name not in record:
        raise UserError(f"{place}: expected the field {name!r} as in the first record, found {_names(record)}")
    return record[name]


def _encodable(text: str, place: str) -> str:
    """JSON may spell half a character, which no encoding can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise UserError(f"{place}: the text holds {half}, half a surrogate pair and no character") from error
    return text


def _names(record: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, record)) or "no fields"
