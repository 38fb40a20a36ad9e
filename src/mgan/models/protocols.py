"""What a player must be able to do. Any ``torch.nn.Module`` that does it can play.

Shapes: B batch, L sequence length, V vocabulary. Rows are right-padded; what stands right of a position
never changes what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn


class State(Protocol):
    """What a generator remembers of the prefixes read so far, one entry a row.

    A value: neither ``select`` nor ``read`` changes it, so it may be read from again.
    """

    def select(self, index: Tensor) -> State:
        """The state of the chosen rows, in that order. index: [B'] int64."""
        ...


class Player(Protocol):
    """The part of ``nn.Module`` that training and checkpoints rely on."""

    training: bool

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...
    def train(self, mode: bool = True) -> Self: ...
    def eval(self) -> Self: ...
    def to(self, device: torch.device, /) -> Self: ...
    def requires_grad_(self, requires_grad: bool = True) -> Self: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations of one forward pass over one token (a multiply-add counts 2)."""
        ...


class Generator(Player, Protocol):
    """An autoregressive language model: a body that makes a feature of every prefix, and a linear output layer.

    They are apart so that nobody need hold the logits of a whole batch, [B, L, V], at once.
    """

    @property
    def output(self) -> nn.Linear:
        """[..., H] -> [..., V]: from a prefix's feature to the logits of the next token."""
        ...

    def features(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, L, H]: what the output layer reads, at every prefix."""
        ...

    def __call__(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, L, V]: logits of the *next* token after every prefix, ``output(features(tokens))``."""
        ...

    def start(self, rows: int) -> Any:
        """The state of ``rows`` sequences of which nothing has been read."""
        ...

    def state_size(self, length: int) -> int:
        """How many numbers the state of a row of ``length`` tokens holds."""
        ...

    def read(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read [B, T] more tokens. Returns the feature of the prefix that ends there, [B, H], and the new state."""
        ...


Choose = Callable[[Tensor], tuple[Tensor, bool]]
"""[B, V] logits of the next token -> [B] the token that each row goes on with, and whether any row does go on."""


@runtime_checkable
class Opaque(Protocol):
    """A generator that says logits and writes by itself, and shows neither features nor states.

    It may stand wherever text is sampled or its logprobs are asked for.

    difference: why it shows no more, as a clause.
    """

    difference: str

    def __call__(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, L, V]: logits of the next token after every prefix."""
        ...

    def write(self, tokens: Tensor, count: int, choose: Choose) -> None:
        """Read [B, T] tokens, then let ``choose`` say the next ones, at most ``count`` times; in the mode it is in."""
        ...

    @property
    def vocabulary(self) -> int:
        """V."""
        ...

    def state_size(self, length: int) -> int:
        """About how many numbers it remembers of a row of ``length`` tokens while it writes."""
        ...


@runtime_checkable
class ReadsSource(Protocol):
    """A generator of which an encoder reads the source whole, and a decoder what is written after it.

    A row is the source, which ends with the boundary, and what was written. ``features`` are those of the decoder,
    from the boundary on; before it they are 0. ``read`` is the decoder's: first ``begin``, then what is written.
    """

    @property
    def begin(self) -> tuple[int, ...]:
        """The tokens that the decoder reads before the first one of its own."""
        ...

    def source_length(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B]: tokens up to and with the first boundary of each row. Raises ValueError if a row has none."""
        ...

    def encode(self, sources: Tensor, length: Tensor) -> Any:
        """The state in which the decoder has read nothing. sources: [B, S], of which length [B] are tokens."""
        ...


@runtime_checkable
class SetsGoals(Protocol):
    """A generator of two parts: a manager reads a discriminator's features of the text so far and sets goals among
    them, a worker writes. The features are those of a copy that the generator holds.
    """

    @property
    def horizon(self) -> int:
        """Tokens that a goal is made for."""
        ...

    @property
    def manager(self) -> Player: ...

    @property
    def flops_per_guidance(self) -> int:
        """Operations of ``guidance`` over one token."""
        ...

    def guidance(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L] -> features [B, L, F], constants, and goals [B, L, F] with a gradient to the manager alone."""
        ...

    def leak(self, discriminator: Player) -> None:
        """Take over the discriminator's features as they are now."""
        ...


class Discriminator(Player, Protocol):
    """A text classifier that scores every prefix."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, L]: the logit d of each prefix; the whole text's stands at its last token."""
        ...

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B]: the whole text's logit alone, that of the last masked position. tokens, mask: [B, L]."""
        ...

    @property
    def flops_per_verdict(self) -> int:
        """Operations of one logit, a prefix's or a whole text's, beyond those of reading its tokens."""
        ...


@runtime_checkable
class SharesPrefixes(Protocol):
    """A discriminator that need not read again what texts have in common."""

    def verdict_of_rollouts(self, samples: Tensor, row: Tensor, given: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """[R]: as ``verdict(tokens, mask)`` of texts of which r begins with the first given[r] tokens of a sample.

        samples: [B, L']. row, given: [R]: the sample is samples[row[r]]. tokens, mask: [R, L].
        """
        ...


@runtime_checkable
class KeepsReal(Protocol):
    """A discriminator that keeps what it computes of real texts, if it is told which these are."""

    def know(self, rows: Iterable[Sequence[int]]) -> None:
        """rows: the tokens of real texts, as batches hold them, without padding."""
        ...


@runtime_checkable
class LearnsInPart(Protocol):
    """A player that reads with weights that are none of its parameters, as frozen features are."""

    @property
    def backward_per_forward(self) -> float:
        """Operations of a backward pass over a token as a multiple of ``flops_per_token``; 2 where all of it learns."""
        ...


class SoftDiscriminator(Discriminator, Protocol):
    """A discriminator that also judges what is no text but has the embeddings of one."""

    @property
    def embedding(self) -> nn.Embedding:
        """[...] -> [..., E]: all that it sees of a token."""
        ...

    def judge(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """[B, S]: S logits of every whole text; ``verdict`` is their mean. embedded: [B, L, E], mask: [B, L]."""
        ...


class Represents(SoftDiscriminator, Protocol):
    """One that also shows what its logit is made of."""

    def represent(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """[B, H]: what the last layer reads of every whole text. embedded: [B, L, E], mask: [B, L]."""
        ...
