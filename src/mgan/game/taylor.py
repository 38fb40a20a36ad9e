"""What every other token in a place of a text would have earned, to first order, and which of them to learn from.

TaylorGAN (Lin et al. 2020). With f(x) what a text x is paid, e its tokens' embeddings and a text that was drawn,

    f(x with v in place t)  ~  f(x) + (df/de_t) . (e_v - e_{x_t})                       the expansion around the text
    k(u, v) = exp(-|e_u - e_v|^2 / 2 h^2)                                               how near two tokens are
    G up  sum_t sum_v P(v | x_<t)  k(x_t, v) / sum_u P(u | x_<t) k(u, v)  (f(x with v) - b)

The fraction, a constant, has mean 1 over x_t ~ P: every token is learned from as often as if it were drawn itself, from
texts that have a token near it. Near h = 0 only x_t counts, and the gradient is REINFORCE's; where h is large all
tokens count alike, the all-action gradient of the expansion. The text behind t stays what followed x_t, and so the
expectation is the policy gradient's where h is near 0, where nothing follows, or where what follows does not depend.

Shapes: N places of texts, V vocabulary, E embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 512
"""Tokens whose nearness to all others is held at once, [V, BLOCK]."""


def expansion(level: Tensor, slope: Tensor, chosen: Tensor, embedding: Tensor) -> Tensor:
    """[N, V]: the worth of a text with each token in the place of the chosen one.

    level: [N], that of the text as it is. slope: [N, E], its gradient at that place. chosen: [N]. embedding: [V, E].
    Exact where the worth is linear in the embedding at that place.
    """
    here = (slope * embedding[chosen]).sum(1)
    return torch.addmm((level - here)[:, None], slope, embedding.t())


def spread(embedding: Tensor) -> Tensor:
    """The root mean square distance of two tokens' embeddings, [V, E], drawn with replacement: a scalar."""
    return (2 * (embedding - embedding.mean(0)).square().sum(1).mean()).sqrt()


def nearness(some: Tensor, others: Tensor, bandwidth: Tensor | float) -> Tensor:
    """[M, V]: k of embeddings [M, E] and [V, E]; bandwidth: h, in their unit."""
    squared = torch.cdist(some, others, compute_mode="use_mm_for_euclid_dist").square()
    return torch.exp(squared / (-2 * bandwidth**2))


def neighbours(probabilities: Tensor, chosen: Tensor, embedding: Tensor, bandwidth: Tensor | float) -> Tensor:
    """[N, V]: k(x_t, v) / sum_u P(u) k(u, v), how much a text with x_t counts for token v.

    probabilities: [N, V], of the next token. chosen: [N]. At most 1/P(v), so that weighted by P(v) it is 1 at most.
    """
    found = torch.empty_like(probabilities)
    for tokens in torch.split(torch.arange(len(embedding), device=embedding.device), BLOCK):
        near = nearness(embedding, embedding[tokens], bandwidth)
        reached = probabilities @ near
        found[:, tokens] = near[chosen] / reached.clamp(min=torch.finfo(reached.dtype).tiny)
    return found


def flops(places: int, chunks: int, vocabulary: int, width: int) -> float:
    """Operations of ``expansion`` and ``neighbours`` of so many places, in so many calls. width: E."""
    return 2.0 * vocabulary * (places * (width + vocabulary) + chunks * vocabulary * width)
