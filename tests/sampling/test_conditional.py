"""Sampling behind sources: against the enumerated distribution of the model itself, rows of all lengths together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from mgan.game.values import reverse_kl
from mgan.models.logprobs import token_logprobs
from mgan.models.protocols import Discriminator
from mgan.models.seq2seq import Seq2SeqGenerator
from mgan.sampling.conditional import Shift
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.rollouts import Plan, rollout_values, waves
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, collate

PAD, BOS, EOS, A, B, C = range(6)
LONGEST = 5
TOKENS = {"vocab_size": 6, "d_model": 16, "pad_token_id": PAD, "eos_token_id": EOS}


def player(name: str) -> Seq2SeqGenerator:
    """One whose decoder begins with one token, or with two."""
    torch.manual_seed(3)
    model: Any
    if name == "t5":
        shape: Any = T5Config
        model = T5ForConditionalGeneration(
            shape(**TOKENS, d_kv=8, num_heads=2, num_layers=1, d_ff=16, decoder_start_token_id=BOS, dropout_rate=0.5)
        )
    else:
        sizes = {f"{part}_{size}": n for part in ("encoder", "decoder")
                 for size, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
        shape = BartConfig
        model = BartForConditionalGeneration(shape(**TOKENS, **sizes, decoder_start_token_id=EOS, dropout=0.5))
        model.generation_config.forced_bos_token_id = BOS
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((0.1 if name == "t5" else 0.4) * torch.randn_like(parameter))
    return Seq2SeqGenerator(model, 16).eval()


GENERATORS = {name: player(name) for name in ("t5", "bart")}
both = pytest.mark.parametrize("name", sorted(GENERATORS))

SOURCES = [([A, B, EOS], 3), ([EOS], 1), ([C, EOS], 2), ([A, EOS, B], 3), ([BOS, A, A, EOS], 4)]
"""The fourth is also given how its text begins."""


def prompts(repeats: int = 1) -> Batch:
    return collate([(list(tokens), length) for tokens, length in SOURCES for _ in range(repeats)], PAD)


def write(generator: Seq2SeqGenerator, given: Batch, **options: Any) -> Batch:
    return sample(generator, given, **{"max_length": LONGEST, "eos": EOS, "pad": PAD} | options)


@torch.no_grad()
def texts_of(generator: Seq2SeqGenerator, given: list[int]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every row that may follow what is given, within LONGEST tokens, and its probability by the model's own logits."""
    end = given.index(EOS) + 1
    decoder = [*generator.begin, *given[end:]]
    logits = generator.model(input_ids=torch.tensor([given[:end]]), decoder_input_ids=torch.tensor([decoder])).logits
    for token, chance in enumerate(logits[0, -1].softmax(-1).tolist()):
        row = [*given, token]
        if token == EOS or len(row) == LONGEST:
            yield tuple(row), chance
        else:
            yield from ((text, chance * more) for text, more in texts_of(generator, row))


def texts(batch: Batch) -> list[tuple[int, ...]]:
    return [tuple(row[:n]) for row, n in zip(batch.tokens.tolist(), batch.lengths.tolist(), strict=True)]


