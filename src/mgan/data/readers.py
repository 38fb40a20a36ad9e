"""From ``data.path`` to texts: which source it names, and what in each record is prompt and text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mgan import config
from mgan.data import formats
from mgan.data.formats import Record
from mgan.errors import UserError

CORPORA = Path(__file__).parent / "corpora"
EMBEDDED = {"tang": "line", "tang7": "line", "shakespeare": "paragraph"}
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Example:
    """text: the completion, or the whole text; prompt: what it answers, "" if nothing.

    chat: where the prompt was messages, the (role, content) of each, for a model with a chat template of its own.
    """

    prompt: str
    text: str
    chat: tuple[tuple[str, str], ...] | None = None

    @property
    def given(self) -> Prompt:
        """The prompt as it was given."""
        return self.prompt if self.chat is None else self.chat

    def lower(self) -> Example:
        chat = None if self.chat is None else tuple((role, content.lower()) for role, content in self.chat)
        return Example(self.prompt.lower(), self.text.lower(), chat)


Prompt = str | Sequence[tuple[str, str]]
"""Text, or messages as (role, content)."""


@dataclass
class Tally:
    """What a reader met on the way: ``empty`` texts it skipped."""

    empty: int = 0


class Source(Protocol):
    """Somewhere records come from."""

    def identity(self) -> str:
        """A string that changes when the contents do, had without reading them."""
        ...

    def records(self) -> Iterator[Record]: ...


def read(config: config.Data) -> Iterator[Example]:
    """The texts ``config`` names, in order, empty ones skipped.

    Raises UserError: at once when ``data.path`` names nothing, while iterating when a record is wrong.
    """
    return examples(find(config), config, Tally())


def examples(source: Source, config: config.Data, tally: Tally) -> Iterator[Example]:
    """The texts of an already found source; ``tally`` counts what was skipped."""
    found = 0
    shape: tuple[str, _Shape] | None = None
    for record in source.records():
        if shape is None or shape[0] != record.source:
            shape = record.source, _shape(record.value, record.place, config)
        example = shape[1](record.value, record.place)
        if not example.text.strip():
            tally.empty += 1
            continue
        if config.lowercase:
            example = example.lower()
        yield example
        found += 1
        if found == config.max_texts:
            return


def find(config: config.Data) -> Source:
    """The source ``data.path`` names; UserError if it names none."""
    if config.path in EMBEDDED:
        return Files([CORPORA / f"{config.path}.txt.gz"], EMBEDDED[config.path], ())
    fields = (config.text_field, config.prompt_field, config.completion_field, "messages")
    try:
        path = Path(config.path).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        raise UserError(f"data.path: {config.path!r} cannot be looked up ({error})") from error
    if path.is_dir():
        return _folder(path, config, fields)
    known = formats.suffix(path) in formats.READERS
    if path.exists():
        if known:
            return Files([path], config.split, fields)
        raise UserError(f"data.path: cannot tell the format of {config.path!r} by its name; {_formats()}")
    if HUB_NAME.fullmatch(config.path) and not known:
        return _hub(config.path, fields)
    raise UserError(f"data.path: no file, folder or embedded corpus {config.path!r} (embedded: {', '.join(EMBEDDED)})")


def _formats() -> str:
    return f"mgan reads {', '.join(formats.READERS)}, each also with .gz"


@dataclass(frozen=True)
class Files:
    """Files of the known formats, one after the other."""

    paths: list[Path]
    split: str
    fields: tuple[str, ...]

    def identity(self) -> str:
        return "\n".join(map(_stamp, self.paths))

    def records(self) -> Iterator[Record]:
        for path in self.paths:
            yield from formats.records(path, self.split, self.fields)


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"


@dataclass(frozen=True)
class Table:
    """A Hugging Face dataset, opened."""

    dataset: Any
    name: str
    stamp: str
    fields: tuple[str, ...]

    def identity(self) -> str:
        return self.stamp

    def records(self) -> Iterator[Record]:
        table = self.dataset.select_columns(formats.useful(self.dataset.column_names, self.fields))
        for number, row in enumerate(table, 1):
            yield Record(self.name, f"record {number}", row)


def _folder(path: Path, config: config.Data, fields: tuple[str, ...]) -> Source:
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        import datasets

        dataset = _train(lambda: datasets.load_from_disk(str(path)), str(path), "is no readable dataset folder")
        stamp = "\n".join(_stamp(file) for file in sorted(path.rglob("*")) if file.is_file())
        return Table(dataset, str(path), stamp, fields)
    paths = [
        file
        for file in sorted(path.rglob("*"))
        if formats.suffix(file) in formats.READERS
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not paths:
        raise UserError(f"data.path: the folder {config.path!r} holds no file that can be read; {_formats()}")
    return Files(paths, config.split, fields)


def _hub(name: str, fields: tuple[str, ...]) -> Source:
    import datasets

    failure = "is no file or folder here, and loading it as a Hugging Face dataset failed"
    dataset = _train(lambda: datasets.load_dataset(name), name, failure)
    return Table(dataset, name, f"{name} {dataset._fingerprint}", fields)


def _train(load: Callable[[], Any], name: str, failure: str) -> Any:
    """A loaded dataset's train split, or the dataset itself if it has no splits."""
    try:
        dataset = load()
    # Whatever the library or the network raises, the user's remedy is the same: another path.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"data.path: {name!r} {failure} ({reason})") from error
    if not isinstance(dataset, dict):
        return dataset
    if "train" not in dataset:
        raise UserError(f"data.path: {name!r} has no train split, only {', '.join(map(str, dataset))}")
    return dataset["train"]


