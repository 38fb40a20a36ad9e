"""The divergence of two language models in all next tokens: the definition, its gradient, and no [B, L, V]."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mgan.models import logprobs
from mgan.models.logprobs import next_token_kl
from mgan.models.lstm import LSTMGenerator
from mgan.types import Batch, collate

V, HIDDEN = 31, 8


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven positions: several chunks, the last of them not full. Of an opaque generator a row or two at a time."""
    monkeypatch.setattr(logprobs, "CHUNK", {"cpu": (7, 0)})
    monkeypatch.setattr(logprobs, "TOGETHER", 12 * V)


def player(seed: int) -> LSTMGenerator:
    torch.manual_seed(seed)
    generator = LSTMGenerator(V, HIDDEN)
    generator.output.weight.data *= 5
    return generator.double().eval()


class LogitsAlone(nn.Module):
    """The same generator, of which no more is known than its logits."""

    difference, vocabulary = "for a test", V

    def __init__(self, generator: LSTMGenerator):
        super().__init__()
        self.generator = generator

    def forward(self, tokens: Tensor) -> Tensor:
        return self.generator(tokens)

    def write(self, *_: object) -> None:
        raise NotImplementedError

    def state_size(self, length: int) -> int:
        return length


def batch() -> Batch:
    """Rows of 3 to 12 tokens, prompts of 1 to 3."""
    source = torch.Generator().manual_seed(1)
    lengths = [3 + int(torch.randint(10, (1,), generator=source)) for _ in range(6)]
    rows = [torch.randint(1, V, (length,), generator=source).tolist() for length in lengths]
    return collate([(row, 1 + i % 2) for i, row in enumerate(rows)], 0)


def plain(ours: LSTMGenerator, theirs: LSTMGenerator, texts: Batch, temperature: float) -> Tensor:
    """By the definition. The score function's term has no part in it: the prefixes are given."""
    p = (ours(texts.tokens[:, :-1]) / temperature).softmax(-1)
    m = theirs(texts.tokens[:, :-1]).softmax(-1)
    return ((p * (p.log() - m.log())).sum(-1) * texts.mask[:, 1:]).sum()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("opaque", [False, True])
def test_value_and_gradient_are_the_definitions(temperature: float, opaque: bool) -> None:
    ours, theirs, texts = player(0), player(1), batch()
    wrap = LogitsAlone if opaque else lambda player: player
    found = next_token_kl(wrap(ours), wrap(theirs), texts.tokens, texts.mask, temperature)  # type: ignore[arg-type]
    expected = plain(ours, theirs, texts, temperature)
    assert found.item() == pytest.approx(expected.item()) and found.item() > 1
    weights = list(ours.parameters())
    for one, other in zip(*(torch.autograd.grad(value, weights) for value in (found, expected)), strict=True):
        assert torch.allclose(one, other, atol=1e-10)
    assert not any(parameter.grad is not None for parameter in theirs.parameters())


def test_it_is_zero_where_the_two_are_one() -> None:
    ours, texts = player(0), batch()
    found = next_token_kl(ours, ours, texts.tokens, texts.mask)
    assert abs(found.item()) < 1e-12
    assert all(float(slope.abs().max()) < 1e-12 for slope in torch.autograd.grad(found, list(ours.parameters())))


class Largest(TorchDispatchMode):
    """The most numbers of one tensor as wide as the vocabulary that was made while it watched."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        wide = (t.numel() for t in tree_leaves(made) if isinstance(t, Tensor) and t.shape[-1:] == (V,))
        self.numbers = max(self.numbers, *wide, 0)
        return made


def test_no_more_logits_exist_than_those_of_a_chunk() -> None:
    ours, theirs, texts = player(0), player(1), batch()
    with Largest() as seen:
        next_token_kl(ours, theirs, texts.tokens, texts.mask).backward()  # type: ignore[no-untyped-call]
    # The gradient to the output layer has HIDDEN rows, as wide.
    assert 0 < seen.numbers <= max(7, HIDDEN) * V < int(texts.mask.sum()) * V / 3
