"""Ranking: a text competes with a set of others for being like real ones (RankGAN: Lin et al. 2017).

    R(s | U, C) = mean over references u in U of  exp(g cos(s, u)) / sum_{s' in C and s} exp(g cos(s', u))    eq. 2-4

s is ranked among C: real texts where s is generated, generated ones where s is real; U are real. g is the sharpness.
1/(1 + C) is the rank of a text like all others. So d = log((1 + C) R) stands for a logit: 0 is a text like all others,
d is log R and e^d is R, each up to a constant, whatever the size of C.

Shapes: H features. Everything is differentiable, in the features too.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import logsigmoid, normalize


def rivals(comparison: Tensor, references: Tensor, sharpness: float) -> Tensor:
    """[U]: log of the mean of exp(sharpness cos(c, u)) over the comparison set. comparison: [C, H], references: [U, H].

    All that a text's rank among them depends on, beside their number.
    """
    return (sharpness * relevance(comparison, references)).logsumexp(0) - math.log(len(comparison))


def log_rank(texts: Tensor, references: Tensor, against: Tensor, count: float | Tensor, sharpness: float) -> Tensor:
    """[...]: d = log((1 + count) R) of each text. texts: [..., H], references: [U, H].

    against: [U], the ``rivals`` of the comparison set. count: C, its size. Cosines are in [-1, 1], so d is in
    [-2 sharpness, 2 sharpness].
    """
    many = references.new_tensor(float(count))
    shares = logsigmoid(sharpness * relevance(texts, references) - against - many.log())
    return shares.logsumexp(-1) - math.log(len(references)) + many.log1p()


def relevance(texts: Tensor, references: Tensor) -> Tensor:
    """[..., U]: the cosine of a text's features and a reference's."""
    return normalize(texts, dim=-1) @ normalize(references, dim=-1).t()


def ranking_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean log R(generated) - mean log R(real), up to a constant: what the ranker minimises (Lin et al. 2017).

    real: [B], d of real texts among generated ones; fake: [B'], d of generated ones among real ones. G is paid log R.
    """
    return fake.mean() - real.mean()
