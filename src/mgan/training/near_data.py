"""Moves by the likelihood of texts near the data (game.signal=near_data; ARAML, Ke et al. 2019).

    t ~ data,  x ~ P_s(t)          some tokens of t replaced by what the pre-trained generator expects there
    W = e^(R(x)/alpha) / sum       R: what D's verdict on x pays, over the whole batch
    G up    sum W log P(x)
    D up    real against G's own texts, as in any game

G never learns from its own samples, so its gradient has no reward's variance; they are what it is watched by, and what
D learns from. With adversarial.order=interleaved one set of them serves both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.fit.classifier import verdicts
from mgan.fit.compute import Ledger
from mgan.game.losses import PAYOFFS
from mgan.game.near_data import choose, replaced_share, sample_weights
from mgan.models.protocols import Discriminator, Generator, Opaque
from mgan.sampling.uniforms import row_seeds, stream, uniforms
from mgan.training.lessons import Drawn, Lessons
from mgan.training.players import GeneratorUpdate, logprobs_of
from mgan.training.signal import Judged, Update
from mgan.training.world import Alphabet, World
from mgan.types import Batch

CHUNK = 1024
"""Tokens that are replaced at once: their logits are [CHUNK, V]."""


class NearData:
    """The moves of a generator that learns from altered real texts."""

    def __init__(self, world: World, settings: Adversarial, ledger: Ledger, lessons: Lessons, reference: Generator):
        self.world, self.settings, self.ledger = world, settings, ledger
        self.lessons, self.reference, self.game = lessons, reference, world.settings.game
        self.update_generator = GeneratorUpdate(world.generator, settings, self.game, world.hardware, ledger)

    def draw(self, prompts: Batch, group: Tensor, seed: int, round: int, for_generator: bool) -> Drawn:
        return Drawn.of(self.world.write(self.world.generator, prompts, seed), prompts, group)

    def update(self, discriminator: Discriminator) -> Update:
        return self.lessons.update(discriminator)

    def judge(self, drawn: Drawn, real: Batch, seed: int, round: int) -> Judged:
        """D's verdict on G's texts is for the statistics; G learns from the texts that its prompts began."""
        near = near_data(drawn.own.rows(drawn.group), self.reference, self.game.tau, self.world.alphabet, seed)
        self.ledger.forward(self.reference, near.tokens.numel())
        found = []
        for batch in (near, drawn.samples):
            self.ledger.judged(self.world.discriminator, batch.tokens.numel(), len(batch))
            found.append(verdicts(self.world.discriminator, batch))
        rewards = PAYOFFS[self.game.value](found[0])
        share = sample_weights(rewards, self.game.alpha)
        anchor = logprobs_of(self.reference, drawn.samples, self.settings, self.ledger)
        assert drawn.samples.logprobs is not None
        metrics = {
            "reward": float(rewards.mean()),
            "effective_texts": float(1 / (share**2).sum()),
            "kl": float((drawn.samples.logprobs - anchor).sum(1).mean()),
        }
        # The update takes a mean over texts.
        weights = torch.where(near.mask, len(near) * share[:, None], 0.0)
        return Judged(found[1], metrics, lambda: self.update_generator(near, weights, real))

    def state_dict(self) -> dict[str, Any]:
        return {"generator_optimizer": self.update_generator.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update_generator.optimizer.load_state_dict(state["generator_optimizer"])


@torch.no_grad()
def near_data(texts: Batch, reference: Generator, tau: float, alphabet: Alphabet, seed: int) -> Batch:
    """A draw of P_s from each row: completion tokens replaced with ``replaced_share``, EOS never.

    A substitute is drawn from what the reference expects after the *real* beginning, without the token itself and what
    no text contains.
    """
    seeds = row_seeds(seed, len(texts)).to(texts.tokens.device)
    width = texts.tokens.shape[1]
    open_ = texts.mask if alphabet.eos is None else texts.mask & (texts.tokens != alphabet.eos)
    row, place = torch.nonzero(open_ & (uniforms(seeds, width) < replaced_share(tau, alphabet.size)), as_tuple=True)
    which = uniforms(row_seeds(stream(seed, 1), len(texts)).to(seeds.device), width)[row, place]
    tokens = texts.tokens.clone()
    body = reference(texts.tokens) if isinstance(reference, Opaque) else reference.features(texts.tokens)
    for some in torch.split(torch.arange(len(row), device=row.device), CHUNK):
        before = body[row[some], place[some] - 1]
        logits = before if isinstance(reference, Opaque) else reference.output(before)
        was = texts.tokens[row[some], place[some]]
        tokens[row[some], place[some]] = choose(logits.float(), _forbidden(was, logits, alphabet), which[some])
    return replace(texts, tokens=tokens)


def _forbidden(was: Tensor, logits: Tensor, alphabet: Alphabet) -> Tensor:
    """[N, V]: the token itself, and the marks, which no text contains. was: [N]."""
    forbidden = torch.zeros_like(logits, dtype=torch.bool)
    marks = {alphabet.eos, *(alphabet.tokenizer.never if alphabet.tokenizer else (alphabet.pad,))}
    forbidden[:, [mark for mark in marks if mark is not None]] = True
    return forbidden.scatter(1, was[:, None], True)
