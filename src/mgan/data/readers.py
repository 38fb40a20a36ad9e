"""From ``data.path`` to texts: which source it names, and its records read as ``shapes`` understands them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mgan import config
from mgan.data import formats, records, shapes
from mgan.data.examples import Example as Example
from mgan.data.examples import Prompt as Prompt
from mgan.data.examples import answer as answer
from mgan.data.formats import Record
from mgan.data.shapes import Shape
from mgan.errors import UserError

CORPORA = Path(__file__).parent / "corpora"
EMBEDDED = {"tang": "line", "tang7": "line", "shakespeare": "paragraph"}
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass
class Tally:
    """What a reader left out: ``empty`` texts, answers that were ``rejected``, the ends of ``unanswered`` chats."""

    empty: int = 0
    rejected: int = 0
    unanswered: int = 0


class Source(Protocol):
    """Somewhere records come from."""

    def identity(self) -> str:
        """A string that changes when the contents do, had without reading them."""
        ...

    def records(self) -> Iterator[Record]: ...


def read(config: config.Data, labelled: bool = False) -> Iterator[Example]:
    """The texts ``config`` names, in order, empty ones skipped. labelled: their classes are their prompts.

    Raises UserError: at once when ``data.path`` names nothing, while iterating when a record is wrong.
    """
    return examples(find(config), config, Tally(), labelled)


def examples(source: Source, config: config.Data, tally: Tally, labelled: bool = False) -> Iterator[Example]:
    """The texts of an already found source; ``tally`` counts what was skipped. labelled: their classes are prompts."""
    shape_of = shapes.labelled if labelled else shapes.shape
    found = 0
    shape: tuple[str, Shape] | None = None
    for record, value, group in _values(source, config):
        if shape is None or shape[0] != record.source:
            shape = record.source, shape_of(value, record.place, config)
        example = replace(shape[1](value, record.place), group=group)
        tally.rejected += example.rejected
        tally.unanswered += example.unanswered
        if not example.text.strip():
            tally.empty += not example.rejected
            continue
        if config.prompt_ending and not labelled:
            example = example.ended(config.prompt_ending)
        if config.lowercase:
            example = example.lower()
        yield example
        found += 1
        if found == config.max_texts:
            return


def _values(source: Source, config: config.Data) -> Iterator[tuple[Record, Any, str]]:
    """The record of each text, what is that text alone, and its group."""
    for record in source.records():
        for value, group in records.unfolded(record.value, record.place, config):
            yield record, value, group


def find(config: config.Data) -> Source:
    """The source ``data.path`` names; UserError if it names none."""
    if config.path in EMBEDDED:
        return Files([CORPORA / f"{config.path}.txt.gz"], EMBEDDED[config.path], ())
    fields = (*shapes.fields(config), *records.FIELDS)
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
