"""Output layer and drawing in one are what they are apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mgan.sampling import projection
from mgan.sampling.distribution import SMALL, Sampling, draw_tokens
from mgan.sampling.projection import next_tokens

SAMPLINGS = [Sampling(), Sampling(0.6), Sampling(top_k=7), Sampling(suppress=(3,))]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("vocabulary", [40, SMALL + 1, 2 * SMALL, 1500])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [2, 200])
def test_the_same_tokens_as_by_way_of_logits(
    vocabulary: int, bias: bool, scale: float, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of logits so large, of both signs, that their exponentials are no numbers."""
    torch.manual_seed(0)
    output = nn.Linear(8, vocabulary, bias=bias)
    features, numbers = scale * torch.randn(50, 8), torch.rand(50, 4, dtype=torch.float64)
    numbers[0], numbers[1] = 0.0, 1 - 2.0**-53
    with torch.no_grad():
        expected, logprobs = draw_tokens(output(features), numbers, sampling)
    monkeypatch.setattr(projection, "CHUNK", 20 * vocabulary)  # 21 rows at a time: three chunks, the last one short
    found = next_tokens(output, features, numbers, sampling)
    usual = torch.arange(50) != 1
    assert torch.equal(found[usual], expected[usual])
    # At the very end rounding decides which of the last tokens it is, but never one that cannot be drawn.
    with torch.no_grad():
        assert (sampling.log_probabilities(output(features[1])).exp()[found[1]] > 0).all()
    assert len(expected.unique()) > 4 and logprobs.isfinite().all()


def test_no_rows_draw_no_tokens() -> None:
    found = next_tokens(nn.Linear(8, 600), torch.empty(0, 8), torch.empty(0, 3, dtype=torch.float64), Sampling())
    assert found.shape == (0, 3)