_Shape = Callable[[Any, str], Example]


def _shape(record: Any, place: str, config: config.Data) -> _Shape:
    """How a file's records hold their text, decided by its first one."""
    if isinstance(record, str):
        return _plain
    if not isinstance(record, Mapping):
        raise UserError(f"{place}: expected an object or a string, found {formats.kind(record)}")
    text, prompt, completion = config.text_field, config.prompt_field, config.completion_field
    if text in record:
        return lambda record, place: Example("", _field(record, text, place))
    if prompt in record and completion in record:
        return lambda record, place: Example(_field(record, prompt, place), _field(record, completion, place))
    if "messages" in record:
        return _chat
    raise UserError(
        f"{place}: expected a field {text!r}, or {prompt!r} and {completion!r}, or 'messages', "
        f"found {_names(record)}; "
        "name your own with data.text_field, or data.prompt_field and data.completion_field"
    )


def _plain(record: Any, place: str) -> Example:
    if not isinstance(record, str):
        raise UserError(f"{place}: expected a string as in the first record, found {formats.kind(record)}")
    return Example("", _encodable(record, place))


def _field(record: Any, name: str, place: str) -> str:
    """A string field; null counts as empty."""
    value = _value(record, name, place)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{place}: field {name!r} must be a string, found {formats.kind(value)}")
    return _encodable(value, place)


def _value(record: Any, name: str, place: str) -> Any:
    if not isinstance(record, Mapping):
        raise UserError(f"{place}: expected an object with the field {name!r}, found {formats.kind(record)}")
    if name not in record:
        raise UserError(f"{place}: expected the field {name!r} as in the first record, found {_names(record)}")
    return record[name]


def _chat(record: Any, place: str) -> Example:
    """The last assistant message, and everything before it as the prompt."""
    messages = _value(record, "messages", place)
    if not isinstance(messages, list):
        raise UserError(f"{place}: field 'messages' must be a list, found {formats.kind(messages)}")
    turns = [(_field(message, "role", place), _field(message, "content", place)) for message in messages]
    answers = [i for i, (role, _) in enumerate(turns) if role == "assistant"]
    if not answers:
        raise UserError(f"{place}: 'messages' holds no message whose role is 'assistant'")
    return answer(turns[: answers[-1]], turns[answers[-1]][1])


def answer(prompt: Prompt, text: str) -> Example:
    """``text`` as the completion of a prompt, which of messages is a line for each and the beginning of the answer."""
    if isinstance(prompt, str):
        return Example(prompt, text)
    plain = "".join(f"{role}: {content}\n" for role, content in prompt)
    return Example(f"{plain}assistant: ", text, tuple(prompt))


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
