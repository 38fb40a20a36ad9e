"""The decode loop: what is drawn has the distribution it is said to have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from mgan.models.lstm import LSTMGenerator
from mgan.models.transformer import TransformerGenerator, gpt2_config
from mgan.sampling.decode import Sampling, draw, sample, tempered_logprobs
from mgan.sampling.uniforms import row_seeds, uniforms
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


def bare(rows: int) -> Batch:
    return collate([([BOS], 1)] * rows, PAD)


RAGGED = [([BOS], 1), ([BOS, 5, 6, 7], 4), ([BOS, 4], 2), ([BOS, EOS, 8, 8, 8, 5], 6), ([BOS, 7, 7], 3)]


def ragged() -> Batch:
    return collate(RAGGED * 8, PAD)


def write(generator: nn.Module, prompts: Batch, **options: object) -> Batch:
    return sample(generator, prompts, **{"max_length": CONTEXT, "eos": EOS, "pad": PAD} | options)  # type: ignore[arg-type]


# --- drawing one token


def chi_square(observed: np.ndarray, probability: np.ndarray) -> float:
    """p-value; cells too rare to count on are pooled."""
    expected = probability / probability.sum() * observed.sum()
    rare = expected < 5
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
        if expected[-1] < 1e-9:
            assert observed[-1] == 0
            observed, expected = observed[:-1], expected[:-1]
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
def test_tokens_are_drawn_by_their_probability(scale: float) -> None:
    torch.manual_seed(0)
    logits = scale * torch.randn(30)
    count = 100_000
    numbers = uniforms(row_seeds(0, count), 1).squeeze(1)
    tokens = draw(logits.log_softmax(-1).expand(count, -1), numbers)
    observed = np.bincount(tokens.numpy(), minlength=30)
    assert chi_square(observed, logits.softmax(-1).double().numpy()) > 1e-3


@given(st.integers(0, 2**31), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_an_impossible_token_is_never_drawn_at_any_number(seed: int, vocabulary: int) -> None:
    source = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(vocabulary, generator=source)
    impossible = torch.rand(vocabulary, generator=source) < 0.6
    impossible[int(torch.randint(vocabulary, (1,), generator=source))] = False
    distribution = logits.masked_fill(impossible, -torch.inf).log_softmax(-1)
    edges = distribution.double().exp().cumsum(-1)
    numbers = torch.cat(
        [torch.tensor([0.0, 2.0**-53, 0.5, 1 - 2.0**-24, 1 - 2.0**-53], dtype=torch.float64), edges]
    ).clamp(max=1 - 2.0**-53)
    tokens = draw(distribution.expand(len(numbers), -1), numbers)
    assert not impossible[tokens].any()


def test_drawing_is_the_inverse_of_the_cumulative_distribution() -> None:
    distribution = torch.tensor([0.25, 0.0, 0.5, 0.25]).log()
    numbers = torch.tensor([0.0, 0.2, 0.25, 0.5, 0.74, 0.75, 0.99], dtype=torch.float64)
    assert draw(distribution.expand(7, -1), numbers).tolist() == [0, 0, 2, 2, 2, 3, 3]


# --- filters


def filtered(logits: np.ndarray, setting: Sampling) -> np.ndarray:
    """Probabilities, by the definitions and by hand."""
    p = np.exp((logits - logits.max()) / setting.temperature)
    p[list(setting.suppress)] = 0
    order = sorted(range(len(p)), key=lambda i: -p[i])
    if setting.top_k:
        p[order[setting.top_k :]] = 0
    p /= p.sum()
    before, kept = 0.0, np.zeros(len(p), dtype=bool)
    for i in order:
        kept[i] = before < setting.top_p or setting.top_p == 1
        before += p[i]
    p = np.where(kept, p, 0)
    return p / p.sum()


@given(
    st.integers(0, 2**31),
    st.sampled_from([0.5, 1.0, 1.7]),
    st.integers(0, 14),
    st.sampled_from([0.05, 0.3, 0.7, 0.95, 1.0]),
    st.sampled_from([(), (0,), (1, 3)]),
)
@settings(max_examples=150, deadline=None)
def test_filters_are_what_their_definitions_say(
    seed: int, temperature: float, top_k: int, top_p: float, suppress: tuple[int, ...]
) -> None:
    logits = 2 * torch.randn(12, generator=torch.Generator().manual_seed(seed))
    setting = Sampling(temperature, top_k, top_p, suppress)
    found = setting.log_probabilities(logits[None])[0].exp().double().numpy()
    assert np.allclose(found, filtered(logits.double().numpy(), setting), atol=1e-5)
    assert found.sum() == pytest.approx(1, abs=1e-5)


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


# --- the loop


@both
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_a_teacher_forced_pass(architecture: str, temperature: float) -> None:
    generator = GENERATORS[architecture]
    written = write(generator, ragged(), sampling=Sampling(temperature))
    forced = tempered_logprobs(generator(written.tokens), written.tokens, written.mask, temperature)
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


@both
def test_a_row_does_not_depend_on_the_batch_it_is_in(architecture: str) -> None:
    generator, prompts = GENERATORS[architecture], ragged()
    seeds = row_seeds(3, len(prompts))
    together = write(generator, prompts, seeds=seeds)
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(0))
    shuffled = write(generator, prompts.rows(order), seeds=seeds[order])
    alone = [write(generator, prompts.rows(slice(i, i + 1)), seeds=seeds[i : i + 1]) for i in range(10)]
    rows = [t[:n].tolist() for t, n in zip(together.tokens, together.lengths, strict=True)]
    again = [t[:n].tolist() for t, n in zip(shuffled.tokens, shuffled.lengths, strict=True)]
    assert again == [rows[i] for i in order.tolist()]
    assert [batch.tokens[0].tolist() for batch in alone] == rows[:10]


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
def test_texts_come_as_often_as_their_probability_says(architecture: str) -> None:
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


# --- teacher forcing


def test_tempered_logprobs_speak_of_the_token_at_their_position() -> None:
    torch.manual_seed(2)
    logits = torch.randn(2, 5, 6, requires_grad=True)
    tokens = torch.randint(6, (2, 5))
    mask = torch.tensor([[False, True, True, False, False], [False, False, True, True, True]])
    found: Tensor = tempered_logprobs(logits, tokens, mask, 0.5)
    for b in range(2):
        for i in range(5):
            value = float((logits[b, i - 1] / 0.5).log_softmax(-1)[tokens[b, i]].detach()) if mask[b, i] else 0.0
            assert float(found[b, i].detach()) == pytest.approx(value, abs=1e-5)
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad[:, -1].abs().sum() == 0 and logits.grad[0, 2:].abs().sum() == 0
