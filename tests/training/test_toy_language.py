"""The game against mathematics: a language so small that every divergence is a sum over all its texts.

The texts are 1 to 4 symbols of a "sticky" Markov chain over a, b and c. What the players learn from is a sample of it,
and that sample's own distribution is what the game is held to: then nothing but the game's noise is left to explain.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mgan.config import Config, Tokenizer
from mgan.data.readers import Example
from mgan.data.rows import Rows, encode
from mgan.data.tokenizers import train
from mgan.fit.hardware import Hardware
from mgan.game.values import PAYOFFS
from mgan.training.adversarial import AdversarialGame
from mgan.training.world import Alphabet, World

SYMBOLS, LONGEST, TEXTS = "abc", 4, 4000
LANGUAGE = ["".join(text) for n in range(1, LONGEST + 1) for text in itertools.product(SYMBOLS, repeat=n)]
FIRST, STAY, END = {"a": 0.6, "b": 0.25, "c": 0.15}, 0.95, 0.2
TOKENIZER = train(LANGUAGE, Tokenizer(kind="char", vocabulary=16, min_frequency=1))
IDS = [TOKENIZER.eos, *(TOKENIZER.encode(symbol)[0] for symbol in SYMBOLS)]
"""What may follow: the end, then the symbols."""


def rows_of(texts: list[str]) -> Rows:
    return encode([Example("", text) for text in texts], TOKENIZER, context=8)


ALL = rows_of(LANGUAGE).batch(range(len(LANGUAGE)))


def chain() -> Tensor:
    """[T] float64: the probability of every text of LANGUAGE."""

    def probability(text: str) -> float:
        moves = [STAY if a == b else (1 - STAY) / 2 for a, b in itertools.pairwise(text)]
        ends = END if len(text) < LONGEST else 1.0
        return FIRST[text[0]] * float(np.prod([move * (1 - END) for move in moves])) * ends

    return torch.tensor([probability(text) for text in LANGUAGE], dtype=torch.float64)


def drawn(p: Tensor, texts: int, seed: int) -> Tensor:
    """[T] float64: the distribution of a sample of ``texts`` texts."""
    return torch.tensor(np.random.default_rng(seed).multinomial(texts, p.numpy()) / texts)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


@dataclass(frozen=True)
class Place:
    """How many tokens have been read: the same of every row."""

    read: int

    def select(self, index: Tensor) -> Place:
        return self


class TabularGenerator(nn.Module):
    """The next symbol by a table: of the last token (``memory``), or the same whatever came before.

    No text is empty and none is longer than LONGEST, as in the language.
    """

    flops_per_token = 1

    def __init__(self, memory: bool):
        super().__init__()
        self.memory = memory
        self.table = nn.Parameter(torch.zeros(TOKENIZER.vocabulary_size if memory else 1, len(IDS)))

    def forward(self, tokens: Tensor) -> Tensor:
        return self._after(tokens, torch.arange(tokens.shape[1]).expand_as(tokens))

    def start(self, rows: int) -> Place:
        return Place(0)

    def read(self, tokens: Tensor, state: Place) -> tuple[Tensor, Place]:
        read = state.read + tokens.shape[1]
        return self._after(tokens[:, -1], torch.full(tokens.shape[:1], read - 1)), Place(read)

    def _after(self, last: Tensor, symbols: Tensor) -> Tensor:
        """[...] last token, [...] symbols so far -> [..., V]."""
        allowed = self.table[last if self.memory else torch.zeros_like(last)]
        end = torch.arange(len(IDS)) == 0
        forbidden = torch.where(end, (symbols == 0)[..., None], (symbols >= LONGEST)[..., None])
        logits = allowed.new_full((*last.shape, TOKENIZER.vocabulary_size), -1e9)
        logits[..., IDS] = allowed.masked_fill(forbidden, -1e9)
        return logits

    def distribution(self) -> Tensor:
        """[T] float64: P of every text of LANGUAGE, with a gradient."""
        batch = ALL
        logits = self(batch.tokens)[:, :-1].double().log_softmax(-1)
        logprobs = logits.gather(-1, batch.tokens[:, 1:, None]).squeeze(-1)
        return (logprobs * batch.mask[:, 1:]).sum(1).exp()


class TabularDiscriminator(nn.Module):
    """A logit of its own for every prefix: whatever the optimal discriminator says, it can say."""

    flops_per_token = 1

    def __init__(self) -> None:
        super().__init__()
        digits = torch.zeros(TOKENIZER.vocabulary_size, dtype=torch.long)
        digits[IDS] = torch.arange(len(IDS))
        self.register_buffer("digits", digits)
        self.table = nn.Embedding(len(IDS) ** (LONGEST + 1), 1)
        nn.init.zeros_(self.table.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        digits, number = self.digits[tokens], torch.zeros_like(tokens[:, 0])  # type: ignore[index]
        numbers = []
        for i in range(tokens.shape[1]):
            number = number * len(IDS) + digits[:, i]
            numbers.append(number)
        return self.table(torch.stack(numbers, 1)).squeeze(-1)


def fitted(memory: bool, divergence: Callable[[Tensor], Tensor]) -> TabularGenerator:
    """The generator with the smallest divergence, found by exact descent."""
    generator = TabularGenerator(memory)
    optimizer = torch.optim.LBFGS(generator.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = divergence(generator.distribution())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return generator


def play(start: TabularGenerator, reference: TabularGenerator, data: Tensor, rounds: int, **overrides: Any) -> Tensor:
    """[T]: the distribution of the generator's moving average after the game."""
    settings = Config.model_validate(
        {
            "device": "cpu",
            "seed": overrides.pop("seed", 0),
            "generator": {"context": 8},
            "game": overrides.pop("game"),
            "adversarial": {"evaluate_every": 10**9, **overrides},
            "equilibrium": {"window": 10**9},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
        }
    )
    counts = (data * TEXTS).round().int().tolist()
    texts = rows_of([text for text, count in zip(LANGUAGE, counts, strict=True) for _ in range(count)])
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    world = World(settings, Hardware("cpu"), alphabet, texts, texts, texts, start, TabularDiscriminator())
    world.keep("pretrained", reference)
    game = AdversarialGame(world, "adversarial", settings.adversarial.reward, rounds)
    for i in range(rounds):
        game.step()
        if i % 25 == 24 and TRACE: TRACE(i, game)
    return game.average.module.distribution().detach()

TRACE = None
