"""Drawing: tokens come by their probability, and filters do what their definitions say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mgan.sampling.distribution import NUCLEUS, SMALL, Sampling, draw_tokens
from mgan.sampling.uniforms import row_seeds, uniforms

COUNT = 100_000
NUMBERS = uniforms(row_seeds(0, COUNT), 1).T
LARGE = SMALL + 197


def random_logits(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- drawing


@pytest.mark.parametrize("vocabulary", [2, 30, LARGE])
@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
def test_tokens_are_drawn_by_their_probability(vocabulary: int, scale: float, chi_square: Callable[..., float]) -> None:
    logits = random_logits(1, vocabulary, scale=scale)
    tokens, logprobs = draw_tokens(logits, NUMBERS)
    assert tokens.shape == logprobs.shape == NUMBERS.shape
    observed = np.bincount(tokens[0].numpy(), minlength=vocabulary)
    assert chi_square(observed, logits[0].double().softmax(-1).numpy()) > 1e-3
    assert torch.allclose(logprobs, logits.log_softmax(-1).gather(1, tokens), atol=1e-5)


@pytest.mark.parametrize("vocabulary", [30, LARGE])
@pytest.mark.parametrize(
    "setting",
    [
        Sampling(0.7), Sampling(1.3, top_k=7), Sampling(top_p=0.8), Sampling(min_p=0.1), Sampling(suppress=(0, 5, 29)),
        Sampling(0.9, top_k=20, top_p=0.9, suppress=(1,), min_p=0.02),
    ],
    ids=str,
)  # fmt: skip
def test_so_are_they_under_every_filter(vocabulary: int, setting: Sampling, chi_square: Callable[..., float]) -> None:
    logits = random_logits(1, vocabulary)
    tokens, logprobs = draw_tokens(logits, NUMBERS, setting)
    probability = filtered(logits[0].double().numpy(), setting)
    observed = np.bincount(tokens[0].numpy(), minlength=vocabulary)
    assert (observed[probability == 0] == 0).all()
    assert chi_square(observed, probability) > 1e-3
    assert np.allclose(logprobs[0].numpy(), np.log(probability[tokens[0].numpy()]), atol=1e-5)


@given(st.integers(0, 2**31), st.one_of(st.integers(1, 12), st.integers(SMALL + 1, LARGE)))
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
    for dtype in (torch.float64, torch.float32):
        tokens, logprobs = draw_tokens(distribution[None], numbers[None].to(dtype))
        assert not impossible[tokens].any() and logprobs.isfinite().all()


def test_drawing_is_the_inverse_of_the_cumulative_distribution() -> None:
    distribution = torch.tensor([0.25, 0.0, 0.5, 0.25]).log()
    numbers = torch.tensor([0.0, 0.2, 0.25, 0.5, 0.74, 0.75, 0.99], dtype=torch.float64)
    assert draw_tokens(distribution.expand(7, -1), numbers)[0].tolist() == [0, 0, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("vocabulary", [SMALL, SMALL + 1, 640, LARGE])
def test_it_is_so_to_rounding_in_a_large_vocabulary_too(vocabulary: int) -> None:
    logits = random_logits(3, vocabulary)
    numbers = uniforms(row_seeds(1, 3), 5000)
    tokens, _ = draw_tokens(logits, numbers)
    edges = torch.nn.functional.pad(logits.double().softmax(-1).cumsum(-1), (1, 0))
    assert (edges.gather(1, tokens) - 1e-6 <= numbers).all()
    assert (numbers <= edges.gather(1, tokens + 1) + 1e-6).all()


@pytest.mark.parametrize("vocabulary", [10, LARGE])
def test_what_is_very_rare_can_still_be_drawn(vocabulary: int) -> None:
    logits = torch.zeros(1, vocabulary)
    logits[0, -1] = -10.0
    tokens, logprobs = draw_tokens(logits, torch.tensor([[1 - 1e-8, 0.9999]], dtype=torch.float64))
    assert tokens.tolist() == [[vocabulary - 1, vocabulary - 2]]
    assert float(logprobs[0, 0]) == pytest.approx(-10 - np.log(vocabulary - 1), abs=1e-4)


def test_many_numbers_a_row_are_as_many_rows_of_one() -> None:
    logits, numbers = random_logits(40, LARGE), uniforms(row_seeds(2, 40), 6)
    tokens, logprobs = draw_tokens(logits, numbers, Sampling(top_k=30))
    for i in range(6):
        one, its = draw_tokens(logits, numbers[:, i], Sampling(top_k=30))
        assert torch.equal(one, tokens[:, i]) and torch.allclose(its, logprobs[:, i], atol=1e-6)


def test_more_rows_than_one_piece_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, numbers = random_logits(50, 30), uniforms(row_seeds(2, 50), 2)
    at_once = draw_tokens(logits, numbers)
    monkeypatch.setattr("mgan.sampling.distribution.CHUNK", 200)
    assert all(map(torch.equal, draw_tokens(logits, numbers), at_once))


def test_logits_of_half_precision_are_drawn_from_as_their_values_in_full() -> None:
    logits, numbers = random_logits(8, LARGE).bfloat16(), uniforms(row_seeds(2, 8), 50)
    assert all(map(torch.equal, draw_tokens(logits, numbers), draw_tokens(logits.float(), numbers)))


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
    p = np.where(kept & (p >= setting.min_p * p.max()), p, 0)
    return p / p.sum()


@given(
    st.integers(0, 2**31),
    st.sampled_from([0.5, 1.0, 1.7]),
    st.integers(0, 14),
    st.sampled_from([0.05, 0.3, 0.7, 0.95, 1.0]),
    st.sampled_from([(), (0,), (1, 3)]),
    st.sampled_from([0.0, 0.01, 0.2, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_filters_are_what_their_definitions_say(
    seed: int, temperature: float, top_k: int, top_p: float, suppress: tuple[int, ...], min_p: float
) -> None:
    logits = random_logits(12, seed=seed)
    setting = Sampling(temperature, top_k, top_p, suppress, min_p)
    found = setting.log_probabilities(logits[None])[0].exp().double().numpy()
    assert np.allclose(found, filtered(logits.double().numpy(), setting), atol=1e-5)
    assert found.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("scale", "top_p"), [(0.01, 0.9), (1.0, 0.5), (1.0, 0.99), (6.0, 0.9)])
def test_a_nucleus_of_any_size_is_found(scale: float, top_p: float) -> None:
    logits = random_logits(2, 3, 20 * NUCLEUS, scale=scale)
    found = Sampling(top_p=top_p).log_probabilities(logits).exp().double().numpy()
    for i in range(2):
        for j in range(3):
            expected = filtered(logits[i, j].double().numpy(), Sampling(top_p=top_p))
            # A token at the nucleus's edge may round in or out.
            assert abs(int((found[i, j] > 0).sum()) - int((expected > 0).sum())) <= 2
            assert np.allclose(found[i, j], expected, atol=2e-3 * expected.max())


def test_a_token_that_is_not_there_cannot_be_suppressed() -> None:
    with pytest.raises(IndexError):
        Sampling(suppress=(12,)).log_probabilities(torch.zeros(1, 12))
