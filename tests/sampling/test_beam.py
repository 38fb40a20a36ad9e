"""Beam search against enumeration, against greedy decoding and against a beam in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, GPT2Config

from mgan.models.lstm import LSTMGenerator
from mgan.models.opaque import OpaqueGenerator
from mgan.models.seq2seq import Seq2SeqGenerator, from_scratch
from mgan.models.transformer import TransformerGenerator
from mgan.sampling.beam import Beam, search
from mgan.sampling.decode import Sampling, sample
from mgan.types import Batch, UserError, collate

PAD, BOS, EOS, A, B, C = range(6)
"""PAD and BOS are never written."""
NEVER = (PAD, BOS)


def player(name: str) -> Any:
    torch.manual_seed(4)
    generator: Any
    if name == "lstm":
        generator = LSTMGenerator(6, 8)
    elif name == "transformer":
        generator = TransformerGenerator(GPT2Config(vocab_size=6, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    elif name == "t5":
        generator = from_scratch(6, 16, 1, 2, 0.5, 16)
    else:
        sizes = {f"{part}_{size}": n for part in ("encoder", "decoder")
                 for size, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
        shape: Any = BartConfig
        model: Any = BartForConditionalGeneration(
            shape(vocab_size=6, d_model=16, pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=EOS, **sizes)
        )
        model.generation_config.forced_bos_token_id = BOS
        generator = Seq2SeqGenerator(model, 16)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.6 * torch.randn_like(parameter))
    return generator.eval()


GENERATORS = {name: player(name) for name in ("lstm", "transformer", "t5", "bart")}
every = pytest.mark.parametrize("name", sorted(GENERATORS))
SOURCES = [[BOS, A, B, EOS], [BOS, EOS], [BOS, C, EOS], [BOS, A, EOS, B], [BOS, A, A, B, EOS], [BOS, B, EOS, C, A]]
"""Of several lengths, the fourth and the last with what the text begins with; to a decoder EOS is a token as any."""


def prompts(rows: list[list[int]] = SOURCES) -> Batch:
    return collate([(row, len(row)) for row in rows], PAD)


def found(name: str, given: Batch, width: int, alpha: float = 1.0, longest: int = 7) -> Batch:
    return search(GENERATORS[name], given, Beam(width, alpha, NEVER), max_length=longest, eos=EOS, pad=PAD)


def completions(batch: Batch) -> list[list[int]]:
    columns = (batch.tokens.tolist(), batch.prompt_length.tolist(), batch.lengths.tolist())
    return [row[start:end] for row, start, end in zip(*columns, strict=True)]


@torch.no_grad()
def next_logprobs(name: str, row: list[int]) -> list[float]:
    logits = GENERATORS[name](torch.tensor([row]))[0, -1].double()
    logits[list(NEVER)] = -torch.inf
    return logits.log_softmax(0).tolist()


def everything(name: str, row: list[int], room: int, logprob: float = 0.0) -> Iterator[tuple[list[int], float]]:
    """All completions within so many tokens and their logprobs."""
    for token, step in enumerate(next_logprobs(name, row)):
        if token in NEVER:
            continue
        if token == EOS or room == 1:
            yield [token], logprob + step
        else:
            for rest, total in everything(name, [*row, token], room - 1, logprob + step):
                yield [token, *rest], total


def value(text: list[int], logprob: float, alpha: float) -> tuple[bool, float]:
    """What has ended comes before what has not."""
    return text[-1] == EOS, logprob / len(text) ** alpha


@every
@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_a_beam_of_everything_finds_the_best_text(name: str, alpha: float) -> None:
    best = []
    for row in SOURCES:
        texts = everything(name, row, 6 - len(row))
        best.append(max(texts, key=lambda one: value(*one, alpha)))
    batch = found(name, prompts(), 4**4, alpha, 6)
    assert completions(batch) == [text for text, _ in best]
    assert batch.logprobs is not None
    assert torch.allclose(batch.logprobs.sum(1), torch.tensor([logprob for _, logprob in best]), atol=1e-4)
    assert not batch.logprobs[~batch.mask].any()


@every
def test_the_length_penalty_counts(name: str) -> None:
    lengths = [sum(map(len, completions(found(name, prompts(), 50, alpha)))) for alpha in (0.0, 3.0)]
    assert lengths[0] < lengths[1]


@every
def test_a_beam_of_one_is_greedy(name: str) -> None:
    greedy = sample(
        GENERATORS[name], prompts(), max_length=12, eos=EOS, pad=PAD, sampling=Sampling(top_k=1, suppress=NEVER)
    )
    batch = found(name, prompts(), 1, longest=12)
    assert torch.equal(batch.tokens, greedy.tokens) and torch.equal(batch.mask, greedy.mask)
    assert torch.equal(batch.prompt_length, greedy.prompt_length)


def plain(name: str, row: list[int], width: int, alpha: float, longest: int) -> list[int]:
    """The same search of one row, without any tensor of hypotheses and until nothing is left to search."""
    going, ended, start = [(row, 0.0)], [], len(row)
    for _ in range(start, longest):
        more = [
            ([*tokens, token], logprob + step)
            for tokens, logprob in going for token, step in enumerate(next_logprobs(name, tokens))
            if token not in NEVER
        ]  # fmt: skip
        more = sorted(more, key=lambda one: -one[1])[: width - len(ended)]
        ended += [one for one in more if one[0][-1] == EOS]
        going = [one for one in more if one[0][-1] != EOS]
    best = max(ended or going, key=lambda one: value(one[0][start:], one[1], alpha))
    return best[0][start:]


@every
@pytest.mark.parametrize(("width", "alpha"), [(2, 1.0), (3, 0.0), (4, 2.0)])
def test_a_narrow_beam_is_the_beam_of_plain_python(name: str, width: int, alpha: float) -> None:
    expected = [plain(name, row, width, alpha, 10) for row in SOURCES]
    assert completions(found(name, prompts(), width, alpha, 10)) == expected


@every
def test_a_row_alone_is_a_row_in_company(name: str) -> None:
    together = completions(found(name, prompts(), 3, 3.0, 12))
    assert together == [completions(found(name, prompts([row]), 3, 3.0, 12))[0] for row in SOURCES]
    assert len({tuple(text) for text in together}) > 1


def test_the_mode_is_left_as_it_was_and_dropout_is_off() -> None:
    generator = GENERATORS["t5"].train()
    try:
        batch = found("t5", prompts(), 3)
        assert generator.training
    finally:
        generator.eval()
    assert torch.equal(batch.tokens, found("t5", prompts(), 3).tokens)


def test_what_has_no_state_or_a_noise_is_refused() -> None:
    given: dict[str, Any] = {"max_length": 7, "eos": EOS, "pad": PAD}
    model = GENERATORS["transformer"].model
    with pytest.raises(UserError, match="it is a test: take a beam of 1"):
        search(OpaqueGenerator(model, "it is a test"), prompts(), Beam(), **given)
    with pytest.raises(UserError, match="latent noise"):
        search(LSTMGenerator(6, 8, latent=2), prompts(), Beam(), **given)
    with pytest.raises(ValueError, match="leaves nothing to write"):
        found("lstm", prompts(), 2, longest=5)
    for width, alpha in ((0, 1.0), (2, -1.0)):
        with pytest.raises(ValueError, match="width of 1 or more"):
            Beam(width, alpha)
