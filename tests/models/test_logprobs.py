"""Log-probabilities in chunks are those of the plain softmax, with its gradient, and never hold [B, L, V] numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mgan.models import logprobs
from mgan.models.logprobs import tempered_logprobs, token_logprobs, weighted_logprobs
from mgan.models.lstm import LSTMGenerator
from mgan.types import Batch, collate

V, HIDDEN = 31, 8


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven positions: several chunks, the last of them not full."""
    monkeypatch.setattr(logprobs, "CHUNK", {"cpu": (7, 0)})


def player(tied: bool = False, bias: bool = True, dtype: torch.dtype = torch.float64) -> LSTMGenerator:
    torch.manual_seed(0)
    generator = LSTMGenerator(V, HIDDEN, tied=tied)
    if not bias:
        generator.output.bias = None
    # Far from uniform, so that a gradient of the softmax alone would be seen.
    generator.output.weight.data *= 5
    return generator.to(dtype).eval()


def batch() -> Batch:
    """Rows of 3 to 12 tokens, prompts of 1 to 3."""
    source = torch.Generator().manual_seed(1)
    rows = []
    for i in range(6):
        length = 3 + int(torch.randint(10, (1,), generator=source))
        rows.append((torch.randint(1, V, (length,), generator=source).tolist(), 1 + i % 3 if length > 3 else 1))
    return collate(rows, 0)


def plain(generator: LSTMGenerator, tokens: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """[B, L] by the definition."""
    table = (generator(tokens[:, :-1]) / temperature).log_softmax(-1)
    chosen = table.gather(2, tokens[:, 1:, None]).squeeze(2)
    return nn.functional.pad(torch.where(mask[:, 1:], chosen, 0.0), (1, 0))


def weighted(generator: LSTMGenerator, tokens: Tensor, mask: Tensor, weights: Tensor, temperature: float) -> Tensor:
    return weighted_logprobs(generator, tokens, mask, weights, temperature)[0]


def summed(generator: LSTMGenerator, tokens: Tensor, mask: Tensor, weights: Tensor, temperature: float) -> Tensor:
    return (weights * token_logprobs(generator, tokens, mask, temperature)).sum()


def expected(generator: LSTMGenerator, tokens: Tensor, mask: Tensor, weights: Tensor, temperature: float) -> Tensor:
    return (weights * plain(generator, tokens, mask, temperature)).sum()


Total = Callable[[LSTMGenerator, Tensor, Tensor, Tensor, float], Tensor]
TOTALS = pytest.mark.parametrize("total", [weighted, summed])


def gradients(loss: Tensor, generator: nn.Module) -> list[Tensor]:
    generator.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in generator.parameters() if p.grad is not None]


def check_close(found: list[Tensor], wanted: list[Tensor], within: float = 1e-6) -> None:
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).norm()) <= within * float(other.norm())


def weights_of(text: Batch) -> Tensor:
    torch.manual_seed(2)
    # Off the mask they must not count.
    return torch.randn(text.mask.shape, dtype=torch.float64)


@TOTALS
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_value_and_gradient_are_the_plain_softmaxs(total: Total, tied: bool, bias: bool, temperature: float) -> None:
    generator, text = player(tied, bias), batch()
    given = (generator, text.tokens, text.mask, weights_of(text), temperature)
    found, wanted = total(*given), expected(*given)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    check_close(gradients(found, generator), gradients(wanted, generator), 1e-12)


@TOTALS
def test_single_precision_agrees_to_a_millionth(total: Total) -> None:
    text = batch()
    exact, single = player(), player(dtype=torch.float32)
    weights = weights_of(text)
    found = gradients(total(single, text.tokens, text.mask, weights.float(), 1.0), single)
    wanted = gradients(expected(exact, text.tokens, text.mask, weights, 1.0), exact)
    check_close([part.double() for part in found], wanted, 2e-6)


def test_the_logprobs_stand_at_their_tokens_places_and_are_zero_elsewhere() -> None:
    generator, text = player(), batch()
    wanted = plain(generator, text.tokens, text.mask, 0.8)
    _, beside = weighted_logprobs(generator, text.tokens, text.mask, weights_of(text), 0.8)
    for found in (beside, token_logprobs(generator, text.tokens, text.mask, 0.8)):
        assert torch.allclose(found, wanted, atol=1e-12)
        assert bool((found[~text.mask] == 0).all())
    assert not beside.requires_grad


