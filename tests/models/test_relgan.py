"""RelGAN's discriminator against the published network, written plainly, and its pooling against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mgan.models import relgan
from mgan.models.relgan import RelGANDiscriminator, _MaximaOverTime

VOCABULARY, LENGTH = 13, 9


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few filters, and blocks of few rows so that there are several."""
    monkeypatch.setattr(relgan, "FILTERS", 6)
    monkeypatch.setattr(relgan, "CACHED", 100)
    monkeypatch.setattr(relgan, "LANES", 3)


def build(dropout: float = 0.0) -> RelGANDiscriminator:
    torch.manual_seed(0)
    player = RelGANDiscriminator(VOCABULARY, hidden=8, representations=4, dropout=dropout).double()
    with torch.no_grad():
        for parameter in player.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return player.eval()


def texts(*lengths: int) -> tuple[Tensor, Tensor]:
    """Rows of BOS and so many tokens, and their masks."""
    tokens = torch.randint(1, VOCABULARY, (len(lengths), LENGTH), generator=torch.Generator().manual_seed(1))
    position = torch.arange(LENGTH)
    return tokens, (position > 0) & (position <= torch.tensor(lengths)[:, None])


def published(player: RelGANDiscriminator, tokens: Tensor) -> Tensor:
    """[S]: the logits of one text without BOS; Nie et al. 2019, section 3.3, one representation after the other."""
    logits = []
    for slice_ in player.embedding(tokens).chunk(player.representations, 1):
        maxima = []
        for conv in player.convolutions:
            missing = max(0, conv.kernel_size[0] - len(tokens))  # type: ignore[operator, index]
            maxima.append(conv(functional.pad(slice_, (0, 0, missing, 0)).T[None])[0].relu().amax(1))
        x = torch.cat(maxima)
        gate, transformed = torch.sigmoid(player.highway(x)), torch.relu(player.highway(x))
        logits.append(player.head(player.features(gate * transformed + (1 - gate) * x)))
    return torch.cat(logits)


@pytest.mark.parametrize("lengths", [(8, 8, 8), (8, 1, 3, 5, 7), (2, 2), (3, 5)])
def test_a_text_is_judged_as_published(lengths: tuple[int, ...]) -> None:
    player, (tokens, mask) = build(), texts(*lengths)
    judged = player.judge(player.embedding(tokens), mask)
    for row, length in enumerate(lengths):
        assert torch.allclose(judged[row], published(player, tokens[row, 1 : length + 1]), atol=1e-10)


def test_the_verdict_is_the_last_prefix_s_logit() -> None:
    player, (tokens, mask) = build(), texts(8, 1, 3, 5, 7)
    expected = player(tokens)[torch.arange(5), mask.sum(1)]
    assert torch.allclose(player.verdict(tokens, mask), expected, atol=1e-10)


def test_one_hot_texts_are_hard_ones() -> None:
    player, (tokens, mask) = build(), texts(8, 4)
    one_hot = functional.one_hot(tokens, VOCABULARY).double()
    assert torch.allclose(player.soft(one_hot, mask), player.verdict(tokens, mask), atol=1e-12)


def test_soft_texts_lie_between_hard_ones_in_the_embedding() -> None:
    player, (tokens, mask) = build(), texts(8, 8)
    mixed = 0.25 * functional.one_hot(tokens, VOCABULARY) + 0.75 * functional.one_hot(tokens.flip(0), VOCABULARY)
    embedded = 0.25 * player.embedding(tokens) + 0.75 * player.embedding(tokens.flip(0))
    assert torch.allclose(player.soft(mixed.double(), mask), player.judge(embedded, mask).mean(1), atol=1e-12)


@pytest.mark.parametrize("lengths", [(8, 8, 8), (8, 1, 3, 5, 7), (2, 1), (1, 1)])
def test_the_gradient_is_autograds(lengths: tuple[int, ...]) -> None:
    """Of every weight and of what is embedded, against the network written plainly; also narrower than a window."""
    player, (tokens, mask) = build(), texts(*lengths)
    tokens, mask = tokens[:, : max(lengths) + 1], mask[:, : max(lengths) + 1]
    parameters = list(player.parameters())
    weight = torch.randn(len(lengths), 4, dtype=torch.float64)
    plain = torch.stack([published(player, tokens[r, 1 : n + 1]) for r, n in enumerate(lengths)])
    expected = torch.autograd.grad((plain * weight).sum(), parameters)
    found = torch.autograd.grad((player.judge(player.embedding(tokens), mask) * weight).sum(), parameters)
    for theirs, ours in zip(expected, found, strict=True):
        assert torch.allclose(theirs, ours, atol=1e-10)


def test_pooling_computes_no_gradient_that_nobody_asked_for() -> None:
    rows, last = torch.randn(4, 7, 1, requires_grad=True), torch.full((4,), 6)
    fixed = [torch.randn(3, 1, width) for width in (2, 3)]
    _MaximaOverTime.apply(rows, last, *fixed).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None and all(weight.grad is None for weight in fixed)


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    player = RelGANDiscriminator(VOCABULARY, 4, 2, dropout=0.25)
    ones = torch.ones(1000, 101)
    dropped = player.train()._drop(ones)
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.005)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(player.eval()._drop(ones), ones)


def test_an_embedding_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="representations"):
        RelGANDiscriminator(VOCABULARY, hidden=8, representations=3)
