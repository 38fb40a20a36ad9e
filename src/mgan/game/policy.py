"""Objectives of the generator on given samples, token by token. Advantages are constants.

logprobs: log P_theta of the sampled tokens, with a gradient. old: that of the weights that drew them, without.
"""

from __future__ import annotations

from torch import Tensor


def likelihood_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """Elementwise -A log P: the gradient is the policy gradient's where theta drew the samples (Williams 1992)."""
    return -advantages * logprobs


def probability_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """Elementwise -A P: the likelier a token is, the more it moves (the penalty-based objective of Wang & Wan 2018).

    Its gradient is P times the policy gradient's, so what is rare is left alone; sum P A over samples is no unbiased
    estimate of anything that the game values.
    """
    return -advantages * logprobs.exp()


def clipped_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """Elementwise -min(rho A, clip(rho, 1 - c, 1 + c) A) with rho = P / P_old (PPO: Schulman et al. 2017, eq. 7).

    Where rho = 1 its gradient is that of ``likelihood_loss``; a token that has moved by more than the clip range in
    the direction its advantage asks for has none.
    """
    ratio = (logprobs - old).exp()
    return -(ratio * advantages).minimum(ratio.clamp(1 - clip_range, 1 + clip_range) * advantages)


def importance_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, largest: float) -> Tensor:
    """Elementwise -min(rho, c) A log P with rho = P / P_old, a constant: the policy gradient from samples of P_old.

    Exact for the next token's distribution where no weight is above c (Ionides 2008, truncated importance sampling);
    prefixes stay those of P_old. ColdGANs sample at a low temperature, P_old, and so move P, the untempered one
    (Scialom et al. 2020). Off the samples' mask log P and log P_old are 0.
    """
    return -(logprobs.detach() - old).exp().clamp(max=largest) * advantages * logprobs


def clipped_tokens(logprobs: Tensor, old: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """Elementwise bool: tokens whose gradient ``clipped_loss`` has cut off."""
    ratio = (logprobs - old).exp()
    return ((advantages > 0) & (ratio > 1 + clip_range)) | ((advantages < 0) & (ratio < 1 - clip_range))
