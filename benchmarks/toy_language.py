"""A language of 40 texts, a generator that is a table and a discriminator: small enough to sum over all texts.

A text is up to LONGEST tokens, the letters 1 to 3 and END; it stops at END or is cut. What the generator writes next
depends on the last token alone, the discriminator's opinion on the whole prefix. Nothing else in here is special: both
are players to every function of the library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mgan.game.signals import final
from mgan.game.values import discriminator_loss
from mgan.game.values import reverse_kl as payoff
from mgan.models.logprobs import token_logprobs
from mgan.sampling.decode import sample
from mgan.sampling.distribution import Sampling
from mgan.types import Batch, collate

END, LETTERS, LONGEST = 0, 3, 3
VOCABULARY, LENGTH = LETTERS + 1, LONGEST + 1


@dataclass(frozen=True)
class Place:
    """copy: [B], the table that writes each row."""

    copy: Tensor

    def select(self, index: Tensor) -> Place:
        return Place(self.copy[index])


class Table(nn.Module):
    """logits: [C, V, V], of the next token after each last one, in C copies; as many rows in turn belong to each.

    Every draw of an estimator has a copy, so that one backward pass gives the gradient of each draw.
    """

    flops_per_token = 1

    def __init__(self, logits: Tensor):
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.output = nn.Linear(VOCABULARY, VOCABULARY, bias=False).requires_grad_(False)
        nn.init.eye_(self.output.weight)

    def copies(self, count: int) -> Table:
        return Table(self.logits.detach().expand(count, -1, -1).clone())

    def moved(self, step: Tensor) -> Table:
        return Table(self.logits.detach() + step)

    def features(self, tokens: Tensor) -> Tensor:
        return self.logits[self.start(len(tokens)).copy[:, None], tokens]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> Place:
        # Of one copy any number of rows, of several a multiple.
        return Place(torch.arange(rows) * len(self.logits) // rows)

    def state_size(self, length: int) -> int:
        return 1

    def read(self, tokens: Tensor, state: Place) -> tuple[Tensor, Place]:
        return self.logits[state.copy, tokens[:, -1]], state


class Opinion(nn.Module):
    """A recurrent network: a logit of every prefix, of hard texts and of soft ones."""

    flops_per_token = 1
    flops_per_verdict = 0

    def __init__(self, hidden: int = 8):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, hidden)
        self.body = nn.GRU(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(self.embedding(tokens))[0]).squeeze(-1)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return final(self(tokens), mask)

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self.head(final(self.body(embedded)[0], mask))


def language() -> Batch:
    """All 40 texts."""
    letters = range(1, VOCABULARY)
    bodies = [body for n in range(LONGEST + 1) for body in itertools.product(letters, repeat=n)]
    rows = [([END, *body] if len(body) == LONGEST else [END, *body, END], 1) for body in bodies]
    return collate(rows, END)


ALL = language()


def prompts(rows: int) -> Batch:
    """Nothing but the beginning, which END stands for."""
    return Batch(
        torch.zeros(rows, 1, dtype=torch.long), torch.zeros(rows, 1, dtype=torch.bool), torch.ones(rows).long()
    )


def draw(generator: Table, rows: int, seed: int, temperature: float = 1.0, given: Batch | None = None) -> Batch:
    return sample(
        generator, prompts(rows) if given is None else given, max_length=LENGTH, eos=END, pad=END, seed=seed,
        sampling=Sampling(temperature),
    )  # fmt: skip


def probability(generator: Table) -> Tensor:
    """[40]: P of every text, with a gradient."""
    return token_logprobs(generator, ALL.tokens, ALL.mask).double().sum(1).exp()


def taught(discriminator: Opinion, data: Table, generator: Table, steps: int = 300) -> Opinion:
    """The discriminator, near the best for every prefix: by descent on the loss summed over all texts."""
    real, fake = (probability(player).detach()[:, None] * ALL.mask for player in (data, generator))
    discriminator.requires_grad_(True)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = discriminator(ALL.tokens)
        discriminator_loss(logits, real, logits, fake).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return discriminator.requires_grad_(False).eval()


def expected(generator: Table, earned: Tensor) -> Tensor:
    """[40, L]: what texts with the same prefix earn on average, at every prefix. earned: [40]."""
    number = torch.zeros_like(ALL.tokens[:, 0])
    worth = torch.zeros(ALL.tokens.shape, dtype=torch.float64)
    chance = probability(generator).detach()
    for i in range(ALL.tokens.shape[1]):
        number = number * (VOCABULARY + 1) + torch.where(ALL.mask[:, i], ALL.tokens[:, i] + 1, 0)
        same = (number[:, None] == number).double() * chance
        worth[:, i] = (same @ earned.double()) / same.sum(1)
    return worth


def worth_of_actions(generator: Table, earned: Tensor, samples: Batch) -> Tensor:
    """[B, L, V]: Q, what a text is expected to earn that has the prefix before a position and then each token."""
    worth = expected(generator, earned)
    found = torch.zeros(*samples.tokens.shape, VOCABULARY, dtype=torch.float64)
    for i in range(1, samples.tokens.shape[1]):
        here = samples.mask[:, i]
        for action in range(VOCABULARY):
            wanted = torch.cat([samples.tokens[here, :i], torch.full((int(here.sum()), 1), action)], 1)
            match = (wanted[:, None] == ALL.tokens[:, : i + 1]).all(2) & ALL.mask[:, i]
            found[here, i, action] = worth[match.int().argmax(1), i]
    return found


def ended(tokens: Tensor, length: Tensor) -> Tensor:
    """[B]: whether prefixes of so many tokens are whole texts. tokens: [B, L], length: [B]."""
    last = tokens.gather(1, length[:, None] - 1).squeeze(1)
    return (length == LENGTH) | (last == END)


def gradients(generator: Table, draws: int, loss: Callable[[Table], Tensor]) -> Tensor:
    """[draws, V, V]: the ascent of every draw; its rows are the ones of its copy."""
    copies = generator.copies(draws)
    return -torch.autograd.grad(loss(copies), copies.logits)[0].double()


@dataclass(frozen=True)
class Players:
    generator: Table
    discriminator: Opinion

    @classmethod
    def at(cls, seed: int) -> Players:
        torch.manual_seed(seed)
        data, generator = (Table(torch.randn(1, VOCABULARY, VOCABULARY)) for _ in range(2))
        return cls(generator, taught(Opinion(), data, generator))

    def earned(self) -> Tensor:
        """[40]: what every text is paid."""
        return payoff(self.discriminator.verdict(ALL.tokens, ALL.mask)).double()

    def exact(self) -> Tensor:
        """[V, V]: the gradient of the expected payoff."""
        (found,) = torch.autograd.grad(probability(self.generator) @ self.earned(), self.generator.logits)
        return found[0].double()

    def exact_likelihood(self) -> Tensor:
        """[V, V]: of the likelihood of the texts that D says are real, P e^d: what MaliGAN is after."""
        chance = probability(self.generator)
        real = (chance.detach() * self.earned().exp()) / (chance.detach() @ self.earned().exp())
        (found,) = torch.autograd.grad(real @ chance.log(), self.generator.logits)
        return found[0].double()

    def later(self) -> Players:
        """After a few steps on one batch: what PPO's second epoch meets."""
        slope = self.exact()
        return Players(self.generator.moved(0.3 * (slope / slope.norm()).float()), self.discriminator)
