"""The batch: right-padded rows, whatever is done to them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mgan.types import Batch, Progress, Silent, collate, concatenate, pad_to

PAD = 0

row = st.lists(st.integers(1, 9), min_size=2, max_size=8).flatmap(
    lambda tokens: st.tuples(st.just(tokens), st.integers(1, len(tokens) - 1))
)
rows = st.lists(row, min_size=1, max_size=6)


def as_rows(batch: Batch) -> list[tuple[list[int], int]]:
    lengths = zip(batch.tokens.tolist(), batch.lengths.tolist(), batch.prompt_length.tolist(), strict=True)
    return [(tokens[:n], given) for tokens, n, given in lengths]


def with_logprobs(batch: Batch) -> Batch:
    logprobs = -torch.rand(batch.tokens.shape) * batch.mask
    return Batch(batch.tokens, batch.mask, batch.prompt_length, logprobs)


def check(batch: Batch) -> None:
    """Padding right of every row, the mask on the completion, logprobs 0 off the mask."""
    width = batch.tokens.shape[1]
    for i, (n, start) in enumerate(zip(batch.lengths.tolist(), batch.prompt_length.tolist(), strict=True)):
        assert batch.mask[i].tolist() == [start <= j < n for j in range(width)]
        assert batch.tokens[i, n:].tolist() == [PAD] * (width - n)
    if batch.logprobs is not None:
        assert batch.logprobs.shape == batch.tokens.shape
        assert (batch.logprobs[~batch.mask] == 0).all()


@given(rows)
def test_rows_go_in_and_come_out(given: list[tuple[list[int], int]]) -> None:
    batch = collate(given, PAD)
    check(batch)
    assert as_rows(batch) == given and len(batch) == len(given)
    assert batch.tokens.shape[1] == max(len(tokens) for tokens, _ in given)
    assert (batch.tokens.dtype, batch.mask.dtype, batch.prompt_length.dtype) == (torch.int64, torch.bool, torch.int64)


@given(rows, st.data())
def test_chosen_rows_are_those_rows_without_padding_they_do_not_need(
    given: list[tuple[list[int], int]], data: st.DataObject
) -> None:
    batch = with_logprobs(collate(given, PAD))
    index = data.draw(st.lists(st.integers(0, len(given) - 1), min_size=1, max_size=8))
    chosen = batch.rows(torch.tensor(index))
    check(chosen)
    assert as_rows(chosen) == [given[i] for i in index]
    assert chosen.tokens.shape[1] == max(len(given[i][0]) for i in index)
    assert chosen.logprobs is not None and batch.logprobs is not None
    for here, i in enumerate(index):
        n = len(given[i][0])
        assert torch.equal(chosen.logprobs[here, :n], batch.logprobs[i, :n])
    assert as_rows(batch.rows(slice(0, 2))) == given[:2]


def test_no_rows_are_rows_too() -> None:
    batch = with_logprobs(collate([([1, 2, 3], 1)], PAD))
    assert len(batch.rows(slice(0, 0))) == 0
    assert len(batch.rows(torch.tensor([], dtype=torch.long))) == 0


@given(rows, st.integers(0, 12))
def test_padding_adds_columns_and_changes_no_row(given: list[tuple[list[int], int]], width: int) -> None:
    batch = with_logprobs(collate(given, PAD))
    wide = pad_to(batch, width, PAD)
    check(wide)
    assert as_rows(wide) == given
    assert wide.tokens.shape[1] == max(width, batch.tokens.shape[1])


@given(st.lists(rows, min_size=1, max_size=3))
def test_batches_of_any_width_join_in_order(given: list[list[tuple[list[int], int]]]) -> None:
    joined = concatenate([with_logprobs(collate(part, PAD)) for part in given], PAD)
    check(joined)
    assert as_rows(joined) == [row for part in given for row in part]
    assert joined.logprobs is not None


def test_real_text_among_samples_has_no_logprobs() -> None:
    real = collate([([1, 2, 3], 1)], PAD)
    assert concatenate([real, with_logprobs(real)], PAD).logprobs is None


def test_moving_a_batch_moves_all_of_it() -> None:
    batch = with_logprobs(collate([([1, 2, 3], 1)], PAD)).to("meta")
    assert batch.logprobs is not None
    tensors = (batch.tokens, batch.mask, batch.prompt_length, batch.logprobs)
    assert all(tensor.device.type == "meta" for tensor in tensors)


def test_a_batch_is_not_changed_by_accident() -> None:
    batch = collate([([1, 2, 3], 1)], PAD)
    with pytest.raises(AttributeError):
        batch.tokens = batch.tokens + 1  # type: ignore[misc]


def test_silence_listens(capsys: pytest.CaptureFixture[str]) -> None:
    listener: Progress = Silent()
    listener.start("pretrain", 10)
    listener.advance("pretrain", 1, {"loss": 1.0})
    listener.say("hello")
    assert capsys.readouterr() == ("", "")