def test_several_temperatures_read_the_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, text = player(), batch()
    reads = []
    features = generator.features
    monkeypatch.setattr(generator, "features", lambda tokens: reads.append(1) or features(tokens))
    found = tempered_logprobs(generator, text.tokens, text.mask, (0.5, 1.0, 2.0))
    assert len(reads) == 1 and not found.requires_grad
    for one, temperature in zip(found, (0.5, 1.0, 2.0), strict=True):
        assert torch.allclose(one, plain(generator, text.tokens, text.mask, temperature), atol=1e-12)


def test_by_finite_differences() -> None:
    text = batch()
    generator = player()
    kept = text.mask[:, 1:]
    features = generator.features(text.tokens[:, :-1])[kept].detach()[:9].requires_grad_()
    weight, bias = (p.detach().requires_grad_() for p in generator.output.parameters())
    targets, weights = text.tokens[:, 1:][kept][:9], weights_of(text)[:, 1:][kept][:9]
    rest = (targets, torch.float64)
    assert torch.autograd.gradcheck(
        lambda *parts: logprobs._TokenLogprobs.apply(*parts, *rest), (features, weight, bias)
    )
    assert torch.autograd.gradcheck(
        lambda *parts: logprobs._WeightedSum.apply(weights, *parts, *rest)[0], (features, weight, bias)
    )


@TOTALS
def test_a_frozen_output_layer_gets_no_gradient_and_passes_one_on(total: Total) -> None:
    generator, text = player(), batch()
    generator.output.requires_grad_(False)
    given = (generator, text.tokens, text.mask, weights_of(text), 1.0)
    found, wanted = gradients(total(*given), generator), gradients(expected(*given), generator)
    check_close(found, wanted, 1e-12)
    assert generator.output.weight.grad is None and generator.output.bias.grad is None


@TOTALS
def test_a_frozen_body_learns_by_its_output_layer_alone(total: Total) -> None:
    generator, text = player(), batch()
    generator.body.requires_grad_(False)
    given = (generator, text.tokens, text.mask, weights_of(text), 1.0)
    found, wanted = gradients(total(*given), generator), gradients(expected(*given), generator)
    check_close(found, wanted, 1e-12)
    assert len(found) == 2 and all(part.abs().max() > 0 for part in found), "weight and bias of the output layer"


@TOTALS
def test_losses_add_up_and_a_backward_pass_can_be_repeated(total: Total) -> None:
    generator, text = player(), batch()
    weights = weights_of(text)

    def loss(one: Total) -> Tensor:
        first = one(generator, text.tokens, text.mask, weights, 1.0)
        second = one(generator, text.tokens[:3], text.mask[:3], weights[:3].abs(), 0.7)
        return 64.0 * first - second / 3

    wanted = gradients(loss(expected), generator)
    found = loss(total)
    generator.zero_grad()
    for _ in range(2):
        found.backward(retain_graph=True)
    check_close([p.grad / 2 for p in generator.parameters() if p.grad is not None], wanted, 1e-12)


@TOTALS
def test_in_bf16_it_is_as_close_as_the_plain_softmax(total: Total) -> None:
    """Both round their matrix products; neither may stray further from the exact gradient than twice the other."""
    text = batch()
    exact, single = player(), player(dtype=torch.float32)
    weights = weights_of(text)
    wanted = gradients(expected(exact, text.tokens, text.mask, weights, 1.0), exact)

    def distance(one: Total) -> list[float]:
        with torch.autocast("cpu", torch.bfloat16):
            loss = one(single, text.tokens, text.mask, weights.float(), 1.0)
        parts = zip(gradients(loss, single), wanted, strict=True)
        return [float((found - right).norm() / right.norm()) for found, right in parts]

    for ours, theirs in zip(distance(total), distance(expected), strict=True):
        assert 0 < ours < 2 * theirs < 0.1


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation returns, forward or backward."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(returned) if isinstance(leaf, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return returned


@pytest.mark.parametrize("total", [weighted, summed, expected])
def test_no_tensor_holds_the_logits_of_all_positions(total: Total) -> None:
    torch.manual_seed(0)
    vocabulary = 2000
    generator = LSTMGenerator(vocabulary, HIDDEN)
    tokens = torch.randint(0, vocabulary, (20, 41))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    with Largest() as seen:
        gradients(total(generator, tokens, mask, torch.ones(tokens.shape), 1.0), generator)
        if total is not expected:
            tempered_logprobs(generator, tokens, mask, (0.5, 1.0))
    # The plain softmax shows that the measure can see what it is to see.
    assert (seen.numbers < 20 * 40 * vocabulary / 2) is (total is not expected)
