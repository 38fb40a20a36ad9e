"""Soft samples: their distribution, their gradient against plain autograd, and what they do not depend on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.models.lstm import LSTMGenerator
from mgan.models.relational import RelationalGenerator
from mgan.sampling import soft
from mgan.sampling.soft import GumbelNoise, SoftBatch, soft_sample
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, collate

V, PAD, EOS, LENGTH, TAU = 11, 0, 2, 8, 0.7


def build(kind: str = "relational", dropout: float = 0.3) -> Any:
    torch.manual_seed(0)
    generator: Any = (
        LSTMGenerator(V, 8, dropout=dropout) if kind == "lstm" else RelationalGenerator(V, 8, dropout=dropout)
    )
    return generator.double()


PROMPTS = collate([([1], 1), ([1, 4, 5], 3), ([1, 6], 2), ([1], 1)], PAD)


def draw(generator: Any, prompts: Batch = PROMPTS, **changes: Any) -> SoftBatch:
    settings = {"max_length": LENGTH, "eos": EOS, "pad": PAD, "temperature": TAU, "seed": 3}
    return soft_sample(generator, prompts, **(settings | changes))


def plainly(generator: Any, drawn: SoftBatch, seeds: Tensor) -> Tensor:
    """[B, L, V]: y as plain autograd has it: the texts that were drawn, read with a graph, and the same noise."""
    batch = drawn.batch
    logits = generator.eval()(batch.tokens)
    noise, soft_positions = GumbelNoise(seeds), []
    for i in range(1, batch.tokens.shape[1]):
        gumbel = -noise.minus_gumbel(V, batch.mask[:, i]).double()
        y = torch.softmax((logits[:, i - 1] + gumbel) / TAU, 1)
        hard = torch.nn.functional.one_hot(batch.tokens[:, i], V).double()
        soft_positions.append(torch.where(batch.mask[:, i, None], y, hard))
    start = torch.nn.functional.one_hot(batch.tokens[:, :1], V).double()
    return torch.cat([start, torch.stack(soft_positions, 1)], 1)


@pytest.mark.parametrize("kind", ["lstm", "relational"])
@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("chunk", [5, 256])
def test_the_gradient_is_plain_autograds(
    kind: str, straight_through: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soft, "CHUNK", chunk)
    generator, weight = build(kind), torch.randn(V, 3, dtype=torch.float64)
    drawn = draw(generator)
    y = plainly(generator, drawn, row_seeds(3, 4))
    expected = y @ weight
    if straight_through:
        expected = weight[drawn.batch.tokens] + expected - expected.detach()
    found = drawn.attached(weight, straight_through)
    assert torch.allclose(found, expected, atol=1e-12)
    parameters = list(generator.parameters())
    into = torch.randn(found.shape, dtype=torch.float64)
    theirs = torch.autograd.grad((expected * into).sum(), parameters)
    ours = torch.autograd.grad((found * into).sum(), parameters)
    for a, b in zip(theirs, ours, strict=True):
        assert a.abs().sum() > 0 and torch.allclose(a, b, atol=1e-6, rtol=0)


def test_a_discriminator_learns_from_the_same_values_and_the_generator_nothing() -> None:
    generator, weight = build(), torch.randn(V, 3, dtype=torch.float64, requires_grad=True)
    drawn = draw(generator)
    embedded = drawn.embedded(weight)
    assert torch.allclose(embedded, drawn.attached(weight), atol=1e-12)
    embedded.sum().backward()  # type: ignore[no-untyped-call]
    expected = plainly(generator, drawn, row_seeds(3, 4)).sum((0, 1))
    assert weight.grad is not None and torch.allclose(weight.grad, expected[:, None].expand(-1, 3), atol=1e-10)
    assert all(p.grad is None for p in generator.parameters())


def test_without_gradients_there_is_no_graph_and_the_texts_are_the_same() -> None:
    generator = build()
    with torch.no_grad():
        bare = draw(generator)
    assert not bare.features.requires_grad
    assert torch.equal(bare.batch.tokens, draw(generator).batch.tokens)


def test_the_hard_token_is_where_the_soft_one_is_largest() -> None:
    drawn = draw(build())
    assert drawn.given == 1
    assert torch.equal(drawn.probabilities.argmax(2).t(), drawn.batch.tokens[:, 1:])
    assert torch.allclose(drawn.probabilities.sum(2), torch.ones((), dtype=torch.float64))


def test_rows_end_at_eos_begin_with_their_prompts_and_are_one_hot_elsewhere() -> None:
    drawn = draw(build(), collate([([1], 1), ([1, 4, 5], 3)] * 20, PAD), seed=5)
    batch, soft_rows = drawn.batch, drawn.probabilities.transpose(0, 1)
    assert (batch.tokens[1::2, :3] == torch.tensor([1, 4, 5])).all()
    ended = 0
    for tokens, mask, first, y in zip(batch.tokens, batch.mask, batch.prompt_length, soft_rows, strict=True):
        last = int(mask.nonzero().max())
        assert mask[first : last + 1].all() and not mask[:first].any() and not mask[last + 1 :].any()
        assert (tokens[first:last] != EOS).all() and (tokens[last + 1 :] == PAD).all()
        assert last == LENGTH - 1 or tokens[last] == EOS
        ended += last < LENGTH - 1
        assert (y[~mask[1:]].amax(1) == 1).all()
    assert ended


def test_tokens_follow_the_softmax_and_no_other_row() -> None:
    """One position, 4,000 rows: chi-square against the generator's own distribution."""
    generator = build()
    rows = collate([([1], 1)] * 4000, PAD)
    with torch.no_grad():
        drawn = draw(generator, rows, max_length=2, suppress=(0, 1), temperature=5.0)
        logits = generator.eval()(torch.tensor([[1]]))[0, 0]
    logits[:2] = -torch.inf
    expected = 4000 * logits.softmax(0)[2:]
    counts = torch.bincount(drawn.batch.tokens[:, 1], minlength=V)
    assert counts[:2].sum() == 0
    statistic = ((counts[2:] - expected) ** 2 / expected).sum()
    assert statistic < 27.9  # the 0.999 quantile of chi-square with 8 degrees of freedom is 26.1, 0.9995: 27.9


def test_a_row_depends_on_its_seed_alone() -> None:
    generator, seeds = build(), row_seeds(7, 4)
    with torch.no_grad():
        together = draw(generator, seeds=seeds)
        for row in range(4):
            alone = draw(generator, PROMPTS.rows(torch.tensor([row])), seeds=seeds[row : row + 1])
            width = alone.batch.tokens.shape[1]
            assert torch.equal(alone.batch.tokens[0], together.batch.tokens[row, :width])
            mine = together.probabilities[alone.given - together.given :, row][: len(alone.probabilities)]
            assert torch.allclose(alone.probabilities[:, 0], mine, atol=1e-6)


def test_another_seed_is_another_text() -> None:
    generator = build()
    assert not torch.equal(draw(generator, eos=None).batch.tokens, draw(generator, eos=None, seed=4).batch.tokens)


def test_the_generator_s_mode_is_left_as_it_was() -> None:
    generator = build().train()
    draw(generator)
    assert generator.training


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        draw(build(), max_length=3)
