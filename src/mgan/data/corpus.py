"""A corpus on disk: the distinct texts of a source, each in its split, memory-mapped."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mgan import config
from mgan.data import cache as caches
from mgan.data import formats, readers
from mgan.data.readers import Example, answer
from mgan.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "validation", "test")
FEWEST = 3
PROMPTS = 50
"""Of so many prompts each is in one split with all its answers; fewer are instructions that all splits share."""
FORMAT = 8
"""Raised whenever what is written, or how a text finds its split, changes."""
FEWEST_OF_LABEL = 2
"""Training texts of a label below which a person is warned."""
MOST_LABELS = 100
"""A label is a token, and may be a network, of its own."""
BATCH_TEXTS = 4096
BATCH_CHARACTERS = 1 << 24


class Texts:
    """One split's texts, read from a memory-mapped Arrow file as they are asked for.

    ``fingerprint`` names their contents and order.
    """

    def __init__(self, table: pa.Table, index: NDArray[np.int64], fingerprint: str) -> None:
        self._columns = [table.column(name) for name in ("prompt", "text", "chat")]
        self._index = index
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, i: int) -> Example:
        at = int(self._index[i])
        prompt, text, chat = (column[at].as_py() for column in self._columns)
        return Example(prompt, text, chat and tuple(map(tuple, json.loads(chat))))

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class Corpus:
    """Three splits no text of which occurs twice.

    fingerprint: names the texts, their order and their splits.
    description: one sentence with the source, the counts and what was left out.
    labels: the classes, in order, if these are the prompts.
    """

    train: Texts
    validation: Texts
    test: Texts
    fingerprint: str
    description: str
    labels: tuple[str, ...] = ()


def build(config: config.Data, cache: Path | None = None, labelled: bool = False) -> Corpus:
    """The corpus ``config`` names, read once and then kept under ``cache`` (default: ``cache.root()``).

    labelled: every text has a class, which is its prompt. Raises UserError if the source cannot be read, has too few
    texts, or the cache cannot be written.
    """
    sources = [*_test_source(config), readers.find(config)]
    key = json.dumps([FORMAT, labelled, *(source.identity() for source in sources), config.model_dump_json()])
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    parent = (cache or caches.root()) / "corpora"
    return _open(caches.folder(parent, name, lambda folder: _write(folder, sources, config, labelled)))


def _test_source(config: config.Data) -> list[readers.Source]:
    if config.test_path is None:
        return []
    try:
        return [readers.find(config.model_copy(update={"path": config.test_path}))]
    except UserError as error:
        raise UserError(str(error).replace("data.path", "data.test_path")) from error


def _open(path: Path) -> Corpus:
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path / "texts.arrow"))).read_all()
    split = np.load(path / "split.npy", allow_pickle=False)
    about = json.loads((path / "about.json").read_text())
    train, validation, test = (
        Texts(table, _shuffled(np.flatnonzero(split == i)), f"{about['fingerprint']}-{name}-shuffled")
        for i, name in enumerate(SPLITS)
    )
    return Corpus(train, validation, test, about["fingerprint"], about["description"], tuple(about["labels"]))


def _shuffled(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Files have an order, by topic for one: whoever takes the first so many texts must not take the first topics."""
    return np.random.default_rng(0).permutation(index)


