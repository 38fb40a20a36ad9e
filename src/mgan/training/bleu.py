"""Sentence BLEU as the reward: all that the generator is paid in PG-BLEU, or a part of it beside a verdict."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mgan.data.rows import Rows
from mgan.evaluation.metrics.bleu import bleu_scores
from mgan.types import Batch

ORDER = 3
"""As in Texygen (Zhu et al. 2018), whose program pays BLEU-3."""
OWN_ORDER = 4
"""As of translations."""


def bleu_rewards(samples: Batch, train: Rows, eos: int | None, seed: int) -> Tensor:
    """[B], 0 to 1: the BLEU-3 of every completion against as many training texts, drawn with ``seed`` for all of them.

    Texygen draws 20 references for each batch. Against other references every round the expected reward is the same
    and no text can be learned by heart. A completion that ends at once earns nothing.
    """
    drawn = np.random.default_rng(seed).choice(len(train), min(len(samples), len(train)), replace=False)
    references = _texts(train.batch(drawn), eos)
    scores = bleu_scores(_texts(samples, eos), references, (ORDER,))[0]
    return torch.from_numpy(scores).float().to(samples.tokens.device)


def own_bleu(samples: Batch, own: Batch, group: Tensor, eos: int | None) -> Tensor:
    """[B], 0 to 1: the BLEU-4, in tokens, of every completion with the real text of its own prompt.

    own: [P, L'], the prompts' real texts. group: [B], which of them is each sample's.
    """
    written, references = _texts(samples, eos), _texts(own, eos)
    scores = [
        float(bleu_scores([text], [references[i]], (OWN_ORDER,))[0, 0])
        for text, i in zip(written, group.tolist(), strict=True)
    ]
    return torch.tensor(scores, device=samples.tokens.device)


def _texts(batch: Batch, eos: int | None) -> list[list[int]]:
    """The tokens of the completions, EOS left out."""
    rows = zip(batch.tokens.tolist(), batch.prompt_length.tolist(), batch.lengths.tolist(), strict=True)
    found = (tokens[start:end] for tokens, start, end in rows)
    return [text[:-1] if text and text[-1] == eos else text for text in found]
