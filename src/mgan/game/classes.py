"""The value function of labelled texts: k classes of real texts, one a label, and one of generated texts.

D = softmax(z) over k + 1 classes maximises E_real[log D_label(t)] + E_G[log D_generated(g)] (Wang & Wan 2018; the form
is that of Salimans et al. 2016, section 5). Of a text x alone the optimum is

    D_j(x) = p(j, x) / (p(x) + P(x)),        p(x) = sum_j p(j, x),  P(x) = sum_j P(j, x)

so what a text is said to be worth as one of label j is the probability that it is real and of that label.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def own_logit(logits: Tensor, label: Tensor) -> Tensor:
    """[...]: d = log D_j / (1 - D_j), j the label. logits: [..., k + 1], the last one of generated; label: [...]."""
    own = one_hot(label, logits.shape[-1]).bool()
    return logits.masked_fill(~own, 0.0).sum(-1) - logits.masked_fill(own, float("-inf")).logsumexp(-1)


def class_loss(real: Tensor, label: Tensor, fake: Tensor) -> Tensor:
    """-(log D_label(real) + log D_generated(fake)), summed. real: [B, k + 1], label: [B]; fake: [B', k + 1]."""
    generated = label.new_full((len(fake),), fake.shape[1] - 1)
    return cross_entropy(real, label, reduction="sum") + cross_entropy(fake, generated, reduction="sum")
