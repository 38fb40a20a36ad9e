"""The decode loop: what is drawn has the distribution it is said to have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgan.models.logprobs import token_logprobs
from mgan.models.lstm import LSTMGenerator
from mgan.models.oracle import RecurrentOracle
from mgan.models.transformer import TransformerGenerator, gpt2_config
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, collate

PAD, BOS, EOS, UNK = range(4)
VOCABULARY, CONTEXT = 9, 16


def player(architecture: str, dropout: float = 0.0) -> LSTMGenerator | TransformerGenerator:
    """A small generator with decided opinions."""
    torch.manual_seed(1)
    if architecture == "lstm":
        lstm = LSTMGenerator(VOCABULARY, 8, 2, dropout)
        with torch.no_grad():
            for parameter in lstm.parameters():
                parameter.mul_(2)
        return lstm.eval()
    shape = gpt2_config(VOCABULARY, 8, 2, 2, dropout, CONTEXT)
    transformer = TransformerGenerator(shape)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return transformer.eval()


GENERATORS = {name: player(name) for name in ("lstm", "transformer")}
both = pytest.mark.parametrize("architecture", sorted(GENERATORS))


def recurrent(cell: type[nn.LSTM] | type[nn.GRU]) -> RecurrentOracle:
    torch.manual_seed(2)
    return RecurrentOracle(cell, VOCABULARY, 8, 2).eval()


EVERY = GENERATORS | {"oracle lstm": recurrent(nn.LSTM), "oracle gru": recurrent(nn.GRU)}
every = pytest.mark.parametrize("architecture", sorted(EVERY))


def bare(rows: int) -> Batch:
    return collate([([BOS], 1)] * rows, PAD)


RAGGED = [([BOS], 1), ([BOS, 5, 6, 7], 4), ([BOS, 4], 2), ([BOS, EOS, 8, 8, 8, 5], 6), ([BOS, 7, 7], 3)]


def ragged() -> Batch:
    return collate(RAGGED * 8, PAD)


def write(generator: nn.Module, prompts: Batch, **options: object) -> Batch:
    return sample(generator, prompts, **{"max_length": CONTEXT, "eos": EOS, "pad": PAD} | options)  # type: ignore[arg-type]


@both
def test_suppressed_tokens_are_not_written_and_what_is_drawn_is_what_is_reported(architecture: str) -> None:
    generator = GENERATORS[architecture]
    setting = Sampling(0.8, top_k=4, top_p=0.9, suppress=(PAD, BOS, UNK))
    written = write(generator, bare(64), sampling=setting)
    assert not torch.isin(written.tokens[written.mask], torch.tensor(setting.suppress)).any()
    predicted = setting.log_probabilities(generator(written.tokens).detach())[:, :-1]
    chosen = predicted.gather(-1, written.tokens[:, 1:, None]).squeeze(-1)
    assert written.logprobs is not None
    assert torch.allclose(written.logprobs[:, 1:][written.mask[:, 1:]], chosen[written.mask[:, 1:]], atol=1e-5)
    assert written.logprobs[~written.mask].abs().sum() == 0


@both
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_a_teacher_forced_pass(architecture: str, temperature: float) -> None:
    generator = GENERATORS[architecture]
    written = write(generator, ragged(), sampling=Sampling(temperature))
    forced = token_logprobs(generator, written.tokens, written.mask, temperature)
    assert written.logprobs is not None
    assert torch.allclose(written.logprobs, forced, atol=1e-5)


@both
def test_a_batch_is_prompt_completion_eos_padding(architecture: str) -> None:
    prompts = ragged()
    written = write(GENERATORS[architecture], prompts)
    assert torch.equal(written.prompt_length, prompts.prompt_length)
    assert written.tokens.shape[1] == int(written.lengths.max())
    ended = 0
    for i, (tokens, mask) in enumerate(zip(written.tokens.tolist(), written.mask.tolist(), strict=True)):
        given, length = int(prompts.prompt_length[i]), int(written.lengths[i])
        assert tokens[:given] == RAGGED[i % len(RAGGED)][0]
        assert mask == [given <= j < length for j in range(len(mask))]
        completion = tokens[given:length]
        assert completion and EOS not in completion[:-1]
        assert completion[-1] == EOS or length == CONTEXT
        assert tokens[length:] == [PAD] * (len(tokens) - length)
        ended += completion[-1] == EOS
    assert 0 < ended < len(written)


@both
@pytest.mark.parametrize("max_length", [7, 8, CONTEXT])
def test_no_row_is_longer_than_it_may_be(architecture: str, max_length: int) -> None:
    written = write(GENERATORS[architecture], ragged(), max_length=max_length)
    assert int(written.lengths.max()) <= max_length
    assert (written.mask.sum(1) > 0).all()


@every
def test_a_row_does_not_depend_on_the_batch_it_is_in(architecture: str) -> None:
    """Neither its tokens nor what is said of them, though prompts differ in length and rows end early."""
    generator, prompts = EVERY[architecture], ragged()
    seeds = row_seeds(3, len(prompts))
    together = write(generator, prompts, seeds=seeds)
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(0))
    shuffled = write(generator, prompts.rows(order), seeds=seeds[order])
    alone = [write(generator, prompts.rows(slice(i, i + 1)), seeds=seeds[i : i + 1]) for i in range(10)]
    assert len(together.lengths.unique()) > 3
    assert torch.equal(shuffled.tokens, together.tokens[order])
    assert together.logprobs is not None and shuffled.logprobs is not None
    assert torch.allclose(shuffled.logprobs, together.logprobs[order], atol=1e-5)
    for row, batch in enumerate(alone):
        length = int(batch.lengths[0])
        assert torch.equal(batch.tokens[0], together.tokens[row, :length])
        assert batch.logprobs is not None
        assert torch.allclose(batch.logprobs[0], together.logprobs[row, :length], atol=1e-5)
        assert together.lengths[row] == length


@both
def test_equal_seeds_write_equal_text_and_others_do_not(architecture: str) -> None:
    generator = GENERATORS[architecture]
    first, again, other = (write(generator, bare(8), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.tokens, again.tokens)
    assert first.tokens.tolist() != other.tokens.tolist()


@both
def test_only_the_prompt_part_of_the_batch_is_read(architecture: str) -> None:
    prompts = ragged()
    real = collate([([*row, 6, 5, EOS], given) for row, given in RAGGED * 8], PAD)
    assert torch.equal(write(GENERATORS[architecture], real).tokens, write(GENERATORS[architecture], prompts).tokens)


@both
@pytest.mark.parametrize("training", [True, False])
def test_sampling_is_in_eval_mode_and_leaves_the_mode_as_it_was(architecture: str, training: bool) -> None:
    generator = player(architecture, dropout=0.5)
    expected = write(generator.eval(), bare(8)).tokens
    generator.train(training)
    state = torch.get_rng_state()
    written = write(generator, bare(8))
    assert torch.equal(written.tokens, expected)
    assert generator.training is training
    assert all(module.training is training for module in generator.modules() if isinstance(module, nn.Dropout))
    assert torch.equal(torch.get_rng_state(), state), "sampling draws from no hidden source"
    assert written.logprobs is not None and not written.logprobs.requires_grad


@both
def test_the_mode_is_restored_after_a_failure(architecture: str) -> None:
    generator = player(architecture).train()
    with pytest.raises(IndexError):
        write(generator, bare(2), sampling=Sampling(suppress=(VOCABULARY + 5,)))
    assert generator.training


@both
def test_a_prompt_that_fills_the_context_is_refused(architecture: str) -> None:
    with pytest.raises(ValueError, match="6 tokens"):
        write(GENERATORS[architecture], ragged(), max_length=6)


@both
def test_texts_come_as_often_as_their_probability_says(architecture: str, chi_square: Callable[..., float]) -> None:
    """Every text of at most three tokens after BOS, against their exact probabilities."""
    generator, longest, count = GENERATORS[architecture], 4, 20_000
    allowed = (EOS, 4, 5, 6)
    setting = Sampling(suppress=tuple(i for i in range(VOCABULARY) if i not in allowed))
    texts = [
        (*body, *end)
        for n, end in ((0, (EOS,)), (1, (EOS,)), (2, (EOS,)), (3, ()))
        for body in itertools.product((4, 5, 6), repeat=n)
    ]
    rows = collate([([BOS, *text], 1) for text in texts], PAD)
    predicted = setting.log_probabilities(generator(rows.tokens).detach())[:, :-1]
    chosen = predicted.gather(-1, rows.tokens[:, 1:, None]).squeeze(-1)
    probability = torch.where(rows.mask[:, 1:], chosen, 0.0).sum(1).exp().double().numpy()
    assert probability.sum() == pytest.approx(1, abs=1e-4)
    written = write(generator, bare(count), max_length=longest, sampling=setting)
    seen = dict.fromkeys(texts, 0)
    for tokens, n in zip(written.tokens.tolist(), written.lengths.tolist(), strict=True):
        seen[tuple(tokens[1:n])] += 1
    assert chi_square(np.array([seen[text] for text in texts]), probability) > 1e-3


# --- what is read


class Watched(nn.Module):
    """A generator that notes how many rows each read has."""

    def __init__(self, generator: Any):
        super().__init__()
        self.inner, self.output, self.start = generator, generator.output, generator.start
        self.rows: list[int] = []

    def read(self, tokens: Tensor, state: Any) -> Any:
        self.rows.append(len(tokens))
        return self.inner.read(tokens, state)


@every
def test_equal_prompts_are_read_once(architecture: str) -> None:
    prompts = collate([([BOS, 5, 6], 3)] * 5 + [([BOS, 7, 4], 3)] * 3, PAD)
    watched = Watched(EVERY[architecture])
    written = write(watched, prompts, eos=None)
    assert watched.rows == [2] + [8] * (CONTEXT - 4)
    for row in range(8):
        one, seeds = slice(row, row + 1), row_seeds(0, 8)[row : row + 1]
        assert torch.equal(
            write(EVERY[architecture], prompts.rows(one), seeds=seeds, eos=None).tokens, written.tokens[one]
        )


@both
def test_rows_that_ended_are_left_out_before_they_are_an_eighth(architecture: str) -> None:
    watched = Watched(GENERATORS[architecture])
    written = write(watched, bare(64))
    going = [int((written.lengths > length).sum()) for length in range(2, CONTEXT)]
    assert watched.rows[0] == 1 and min(going) < 32
    for read, left in zip(watched.rows[1:], going, strict=False):
        assert left <= read < max(left + 1, left / (1 - 1 / 8) + 1)


def test_reading_stops_when_every_row_has_ended() -> None:
    generator = player("lstm")
    with torch.no_grad():
        generator.output.bias[EOS] = 100  # type: ignore[index]
    watched = Watched(generator)
    assert write(watched, bare(4)).tokens.tolist() == [[BOS, EOS]] * 4
    assert watched.rows == [1]


# --- an encoder's memory


@dataclass(frozen=True)
class Remembered:
    """memory: [B, S, H], what was read of the source. hidden: [B, H]."""

    memory: Tensor
    hidden: Tensor

    def select(self, index: Tensor) -> Remembered:
        return Remembered(self.memory[index], self.hidden[index])


class Translator(nn.Module):
    """An encoder of bags of tokens, and a decoder that attends to its memory."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding, self.cell = nn.Embedding(VOCABULARY, 8), nn.GRUCell(8, 8)
        self.output = nn.Linear(8, VOCABULARY)
        nn.init.normal_(self.output.weight)

    def encode(self, source: Tensor) -> Remembered:
        memory = 3 * self.embedding(source)
        return Remembered(memory, memory.new_zeros(len(source), 8))

    def start(self, rows: int) -> Remembered:
        raise AssertionError("the state is given")

    def read(self, tokens: Tensor, state: Remembered) -> tuple[Tensor, Remembered]:
        hidden = state.hidden
        for token in tokens.unbind(1):
            hidden = self.cell(self.embedding(token), hidden)
        attention = (state.memory @ hidden[:, :, None]).softmax(1)
        return hidden + (attention * state.memory).sum(1), Remembered(state.memory, hidden)


