"""Self-play: a generator that is its own discriminator.

Where text is drawn from P_before, the best discriminator's logit is log p_data - log P_before (up to a constant of the
prompt). Write the generator that is sought in the place of p_data, and its log-ratio to its own former self is the
logit; so to teach that discriminator is to teach the generator. SPIN (Chen et al. 2024, eq. 4.7) teaches it to prefer
the real text t of a prompt to one g that its former self wrote,

    -log sigmoid(beta (log P(t)/P_before(t) - log P(g)/P_before(g))),

which is ``pairs.bradley_terry`` of the logits below. Its gradient in log P(t) - log P(g) is
-beta sigmoid(-(d_t - d_g)); it vanishes in expectation at P = P_before = p_data.

DGSAN (Montahaei et al. 2021) teaches it to call t real and g generated, with beta = 1: the first GAN's loss of a
discriminator in closed form, D = P/(P + P_before). Here a logit's level counts; P = p_data is the optimum of both.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from mgan.game.pairs import PairLoss, bradley_terry


def implied_logits(logprobs: Tensor, before: Tensor, beta: float) -> Tensor:
    """[B]: beta (log P - log P_before) of whole completions. logprobs, before: [B, L], 0 off the mask; before constant.

    beta: how much of a log-ratio counts as evidence; 1 is the discriminator's own unit, less holds P near P_before.
    """
    return beta * (logprobs - before).sum(1)


def binary(real: Tensor, fake: Tensor) -> Tensor:
    """[P]: -log D(real) and the mean of -log(1 - D(fake)) over a prompt's texts. real: [P], fake: [P, N], logits."""
    return softplus(-real) + softplus(fake).mean(1)


SELF_PLAY_LOSSES: dict[str, PairLoss] = {"bradley_terry": bradley_terry, "binary": binary}
