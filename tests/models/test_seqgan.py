"""SeqGAN's discriminator against the published network, written out plainly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mgan.models import seqgan
from mgan.models.protocols import SharesPrefixes
from mgan.models.seqgan import FILTERS, WIDTHS, SeqGANDiscriminator

VOCABULARY, LENGTH = 40, 20


@pytest.fixture(scope="module")
def network() -> SeqGANDiscriminator:
    torch.manual_seed(0)
    built = SeqGANDiscriminator(VOCABULARY, hidden=6)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


def published(network: SeqGANDiscriminator, sentence: Tensor) -> float:
    """The logit of one sentence [n] without BOS: ReLU of each convolution, maximum over time, highway, head."""
    embedded = network.embedding.weight[sentence]
    pooled = []
    for conv, filters in zip(network.convolutions, FILTERS, strict=True):
        weight: Tensor = conv.weight  # type: ignore[assignment]
        bias: Tensor = conv.bias  # type: ignore[assignment]
        width = weight.shape[2]
        windows = [
            F.relu(torch.einsum("fhk,kh->f", weight, embedded[s : s + width]) + bias)
            for s in range(len(sentence) - width + 1)
        ]
        pooled.append(torch.stack(windows).amax(0) if windows else torch.zeros(filters))
    x = torch.cat(pooled)
    h = network.highway.weight @ x + network.highway.bias
    gate = torch.sigmoid(h)
    out = gate * F.relu(h) + (1 - gate) * x
    return float(network.head.weight[0] @ out + network.head.bias)


def texts(rows: int, length: int = LENGTH, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of BOS and ``length`` tokens of which a random number are masked."""
    source = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, VOCABULARY, (rows, 1 + length), generator=source)
    tokens[:, 0] = 0
    place, last = torch.arange(1 + length), torch.randint(1, 1 + length, (rows, 1), generator=source)
    last[0] = length
    return tokens, (place > 0) & (place <= last)


@torch.no_grad()
def test_a_verdict_is_what_the_published_network_says_of_the_sentence(network: SeqGANDiscriminator) -> None:
    tokens, mask = texts(6)
    expected = [published(network, row[m]) for row, m in zip(tokens, mask, strict=True)]
    assert network.verdict(tokens, mask).tolist() == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1


@torch.no_grad()
def test_a_prefix_is_judged_by_the_windows_that_fit_into_it(network: SeqGANDiscriminator) -> None:
    tokens, _ = texts(2, length=24)
    found = network(tokens)
    for b in range(2):
        expected = [published(network, tokens[b, 1 : i + 1]) for i in range(25)]
        assert found[b].tolist() == pytest.approx(expected, abs=1e-5)


def rollouts(rows: int, count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Texts that begin as samples do, in the order of how much they share; some share nothing but BOS."""
    samples, _ = texts(rows, seed=seed)
    given, row = (part.flatten() for part in torch.meshgrid(torch.arange(1, LENGTH), torch.arange(rows), indexing="ij"))
    given, row = given.repeat_interleave(count), row.repeat_interleave(count)
    own, _ = texts(len(row), seed=seed + 1)
    place = torch.arange(1 + LENGTH)
    tokens = torch.where(place < given[:, None], samples[row], own)
    end = given + (torch.rand(len(row), generator=torch.Generator().manual_seed(seed)) * (LENGTH + 1 - given)).long()
    return samples, row, given, tokens, (place > 0) & (place <= end[:, None])


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("look_up", [0.0, 0.35, math.inf])
def test_what_rollouts_share_changes_nothing(
    network: SeqGANDiscriminator, count: int, look_up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By products, by tables, or whichever costs less; in one piece or in several."""
    monkeypatch.setattr(seqgan, "LOOK_UP", look_up)
    samples, row, given, tokens, mask = rollouts(4, count)
    with torch.no_grad():
        expected = network.verdict(tokens, mask)
    assert torch.allclose(network.verdict_of_rollouts(samples, row, given, tokens, mask), expected, atol=1e-4)
    monkeypatch.setattr(seqgan, "TEXTS", 50)
    monkeypatch.setattr(seqgan, "CACHED", 1)
    assert torch.allclose(network.verdict_of_rollouts(samples, row, given, tokens, mask), expected, atol=1e-4)
    assert expected.std() > 0.05


def test_any_order_of_rollouts_will_do(network: SeqGANDiscriminator) -> None:
    samples, row, given, tokens, mask = rollouts(4, 3)
    order = torch.randperm(len(row), generator=torch.Generator().manual_seed(1))
    found = network.verdict_of_rollouts(samples, row, given, tokens, mask)
    shuffled = network.verdict_of_rollouts(samples, row[order], given[order], tokens[order], mask[order])
    assert torch.allclose(shuffled, found[order], atol=1e-5)


def test_prefixes_are_shared_by_protocol(network: SeqGANDiscriminator) -> None:
    assert isinstance(network, SharesPrefixes)


def test_it_has_the_published_size() -> None:
    built = SeqGANDiscriminator(5000)
    convolutions = sum(64 * width * filters + filters for width, filters in zip(WIDTHS, FILTERS, strict=True))
    assert sum(p.numel() for p in built.parameters()) == 5000 * 64 + convolutions + 1720 * 1720 + 1720 + 1720 + 1
