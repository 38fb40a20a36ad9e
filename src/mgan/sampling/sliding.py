"""Texts longer than a generator's context, written as such texts are learned: in windows (``data.rows.windows``).

    P(x) = prod_t P(x_t | head, x_s .. x_(t-1))

where s is the beginning of t's window. The first window begins with the text; each further one, when the context is
full, with the quarter of a context before it. That product is also the likelihood that held-out texts in windows have.
What stands further back than the window is forgotten but for the head: BOS, a label, or an encoder's source.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import row_seeds, stream
from mgan.types import collate

CPU = torch.device("cpu")


def write(
    generator: Generator,
    head: list[int],
    prompt: list[int],
    *,
    places: Sequence[int],
    length: int,
    context: int,
    eos: int | None,
    pad: int,
    seed: int,
    sampling: Sampling,
    device: torch.device = CPU,
) -> list[list[int]]:
    """Completions of head and prompt, of at most ``length`` tokens, EOS included where they end with it.

    places: a number for each of them, which its random numbers hang on. device: the generator's.
    Up to the context they are those of ``sample`` with the same seed.
    """
    overlap = min(context // 4, (context - len(head)) // 2)
    texts: list[list[int]] = [[] for _ in places]
    going, start, done = list(range(len(places))), 0, 0
    while going and done < length:
        seeds = row_seeds(stream(seed, 2, start) if start else seed, max(places) + 1)[torch.tensor(places)]
        rows = [[*head, *[*prompt, *texts[i]][start:]] for i in going]
        batch = collate([(row, len(row)) for row in rows], pad).to(device)
        room = min(context, len(rows[0]) + length - done)
        written = sample(
            generator, batch, max_length=room, eos=eos, pad=pad, seeds=seeds[torch.tensor(going)], sampling=sampling
        )
        for i, tokens, mask in zip(going, written.tokens.tolist(), written.mask.tolist(), strict=True):
            texts[i] += [token for token, mine in zip(tokens, mask, strict=True) if mine]
        # All that go on have filled the same window.
        done += room - len(rows[0])
        going = [i for i in going if len(texts[i]) == done and texts[i][-1] != eos]
        start = len(prompt) + done - overlap
    return texts
