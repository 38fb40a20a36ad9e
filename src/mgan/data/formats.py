"""One reader a file format: from a path to raw records, each with the place a complaint would name.

Every reader streams, except that a ``.json`` file is loaded whole.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from mgan.errors import UserError

TEXT = "text"
"""The field of texts, unless somebody names it."""


class Record(NamedTuple):
    """What stands at one place of a source: a string or an object."""

    source: str
    where: str
    value: Any

    @property
    def place(self) -> str:
        """Such as "poems.jsonl, line 3"."""
        return f"{self.source}, {self.where}"


def suffix(path: Path) -> str:
    """The suffix that says the format, ``.gz`` set aside."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def records(path: Path, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    """The records of one file; ``split`` says what a text is in .txt, ``fields`` which columns are of use."""
    reader = READERS[suffix(path)]
    try:
        with _open(path) as file:
            yield from reader(file, str(path), split, fields)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: not a complete gzip file ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


def _lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Decoded lines, line ends kept, a leading byte-order mark dropped."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte {line[error.start]:#04x} at position {error.start + 1}"
            raise UserError(
                f"{name}, line {number}: not UTF-8 ({byte}); "
                "save it as UTF-8, for example: iconv -f GB18030 -t UTF-8 OLD > NEW"
            ) from error


def _text(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    lines = (line.rstrip() for line in _lines(file, name))
    if split == "line":
        yield from (Record(name, f"line {number}", line) for number, line in enumerate(lines, 1))
        return
    paragraph: list[str] = []
    start = 1
    for number, line in enumerate(lines, 1):
        if line:
            start = start if paragraph else number
            paragraph.append(line)
        elif paragraph:
            yield Record(name, f"line {start}", "\n".join(paragraph))
            paragraph = []
    if paragraph:
        yield Record(name, f"line {start}", "\n".join(paragraph))


def _jsonl(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    for number, line in enumerate(_lines(file, name), 1):
        if line.strip():
            yield Record(name, f"line {number}", _parse(line, f"{name}, line {number}"))


def _json(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    text = "".join(_lines(file, name))
    if not text.strip():
        return
    values = _parse(text, name)
    if not isinstance(values, list):
        raise UserError(f"{name}: expected a list of objects or strings, found {kind(values)}")
    yield from (Record(name, f"record {number}", value) for number, value in enumerate(values, 1))


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = place if ", line " in place else f"{place}, line {error.lineno}"
        raise UserError(f"{where}: not valid JSON ({error.msg}, column {error.colno})") from error
    except (RecursionError, ValueError) as error:
        raise UserError(f"{place}: JSON that cannot be read ({error})") from error


def _csv(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    rows = csv.reader(_lines(file, name), strict=True)
    try:
        header = next(rows, None)
        if header is None:
            return
        if repeated := sorted({field for field in header if header.count(field) > 1}):
            raise UserError(f"{name}, line 1: the header names {', '.join(map(repr, repeated))} more than once")
        start = rows.line_num + 1
        for row in rows:
            if row and len(row) != len(header):
                raise UserError(
                    f"{name}, line {start}: {len(row)} fields where the header has {len(header)} "
                    f"({', '.join(header)}); put quotes around a text that holds a comma"
                )
            if row:
                yield Record(name, f"line {start}", dict(zip(header, row, strict=True)))
            start = rows.line_num + 1
    except csv.Error as error:
        raise UserError(f"{name}, line {rows.line_num}: not valid CSV ({error})") from error


def _tsv(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    """Pairs, a line each, of which the first ends with a line break as a question does; or columns under a header.

    Quotes are text. A header names two of ``fields``; or the first of these, that of texts, but of two columns only
    where it is a name of the user's own: "text" is also a word to be translated.
    """
    text, prompt, completion = fields[:3]
    columns: list[str] | None = None
    for number, line in enumerate(_lines(file, name), 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells):
            continue
        place = f"{name}, line {number}"
        if columns is None:
            if len(set(cells) & set(fields)) > 1 or (text in cells and (len(cells) != 2 or text != TEXT)):
                columns = cells
                continue
            if len(cells) != 2:
                raise UserError(
                    f"{place}: {_columns(len(cells))} and no header; a .tsv has a source, a tab and its translation on "
                    f"every line, or a header that names its columns, as {prompt!r} and {completion!r}"
                )
            columns = []
        expected = len(columns) or 2
        if len(cells) != expected:
            raise UserError(f"{place}: {_columns(len(cells))} where the first line has {expected}; a tab parts columns")
        if columns:
            yield Record(name, f"line {number}", dict(zip(columns, cells, strict=True)))
        elif all(cells):
            yield Record(name, f"line {number}", {prompt: f"{cells[0]}\n", completion: cells[1]})
        else:
            yield Record(name, f"line {number}", {prompt: "", completion: ""})


def _columns(count: int) -> str:
    return f"{count} column{'s' * (count != 1)}"


def _parquet(file: IO[bytes], name: str, split: str, fields: tuple[str, ...]) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    number = 0
    try:
        table = parquet.ParquetFile(file)
        columns = useful(table.schema_arrow.names, fields)
        for batch in table.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield Record(name, f"record {number}", row)
    except pa.ArrowException as error:
        after = f" after record {number}" if number else ""
        raise UserError(f"{name}: not a readable parquet file{after} ({_first_line(error)})") from error


def useful(columns: list[str], fields: tuple[str, ...]) -> list[str]:
    """The columns worth reading; all of them when none is, so that the complaint can name them."""
    return [column for column in columns if column in fields] or columns


def kind(value: Any) -> str:
    """What a JSON value is, in a user's words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


READERS: dict[str, Callable[[IO[bytes], str, str, tuple[str, ...]], Iterator[Record]]] = {
    ".txt": _text,
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