def test_each_row_keeps_its_own_memory_when_others_end_before_it() -> None:
    translator, prompts = Translator().eval(), collate([([BOS], 1)] * 24, PAD)
    source = torch.randint(4, VOCABULARY, (24, 5), generator=torch.Generator().manual_seed(0))
    seeds = row_seeds(1, 24)
    with torch.no_grad():
        together = write(translator, prompts, seeds=seeds, state=translator.encode(source))
        assert len(together.lengths.unique()) > 3
        others = write(translator, prompts, seeds=seeds, state=translator.encode(source.flip(0)))
        assert others.tokens.tolist() != together.tokens.tolist(), "the memory is read"
        for row in range(24):
            one = slice(row, row + 1)
            alone = write(translator, prompts.rows(one), seeds=seeds[one], state=translator.encode(source[one]))
            assert torch.equal(alone.tokens[0], together.tokens[row, : int(together.lengths[row])])
            assert together.lengths[row] == alone.lengths[0]


# --- other precisions


@both
def test_weights_in_bfloat16(architecture: str) -> None:
    generator = player(architecture).bfloat16()
    written = write(generator, ragged())
    assert written.logprobs is not None and written.logprobs.dtype == torch.float32
    with torch.no_grad():
        predicted = generator(written.tokens).float().log_softmax(-1)[:, :-1]
    forced = predicted.gather(-1, written.tokens[:, 1:, None]).squeeze(-1)
    kept = written.mask[:, 1:]
    assert torch.allclose(written.logprobs[:, 1:][kept], forced[kept], atol=0.2)
    assert (written.logprobs[:, 1:][kept] - forced[kept]).abs().mean() < 0.03