@both
def test_what_is_drawn_has_the_models_own_distribution(
    name: str, chi_square: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    """Of sources of four lengths together, texts up to the longest row, one of them with a beginning."""
    generator, count = GENERATORS[name], 3000
    written = texts(write(generator, prompts(count), seed=5))
    for i, (tokens, length) in enumerate(SOURCES):
        chances = dict(texts_of(generator, tokens[:length]))
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        place = {text: k for k, text in enumerate(chances)}
        drawn = np.bincount([place[text] for text in written[i * count : (i + 1) * count]], minlength=len(place))
        assert chi_square(drawn, np.array(list(chances.values()))) > 1e-3


@both
def test_logprobs_mask_and_prompts_are_in_their_places(name: str) -> None:
    generator, given = GENERATORS[name], prompts(8)
    written = write(generator, given, seed=1, max_length=9)
    assert written.logprobs is not None and not generator.training
    expected = token_logprobs(generator, written.tokens, written.mask).detach()
    assert torch.allclose(written.logprobs, expected, atol=1e-5) and expected[written.mask].std() > 0.1
    assert torch.equal(written.prompt_length, given.prompt_length)
    place = torch.arange(written.tokens.shape[1])
    assert torch.equal(written.mask, (place >= given.prompt_length[:, None]) & (place < written.lengths[:, None]))
    for row, source in zip(texts(written), given.tokens.tolist(), strict=True):
        length = len([token for token in source if token != PAD])
        assert list(row[:length]) == source[:length]
        assert (row[-1] == EOS) != (len(row) == 9 and row[-1] != EOS) and EOS not in row[length:-1]
    assert (written.tokens[place >= written.lengths[:, None]] == PAD).all()


@both
def test_a_row_alone_is_a_row_in_company(name: str) -> None:
    generator, given = GENERATORS[name], prompts(3)
    seeds, setting = row_seeds(7, len(given)), Sampling(0.8, top_p=0.9, suppress=(PAD, BOS))
    together = write(generator, given, seeds=seeds, sampling=setting, max_length=10)
    assert together.logprobs is not None and len(set(texts(together))) > 6
    for i in range(len(given)):
        alone = write(generator, given.rows(slice(i, i + 1)), seeds=seeds[i : i + 1], sampling=setting, max_length=10)
        width = alone.tokens.shape[1]
        assert texts(alone) == texts(together)[i : i + 1] and alone.logprobs is not None
        assert torch.allclose(alone.logprobs[0], together.logprobs[i, :width], atol=1e-5)


def test_what_follows_a_prompt_is_not_read_and_the_mode_is_left_as_it_was() -> None:
    generator, given = player("t5").train(), prompts()
    longer = replace(given, tokens=torch.cat([given.tokens, torch.full((len(given), 3), B)], 1))
    assert texts(write(generator, longer)) == texts(write(generator, given)) and generator.training
    with pytest.raises(ValueError, match="a prompt of 4 tokens leaves nothing to write within 4"):
        write(generator, given, max_length=4)


def test_equal_sources_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, read = player("t5"), []
    encode = generator.encode

    def counted(sources: Tensor, length: Tensor) -> Any:
        read.append(len(sources))
        return encode(sources, length)

    monkeypatch.setattr(generator, "encode", counted)
    write(generator, prompts(20))
    assert read == [5]


@both
def test_rows_come_back_from_their_decoders(name: str) -> None:
    generator = GENERATORS[name]
    written = write(generator, prompts(2), seed=2)
    shift = Shift.of(generator, written.tokens)
    apart = shift.apart(written)
    assert apart.tokens[:, : len(generator.begin)].tolist() == [list(generator.begin)] * len(written)
    again = shift.behind_sources(apart, LONGEST, PAD).rows(slice(None))
    assert texts(again) == texts(written) and torch.equal(again.mask, written.mask)


class Opinion(nn.Module):
    """Any logit for every text."""

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(tokens.shape[1])
        length = torch.where(mask, place + 1, 0).amax(1)
        codes = ((tokens + 1) * 7.0**place * (place < length[:, None])).sum(1)
        return 2 * torch.sin(codes)


def worth(generator: Seq2SeqGenerator, prefix: list[int]) -> float:
    """The exact expectation of the logit of the text that begins so."""
    whole = [(tuple(prefix), 1.0)]
    if prefix[-1] != EOS and len(prefix) < LONGEST:
        whole = list(texts_of(generator, prefix))
    tokens = collate([(list(text), 1) for text, _ in whole], PAD)
    chances = torch.tensor([chance for _, chance in whole])
    return float((Opinion().verdict(tokens.tokens, tokens.mask) * chances).sum())


@both
def test_each_prefix_gets_what_its_completions_earn(name: str) -> None:
    """Of 1,500 rollouts a mean is 0.04 off or so."""
    generator, discriminator = GENERATORS[name], cast(Discriminator, Opinion())
    rows = [([A, B, EOS, A, B], 3), ([EOS, B, A, C, EOS], 1), ([C, EOS, EOS], 2), ([A, EOS, A, C, EOS], 3)]
    samples = collate(rows, PAD)
    plan = Plan(1500, LONGEST, EOS, PAD)
    found = rollout_values(generator, discriminator, samples, reverse_kl, plan, seed=3).values
    exact = torch.zeros_like(found)
    for b, i in samples.mask.nonzero().tolist():
        exact[b, i] = worth(generator, rows[b][0][: i + 1])
    assert (found - exact).abs().max() < 0.2 and (found - exact).square().mean().sqrt() < 0.06
    assert exact[samples.mask].std() > 0.3


@both
def test_rollouts_begin_with_their_samples_whatever_the_waves(name: str) -> None:
    generator = GENERATORS[name]
    samples = write(generator, prompts(2), seed=4)
    found = []
    for budget in (2**28, 2**13):
        drawn = []
        for wave in waves(generator, samples, Plan(3, LONGEST, EOS, PAD, budget=budget), seed=6):
            for row, position, text in zip(wave.row.tolist(), wave.position.tolist(), texts(wave.texts), strict=True):
                assert list(text[: position + 1]) == samples.tokens[row, : position + 1].tolist()
                assert len(text) > position + 1
                drawn.append((row, position, text))
            assert torch.equal(wave.texts.prompt_length, samples.prompt_length[wave.row])
        found.append(sorted(drawn))
    forks = (samples.mask[:, :-1] & samples.mask[:, 1:]).sum()
    assert len(found[0]) == 3 * int(forks) and found[0] == found[1]


def test_the_enumeration_is_one() -> None:
    """All texts of two tokens behind a source, drawn or not, are what the model can write."""
    found = dict(texts_of(GENERATORS["t5"], [A, A, EOS]))
    expected = {(A, A, EOS, EOS)} | {(A, A, EOS, a, b) for a, b in itertools.product(range(6), repeat=2) if a != EOS}
    assert found.keys() == expected
