"""Texts longer than the context are written in the windows that such texts are learned in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.data.rows import source_windows, windows
from mgan.models.lstm import LSTMGenerator
from mgan.models.protocols import Generator
from mgan.sampling import sliding
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds, stream
from mgan.types import collate

PAD, BOS, EOS, LABEL = 0, 1, 2, 4
CONTEXT, VOCABULARY, SEED = 8, 9, 5
WARM = Sampling(1.3, suppress=(PAD, BOS))


def generator(ends: float) -> LSTMGenerator:
    torch.manual_seed(0)
    built = LSTMGenerator(VOCABULARY, 6).eval()
    with torch.no_grad():
        built.output.bias[EOS] = ends
    return built


def write(player: Generator, head: list[int], prompt: list[int], count: int, length: int) -> list[list[int]]:
    return sliding.write(
        player,
        head,
        prompt,
        places=range(count),
        length=length,
        context=CONTEXT,
        eos=EOS,
        pad=PAD,
        seed=SEED,
        sampling=WARM,
    )


@pytest.mark.parametrize(
    ("head", "prompt"), [([BOS], []), ([BOS], [5, 6, 7]), ([BOS, LABEL], []), ([BOS, 5, 6, 7, EOS], [])]
)
def test_each_window_is_written_after_what_a_training_window_is_given(head: list[int], prompt: list[int]) -> None:
    player, count, length = generator(-1.5), 12, 30
    texts = write(player, head, prompt, count, length)
    assert any(text[-1] == EOS for text in texts) and any(len(text) > 2 * CONTEXT for text in texts)
    for i, text in enumerate(texts):
        assert EOS not in text[:-1] and (len(text) == length or text[-1] == EOS)
        rows = windows([*head, *prompt], text, CONTEXT) if len(head) == 1 else source_windows(head, text, CONTEXT)
        before = 0
        for number, (tokens, given) in enumerate(rows):
            # Where the window begins in prompt and text: each is told from the others by that.
            start = len(prompt) + before - (given - len(head)) if number else 0
            seeds = row_seeds(stream(SEED, 2, start) if start else SEED, count)[i : i + 1]
            again = sample(
                player, collate([(tokens[:given], given)], PAD), max_length=len(tokens), eos=EOS, pad=PAD,
                seeds=seeds, sampling=WARM,
            )  # fmt: skip
            assert again.tokens[0].tolist() == tokens
            before += len(tokens) - given
        assert before == len(text)


def test_up_to_the_context_they_are_those_of_the_decode_loop() -> None:
    player = generator(0.0)
    plain = sample(
        player, collate([([BOS], 1)] * 40, PAD), max_length=CONTEXT, eos=EOS, pad=PAD, seed=SEED, sampling=WARM
    )
    rows: list[Tensor] = [tokens[mask] for tokens, mask in zip(plain.tokens, plain.mask, strict=True)]
    assert write(player, [BOS], [], 40, CONTEXT - 1) == [row.tolist() for row in rows]


@pytest.mark.parametrize("length", [1, 5, CONTEXT, 3 * CONTEXT + 1])
def test_no_text_is_longer_than_asked_for(length: int) -> None:
    assert {len(text) for text in write(generator(-30.0), [BOS], [5], 3, length)} == {length}


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    player = generator(-1.5)
    texts = write(player, [BOS], [], 12, 30)
    assert len({len(text) for text in texts}) > 2
    assert texts[:3] == write(player, [BOS], [], 3, 30)
