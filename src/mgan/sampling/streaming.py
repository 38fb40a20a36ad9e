"""One text as it is written: its tokens one by one, and pieces of text that are never half a character."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from mgan.models.latent import started
from mgan.models.protocols import Generator, Opaque, ReadsSource
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.distribution import draw_tokens
from mgan.sampling.latent import latent_of
from mgan.sampling.uniforms import row_seeds, uniforms
from mgan.types import collate

HALF = "\ufffd"
"""What bytes decode to that are no character, or not yet."""


@torch.no_grad()
def tokens(
    generator: Generator,
    prompt: Sequence[int],
    *,
    max_length: int,
    eos: int | None,
    pad: int,
    seed: int = 0,
    sampling: Sampling,
) -> Iterator[int]:
    """The tokens behind ``prompt``, EOS included, as ``decode.sample`` draws them for a batch of this row alone.

    They come as they are drawn, but for encoder-decoders and generators that write by themselves: of these all at once.
    """
    if isinstance(generator, Opaque | ReadsSource):
        row = collate([(list(prompt), len(prompt))], pad)
        written = sample(generator, row, max_length=max_length, eos=eos, pad=pad, seed=seed, sampling=sampling)
        yield from written.tokens[0, written.mask[0]].tolist()
        return
    was_training = generator.training
    generator.eval()
    try:
        device = next(iter(generator.parameters())).device
        seeds = row_seeds(seed, 1)
        precise = torch.float32 if device.type == "mps" else torch.float64
        numbers = uniforms(seeds, max_length).to(precise).to(device)
        state = started(generator, 1, latent_of(generator, seeds))
        read = torch.tensor([list(prompt)], device=device)
        for i in range(len(prompt), max_length):
            feature, state = generator.read(read, state)
            token, _ = draw_tokens(generator.output(feature), numbers[:, i], sampling)
            yield int(token)
            if int(token) == eos:
                return
            read = token[:, None]
    finally:
        generator.train(was_training)


def pieces(ids: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """What each token adds to the text that ``decode`` makes of all so far; together that of them all.

    A token that ends within a character adds nothing until the character is whole. White space at the beginning comes
    with what stands behind it: a text of nothing else is never begun.
    """
    read: list[int] = []
    text, shown = "", 0
    for token in ids:
        read.append(token)
        text = decode(read)
        ready = len(text.rstrip(HALF))
        if ready > shown and text[:ready].strip():
            yield text[shown:ready]
            shown = ready
    if text.strip() and shown < len(text):
        yield text[shown:]
