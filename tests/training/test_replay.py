"""What D is reminded of: half of its prompts with their own samples and real texts, by the update's number alone."""

from __future__ import annotations

import copy

import pytest
import torch

from mgan.training.lessons import Drawn
from mgan.training.replay import Replay
from mgan.types import Batch, collate

PROMPTS, EACH, PAD = 5, 3, 9


def drawn(number: int) -> Drawn:
    """Of batch ``number``: prompt p is [number, p]; its real text goes on with 7, its samples with 8."""
    own = collate([([number, p, 7, 7], 2) for p in range(PROMPTS)], PAD)
    rows = [([number, p, *[8] * (1 + number)], 2) for p in range(PROMPTS) for _ in range(EACH)]
    group = torch.arange(PROMPTS).repeat_interleave(EACH)
    return Drawn(collate(rows, PAD), group, own)


def prompts(batch: Batch) -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in batch.tokens.tolist()]


def test_the_first_batch_is_as_it_is() -> None:
    first = drawn(0)
    assert Replay(2, PAD, seed=0).mix(first, 1) is first


def test_half_is_of_a_past_batch_and_every_sample_keeps_its_real_text() -> None:
    replay = Replay(2, PAD, seed=0)
    met = set()
    for number in range(30):
        mixed = replay.mix(drawn(number % 6), number)
        assert len(mixed.own) == PROMPTS and len(mixed.samples) == PROMPTS * EACH
        own = prompts(mixed.own)
        assert prompts(mixed.samples) == [prompt for prompt in own for _ in range(EACH)]
        assert mixed.group.tolist() == [p for p in range(PROMPTS) for _ in range(EACH)]
        ages = [(number % 6 - batch) % 6 for batch, _ in own]
        assert number == 0 or sorted(age > 0 for age in ages) == [False] * 3 + [True] * 2
        # Of a batch with longer or shorter samples, padding apart, nothing is lost.
        lengths = [(3 + batch) for batch, _ in prompts(mixed.samples)]
        assert mixed.samples.lengths.tolist() == lengths
        met |= set(ages)
    assert met == {0, 1, 2}


def test_what_is_remembered_survives_a_checkpoint() -> None:
    replay, again = (Replay(3, PAD, seed=1) for _ in range(2))
    for number in range(4):
        replay.mix(drawn(number), number)
    again.load_state_dict(copy.deepcopy(replay.state_dict()), torch.device("cpu"))
    for number in range(4, 8):
        one, other = replay.mix(drawn(number), number), again.mix(drawn(number), number)
        assert torch.equal(one.samples.tokens, other.samples.tokens) and torch.equal(one.own.tokens, other.own.tokens)


@pytest.mark.parametrize("count", [1, 2])
def test_few_prompts(count: int) -> None:
    replay = Replay(1, PAD, seed=0)
    for number in range(3):
        whole = drawn(number)
        few = Drawn(whole.samples.rows(slice(count * EACH)), whole.group[: count * EACH], whole.own.rows(slice(count)))
        mixed = replay.mix(few, number)
        assert [batch for batch, _ in prompts(mixed.own)] == ([number] if count == 1 else [number, max(0, number - 1)])
