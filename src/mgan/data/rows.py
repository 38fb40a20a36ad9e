"""Token rows: what a player reads, cut to its context, memory-mapped, drawn in an order one can resume."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mgan.data import cache as caches
from mgan.data.blanks import Blanks
from mgan.data.corpus import Texts, content_hash
from mgan.data.readers import Example
from mgan.data.tokenizers import Tokenizer
from mgan.errors import UserError
from mgan.types import Batch, collate

FORMAT = 2
"""Raised whenever what is written, or how a text is cut, changes."""
BLOCK_TEXTS = 1024
COLUMNS: dict[str, np.dtype[np.integer]] = {
    "tokens": np.dtype(np.int32),
    "lengths": np.dtype(np.int32),
    "prompts": np.dtype(np.int32),
    "text_index": np.dtype(np.int64),
}

Row = tuple[list[int], int]
"""(tokens beginning with BOS, prompt length, BOS included)"""


@dataclass(frozen=True)
class _Block:
    """Rows of some texts: one array a column, and how many of the texts did not fit their context."""

    columns: dict[str, NDArray[np.integer]]
    texts: int
    windowed: int


class Rows:
    """Every row of one split.

    lengths: [rows], tokens of each row. text_index: [rows] int64, which text a row came from. texts: how many texts
    there are. windowed: how many of them were longer than the context and so were cut. tokens: completion tokens of
    all rows, EOS included.

    blanks: the rows are held whole, and each time one is asked for a part of it is left out, to be filled in.
    """

    def __init__(self, block: _Block, pad: int, blanks: Blanks | None = None) -> None:
        self._block, self._blanks = block, blanks
        self._ends = np.cumsum(block.columns["lengths"], dtype=np.int64)
        self._pad = pad
        self.lengths: NDArray[np.integer] = block.columns["lengths"]
        self.text_index: NDArray[np.int64] = block.columns["text_index"].astype(np.int64, copy=False)
        self.texts = block.texts
        self.windowed = block.windowed
        self.tokens = int(self._ends[-1] - block.columns["prompts"].sum(dtype=np.int64)) if len(self) else 0
        if blanks and len(self):
            marks = 1 + (block.columns["tokens"][self._ends - 1] == blanks.boundary)
            texts = self.lengths - marks
            self.lengths = blanks.lengths(self.lengths, texts)
            self.tokens = int((self.lengths - texts - 2).sum(dtype=np.int64))

    def __len__(self) -> int:
        return len(self._ends)

    def row(self, i: int, draw: Sequence[int] = ()) -> Row:
        """The tokens of row ``i``, BOS first, and how many of them are given (at least 1, fewer than all).

        draw: another one leaves out another part of a text with blanks; without any it hangs on the text alone,
        wherever that stands.
        """
        end = int(self._ends[i])
        tokens = self._block.columns["tokens"][end - int(self._block.columns["lengths"][i]) : end]
        if self._blanks:
            whole = tokens.tolist()
            return self._blanks.cut(whole, (*draw, i) if draw else whole)
        return tokens.tolist(), int(self._block.columns["prompts"][i])

    def batch(self, indices: Iterable[int], draw: Sequence[int] = ()) -> Batch:
        return collate([self.row(int(i), draw) for i in indices], self._pad)


def encode(texts: Texts | Sequence[Example], tokenizer: Tokenizer, context: int, cache: Path | None = None) -> Rows:
    """The rows of ``texts``, none longer than ``context`` (at least 8) tokens.

    A row is BOS, prompt, completion, EOS if the tokenizer has one; for an encoder-decoder the source, its boundary,
    the completion, EOS; for texts with blanks see ``data.blanks``. With ``cache`` they are kept in memory-mapped
    files under ``cache/rows`` and found there again by texts, tokenizer and context; without, they are held in memory.
    Raises UserError if the cache cannot be written.
    """
    blanks = tokenizer.blanks
    context = blanks.room(context) if blanks else context
    blocks = _blocks(texts, tokenizer, context)
    if cache is None:
        return Rows(_join(list(blocks)), tokenizer.pad, blanks)
    key = f"{FORMAT} {context} {_fingerprint(texts)} {tokenizer.fingerprint}".encode()
    name = hashlib.blake2b(key, digest_size=16).hexdigest()
    folder = caches.folder(cache / "rows", name, lambda folder: _write(folder, blocks))
    return Rows(_map(folder), tokenizer.pad, blanks)


def _fingerprint(texts: Texts | Sequence[Example]) -> str:
    if isinstance(texts, Texts):
        return texts.fingerprint
    return hashlib.blake2b(b"".join(map(content_hash, texts)), digest_size=16).hexdigest()


def _blocks(texts: Iterable[Example], tokenizer: Tokenizer, context: int) -> Iterator[_Block]:
    remaining = iter(texts)
    first = 0
    while chunk := list(itertools.islice(remaining, BLOCK_TEXTS)):
        rows: list[Row] = []
        index: list[int] = []
        windowed = 0
        for i, (given, target) in enumerate(_encoded(chunk, tokenizer), first):
            # A label stands before every window of its text, as an encoder's source does.
            whole = (tokenizer.sources or bool(tokenizer.labels)) and not tokenizer.blanks
            cut = (source_windows if whole else windows)(given, target, context)
            windowed += len(given) + len(target) > context
            rows += cut
            index += [i] * len(cut)
        values: tuple[Iterable[int], ...] = (
            itertools.chain.from_iterable(tokens for tokens, _ in rows),
            (len(tokens) for tokens, _ in rows),
            (prompt for _, prompt in rows),
            index,
        )
        columns = {name: np.fromiter(value, kind) for (name, kind), value in zip(COLUMNS.items(), values, strict=True)}
        yield _Block(columns, len(chunk), windowed)
        first += len(chunk)


def _encoded(texts: Sequence[Example], tokenizer: Tokenizer) -> Iterator[tuple[list[int], list[int]]]:
    """Of each text what is given, BOS and the prompt, and what is to be predicted, its completion and EOS."""
    prompts = _unprompted(texts, tokenizer) if tokenizer.blanks else tokenizer.prompts(texts)
    completions = tokenizer.encode_batch([example.text for example in texts])
    return ((given, text + tokenizer.ending) for given, text in zip(prompts, completions, strict=True))


def whole(texts: Texts | Sequence[Example], tokenizer: Tokenizer, context: int) -> Iterator[bool]:
    """Of each text, whether ``encode`` leaves it and its prompt in one row."""
    context = tokenizer.blanks.room(context) if tokenizer.blanks else context
    remaining = iter(texts)
    while chunk := list(itertools.islice(remaining, BLOCK_TEXTS)):
        yield from (len(given) + len(target) <= context for given, target in _encoded(chunk, tokenizer))


def _unprompted(texts: Sequence[Example], tokenizer: Tokenizer) -> list[list[int]]:
    """BOS of each. Raises UserError if a text has a prompt beside what is left out of it."""
    if any(text.prompt for text in texts):
        raise UserError(
            "prompt.source=blanks makes prompts of the texts themselves, and these have prompts already: use "
            "prompt.source=data, or give texts alone"
        )
    return [[tokenizer.bos] for _ in texts]


def windows(given: list[int], target: list[int], context: int) -> list[Row]:
    """The rows of one text; every token of ``target``, its completion and EOS, is predicted exactly once.

    What does not fit is cut: of what is given, BOS and the prompt, the prompt keeps its last tokens, at most three
    quarters of the context, and every further row is given the quarter of a context before it.
    """
    overlap = context // 4
    if len(given) + len(target) > context:
        given = shortened(given, context, source=False)
    return _slide(given[:1], given[1:], target, context, overlap)


def source_windows(source: list[int], target: list[int], context: int) -> list[Row]:
    """The same for an encoder's source, which stands whole before each row.

    Where it does not fit it keeps its first tokens and its boundary, at most three quarters of the context.
    """
    if len(source) + len(target) > context:
        source = shortened(source, context, source=True)
    return _slide(source, [], target, context, min(context // 4, (context - len(source)) // 2))


def shortened(given: list[int], context: int, source: bool) -> list[int]:
    """At most three quarters of the context: an encoder's source without its last tokens, a prompt without its first.

    BOS stays, and so does a source's boundary.
    """
    kept = context - context // 4
    if len(given) <= kept:
        return given
    return [*given[: kept - 1], given[-1]] if source else given[:1] + given[len(given) - kept + 1 :]


def _slide(head: list[int], prompt: list[int], target: list[int], context: int, overlap: int) -> list[Row]:
    """Rows that all begin with ``head``, each further one with the ``overlap`` tokens before what it predicts."""
    text = prompt + target
    rows = []
    given, start = len(prompt), 0
    while given < len(text):
        end = min(len(text), start + context - len(head))
        rows.append(([*head, *text[start:end]], len(head) + given - start))
        given, start = end, end - overlap
    return rows


def _join(blocks: list[_Block]) -> _Block:
    return _Block(
        {
            name: np.concatenate([np.empty(0, kind), *(block.columns[name] for block in blocks)])
            for name, kind in COLUMNS.items()
        },
        sum(block.texts for block in blocks),
        sum(block.windowed for block in blocks),
    )


def _write(folder: Path, blocks: Iterable[_Block]) -> None:
    texts = windowed = 0
    files = {name: (folder / name).open("wb") for name in COLUMNS}
    try:
        for block in blocks:
            for name, file in files.items():
                file.write(block.columns[name].tobytes())
            texts += block.texts
            windowed += block.windowed
    finally:
        for file in files.values():
            file.close()
    (folder / "about.json").write_text(json.dumps({"texts": texts, "windowed": windowed}))


def _map(folder: Path) -> _Block:
    about = json.loads((folder / "about.json").read_text())
    columns = {
        name: np.memmap(folder / name, kind, "r") if (folder / name).stat().st_size else np.empty(0, kind)
        for name, kind in COLUMNS.items()
    }
    return _Block(columns, about["texts"], about["windowed"])


def order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of ``rows`` row numbers that ``epoch`` goes through."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


class Batches:
    """The batch of every update, found from the update's number alone: to resume, go on counting.

    An epoch meets every row; its last batch is filled up from the epoch's beginning, so that every batch has
    ``batch_size`` rows. Raises ValueError if there are no rows.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int) -> None:
        if not len(rows):
            raise ValueError("no rows to draw batches from")
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self.per_epoch = -(-len(rows) // batch_size)
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def at(self, step: int) -> Batch:
        """The batch of update ``step``, counted from 0."""
        epoch, k = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, order(len(self._rows), self._seed, epoch)
        places = np.arange(k * self._batch_size, (k + 1) * self._batch_size)
        return self._rows.batch(self._order.take(places, mode="wrap"), (self._seed, epoch))


def with_prefix(batch: Batch, max_prefix: int, seed: int) -> Batch:
    """The same texts, of each another 0 to ``max_prefix`` tokens (drawn evenly) given as its prompt.

    At least one completion token of every row is left.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, max_prefix + 1, (len(batch),), generator=generator)
    prompt_length = torch.minimum(batch.prompt_length + drawn.to(batch.prompt_length.device), batch.lengths - 1)
    position = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    mask = batch.mask & (position >= prompt_length[:, None])
    logprobs = None if batch.logprobs is None else batch.logprobs * mask
    return replace(batch, prompt_length=prompt_length, mask=mask, logprobs=logprobs)