def _write(folder: Path, sources: list[readers.Source], config: config.Data, labelled: bool) -> None:
    """sources: that of the test texts, if they have one of their own, and that of the others."""
    tally = readers.Tally()
    distinct = _Distinct(
        [readers.examples(source, config, tally, labelled) for source in sources], labelled, config.turns
    )
    _write_arrow(folder / "texts.arrow", distinct)
    if len(distinct.hashes) < FEWEST:
        raise UserError(
            f"data.path: {config.path!r} holds {len(distinct.hashes)} distinct non-empty texts; "
            f"at least {FEWEST} are needed, one for each of {', '.join(SPLITS)}"
        )
    hashes = list(distinct.hashes)
    labels = sorted(set(distinct.labels))
    if len(labels) > MOST_LABELS:
        raise UserError(
            f"data.label_field: {config.label_field!r} holds {len(labels):,} different classes, and at most "
            f"{MOST_LABELS} are taken; name the field of a class that many texts share"
        )
    split = _assign(
        _kept_together(distinct, hashes, labelled), config, distinct.counts[0] if config.test_path else None
    )
    np.save(folder / "split.npy", split)
    fingerprint = hashlib.blake2b(b"".join(hashes) + split.tobytes(), digest_size=16).hexdigest()
    counts = ", ".join(f"{int((split == i).sum()):,} {name}" for i, name in enumerate(SPLITS))
    description = (
        f"{config.path}: {len(hashes):,} distinct texts ({counts}); "
        f"{tally.empty:,} empty ones skipped, {distinct.repeated:,} duplicates dropped{_left_out(tally)}."
    ) + _hint(sources[-1], tally.empty, tally.empty + distinct.repeated + len(hashes))
    if labels:
        trained = Counter(itertools.compress(distinct.labels, split == SPLITS.index("train")))
        description += _of_labels({label: trained[label] for label in labels})
    about = {"fingerprint": fingerprint, "description": description, "labels": labels}
    (folder / "about.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


def _kept_together(distinct: _Distinct, hashes: list[bytes], labelled: bool) -> list[bytes]:
    """Of each text the hash that decides its split: its group's, or among few prompts its own."""
    every = labelled or distinct.conversations or len(set(distinct.groups)) >= PROMPTS
    own = zip(distinct.groups, distinct.grouped, hashes, strict=True)
    names = [group if every or grouped else name for group, grouped, name in own]
    return names if len(set(names)) >= FEWEST else hashes


def _of_labels(texts: dict[str, int]) -> str:
    """texts: how many for training each label has."""
    counts = ", ".join(f"{label} {count:,}" for label, count in texts.items())
    said = f" {len(texts)} label{'s' * (len(texts) > 1)}, with the number of training texts: {counts}."
    if few := [label for label, count in texts.items() if count < FEWEST_OF_LABEL]:
        said += (
            f" Too few to learn from, fewer than {FEWEST_OF_LABEL}: {', '.join(few)}; give more texts of such labels."
        )
    if len(texts) == 1:
        said += " One label tells nothing apart: the recipes without labels are for such text."
    return said


def _left_out(tally: readers.Tally) -> str:
    """Of preferences only what was chosen is real text, and of a chat only what was answered."""
    rejected = f"; {tally.rejected:,} rejected answers are left out" if tally.rejected else ""
    chats = "1 chat goes" if tally.unanswered == 1 else f"{tally.unanswered:,} chats go"
    return rejected + (f"; {chats} on behind the last answer, which is left out" if tally.unanswered else "")


def _hint(source: readers.Source, blank: int, lines: int) -> str:
    """Lines of text seldom stand between so many blank ones."""
    if not isinstance(source, readers.Files) or source.split != "line" or blank <= lines / 10:
        return ""
    if any(formats.suffix(path) != ".txt" for path in source.paths):
        return ""
    return f" {blank:,} blank lines found: data.split=paragraph makes each paragraph one text."


class _Distinct:
    """The examples without repetitions, an earlier source's before a later one's.

    Afterwards: the hash of each in order; that of what stays in one split with it (all of its passage or prompt; of a
    labelled text, the same text under other labels; of chats with all turns, all that begin with the same ones), and
    whether its record said so; whether any conversations are; each text's label, how many each source gave and how many
    were dropped.
    """

    def __init__(self, sources: Iterable[Iterable[Example]], labelled: bool, turns: str) -> None:
        self._sources, self._labelled, self._turns = sources, labelled, turns
        self.hashes: dict[bytes, None] = {}
        self.groups: list[bytes] = []
        self.grouped: list[bool] = []
        self.labels: list[str] = []
        self.counts: list[int] = []
        self.repeated = 0
        self.conversations = False

    def __iter__(self) -> Iterator[Example]:
        for source in self._sources:
            before = len(self.hashes)
            for example in source:
                name = content_hash(example)
                if name in self.hashes:
                    self.repeated += 1
                    continue
                self.hashes[name] = None
                self.groups.append(self._group(example, name))
                self.grouped.append(bool(example.group))
                if self._labelled:
                    self.labels.append(example.prompt)
                yield example
            self.counts.append(len(self.hashes) - before)

    def _group(self, example: Example, name: bytes) -> bytes:
        if self._labelled:
            return content_hash(Example("", example.text))
        if self._turns == "all" and example.chat and (opening := _opening(example.chat)):
            self.conversations |= len(opening) < len(example.chat)
            return content_hash(answer(opening, ""))
        group = example.group or example.prompt
        return content_hash(Example(group, "")) if group else name


def _opening(chat: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Everything up to what a user says first, which all beginnings of a chat share; nothing where no user speaks."""
    first = next((i for i, (role, _) in enumerate(chat) if role == "user"), -1)
    return chat[: first + 1]


def content_hash(example: Example) -> bytes:
    """16 bytes that stand for the prompt and the text."""
    prompt = example.prompt.encode()
    return hashlib.blake2b(b"%d:%b%b" % (len(prompt), prompt, example.text.encode()), digest_size=16).digest()


def _assign(hashes: list[bytes], config: config.Data, tests: int | None) -> NDArray[np.int8]:
    """Each text's split, an index into ``SPLITS``: by its hash alone, so that no other text moves it.

    hashes: of each text, or of what keeps it with others. tests: the first so many texts are the test split, and no
    others; None: a share is.
    Only where a split would stay empty does it take, from that of the most hashes, the texts that hash next to it.
    """
    place = np.array([int.from_bytes(name[:8], "big") for name in hashes], dtype=np.float64) / 2.0**64
    split = np.zeros(len(hashes), dtype=np.int8)
    share = config.test if tests is None else 0.0
    split[place < config.validation + share] = SPLITS.index("validation")
    split[place < share] = SPLITS.index("test")
    split[: tests or 0] = SPLITS.index("test")
    for empty in sorted(set(range(len(SPLITS))) - set(split.tolist()), reverse=True):
        largest = max((np.flatnonzero(split == i) for i in range(len(SPLITS))), key=lambda i: len(np.unique(place[i])))
        pick = place[largest].argmax() if empty == 0 else place[largest].argmin()
        group = largest[place[largest] == place[largest[pick]]]
        split[group if len(group) < len(largest) else largest[pick]] = empty
    return split


def _write_arrow(path: Path, examples: Iterable[Example]) -> None:
    import pyarrow as pa

    schema = pa.schema([("prompt", pa.string()), ("text", pa.string()), ("chat", pa.string())])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in _batches(examples):
            chats = [None if example.chat is None else json.dumps(example.chat) for example in batch]
            columns = [[example.prompt for example in batch], [example.text for example in batch], chats]
            writer.write_batch(pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=schema))


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Batches bounded in texts and in characters, so that a few huge texts do not fill the memory."""
    batch: list[Example] = []
    characters = 0
    for example in examples:
        batch.append(example)
        characters += len(example.prompt) + len(example.text)
        if len(batch) == BATCH_TEXTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
