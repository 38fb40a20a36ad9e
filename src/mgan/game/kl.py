"""Estimators of KL(P || P_0) from tokens that P drew (Schulman 2020, "Approximating KL divergence").

All are elementwise in log P and log P_0 of the sampled token. Given the text before it,

        value                       E_P        its own gradient, as a loss on fixed samples, is in expectation that of
    k1  log P - log P_0             KL         nothing: E[grad log P] = 0. It is paid as a reward instead
    k2  (log P - log P_0)^2 / 2     biased     KL(P || P_0)
    k3  P_0/P - 1 + log P/P_0       KL         KL(P_0 || P)

Summed over a text, each value of k1 and k3 is unbiased for the KL of whole texts. The gradients of k2 and k3 are those
of the next token's divergence at each prefix, prefixes held fixed: that a token decides which prefixes come later
counts only where k1 is paid as a reward.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def k1(logprobs: Tensor, reference: Tensor) -> Tensor:
    return logprobs - reference


def k2(logprobs: Tensor, reference: Tensor) -> Tensor:
    return (logprobs - reference) ** 2 / 2


def k3(logprobs: Tensor, reference: Tensor) -> Tensor:
    return (reference - logprobs).expm1() - (reference - logprobs)


KL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k2": k2, "k3": k3}
"""Those whose gradient as a loss pulls towards the reference; k3 is GRPO's (Shao et al. 2024, eq. 4)."""
