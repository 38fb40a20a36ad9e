"""Monte-Carlo rollouts: a prefix is worth what its completions earn (SeqGAN; Yu et al. 2017, eq. 4).

    Q_i = mean over N completions y of x_<=i, drawn from the generator, of payoff(d(y));   Q_last = payoff(d(x))

All rollouts of all positions advance together, a token at a time, beside the samples they begin with (the spine): a
prefix is read once, its rollouts fork from the spine's state, and their first tokens come from one distribution.

Memory: rollouts are written and judged in waves of as many as fit into a budget, whatever the number of samples,
rollouts and positions. A wave holds the tokens of its rollouts and the states of rollouts and spine, twice while rows
are chosen. Besides there are a chunk of logits, what the discriminator holds, and a few numbers a position of a sample.
The waves change nothing: every rollout draws its numbers by a seed of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mgan.game.values import Payoff
from mgan.models.latent import started
from mgan.models.protocols import Discriminator, Generator, Opaque, ReadsSource, SharesPrefixes, State
from mgan.sampling.conditional import Shift
from mgan.sampling.decode import sample
from mgan.sampling.distribution import UNFILTERED, Sampling
from mgan.sampling.projection import next_tokens
from mgan.sampling.uniforms import child_seeds, row_seeds, uniforms
from mgan.types import Batch, pad_to

JUDGED = 256


@dataclass(frozen=True)
class Plan:
    """count: N, rollouts a position. max_length, eos, pad, sampling: as in ``sample``. budget: bytes of a wave."""

    count: int
    max_length: int
    eos: int | None
    pad: int
    sampling: Sampling = UNFILTERED
    budget: int = 2**28


@dataclass(frozen=True)
class Rollouts:
    """Completions: text r begins with sample row[r] up to and with position[r]. texts: R rows; row, position: [R]."""

    texts: Batch
    row: Tensor
    position: Tensor


@dataclass(frozen=True)
class Values:
    """values: [B, L], Q_i at the samples' masked positions and 0 elsewhere. verdicts: [B], the samples' own logits.

    written: tokens that the generator drew, with the prefixes before them if it is opaque, as it reads these again.
    judged: tokens that the discriminator read. texts: how many it judged.
    """

    values: Tensor
    verdicts: Tensor
    written: int
    judged: int
    texts: int


@torch.no_grad()
def rollout_values(
    generator: Generator, discriminator: Discriminator, samples: Batch, payoff: Payoff, plan: Plan, seed: int
) -> Values:
    """What each prefix of the samples is worth. Both players in eval mode, and left in the mode they were in."""
    modes = [(player, player.training) for player in (generator, discriminator)]
    for player, _ in modes:
        player.eval()
    try:
        total = torch.zeros(samples.mask.shape, dtype=torch.float64, device=samples.mask.device)
        whole = torch.cat([discriminator.verdict(some.tokens, some.mask) for some in _split(samples)]).float()
        total[torch.arange(len(samples)), samples.lengths - 1] = payoff(whole).double()
        written, judged, texts = 0, int(samples.lengths.sum()), len(samples)
        for wave in waves(generator, samples, plan, seed):
            paid = payoff(_verdicts(discriminator, samples, wave).float())
            total.index_put_((wave.row, wave.position), paid.double() / plan.count, accumulate=True)
            tokens = int(wave.texts.lengths.sum())
            forked = 0 if isinstance(generator, Opaque) else int((wave.position + 1).sum())
            written, judged = written + tokens - forked, judged + tokens
            texts += len(wave.row)
    finally:
        for player, training in modes:
            player.train(training)
    return Values(total.float(), whole, written, judged, texts)


@torch.no_grad()
def waves(generator: Generator, samples: Batch, plan: Plan, seed: int) -> Iterator[Rollouts]:
    """N completions of every sample after each masked position but its last, a wave at a time; in eval mode."""
    if not isinstance(generator, ReadsSource):
        # What is written goes on from the sample's own z.
        start = None if samples.latent is None else started(generator, len(samples), samples.latent)
        yield from _waves(generator, samples, plan, seed, generator.state_size(plan.max_length), start)
        return
    shift = Shift.of(generator, samples.tokens)
    longest = replace(plan, max_length=plan.max_length - int(shift.by.min()))
    size = generator.state_size(longest.max_length + int(shift.length.max()))
    for wave in _waves(generator, shift.apart(samples), longest, seed, size, shift.encode(generator)):
        own = shift.select(wave.row)
        texts = own.behind_sources(wave.texts, plan.max_length, plan.pad)
        yield Rollouts(texts, wave.row, wave.position + own.by)


def _waves(
    generator: Generator, samples: Batch, plan: Plan, seed: int, size: int, sources: State | None = None
) -> Iterator[Rollouts]:
    """size: numbers of a row's state. sources: the samples' states before anything is read, if these know something:
    an encoder's source, or the noise they were written from.
    """
    forks = (samples.mask[:, :-1] & samples.mask[:, 1:]).nonzero()
    if not len(forks):
        return
    row_bytes = 9 * plan.max_length + 8 * size
    fit = max(1, plan.budget // (2 * row_bytes))  # at most half of the rows are spine
    together = min(plan.count, fit)
    seeds = row_seeds(seed, len(samples) * plan.max_length).view(len(samples), plan.max_length)
    for some in torch.split(forks, max(1, fit // together)):
        row, position = some[some[:, 1].argsort(stable=True)].unbind(1)
        for numbers in torch.split(torch.arange(plan.count), together):
            own = child_seeds(seeds[row.cpu(), position.cpu()], numbers).to(row.device)
            yield _complete(generator, samples, row, position, own, plan, sources)


def _complete(
    generator: Generator, samples: Batch, row: Tensor, position: Tensor, seeds: Tensor, plan: Plan,
    sources: State | None,
) -> Rollouts:  # fmt: skip
    """Completions of F prefixes. row, position: [F], positions in rising order. seeds: [F, N], one a rollout."""
    count, device = seeds.shape[1], row.device
    first = int(position[0])
    origin, given, seeds = row.repeat_interleave(count), position.repeat_interleave(count), seeds.flatten()
    kept = torch.arange(plan.max_length, device=device) <= given[:, None]
    samples = pad_to(samples, plan.max_length, plan.pad)
    tokens = torch.where(kept, samples.tokens[origin], plan.pad)
    mask = kept & samples.mask[origin]
    if isinstance(generator, Opaque):
        prefixes = Batch(tokens, torch.zeros_like(kept), given + 1)
        drawn = sample(
            generator, prefixes, max_length=plan.max_length, eos=plan.eos, pad=plan.pad, seeds=seeds,
            sampling=plan.sampling,
        )  # fmt: skip
        drawn = pad_to(drawn, plan.max_length, plan.pad)
        return Rollouts(Batch(drawn.tokens, mask | drawn.mask, samples.prompt_length[origin]), origin, given)
    until = torch.zeros_like(samples.prompt_length).scatter_reduce(0, row, position, "amax")

    spine, running = torch.unique(row), origin[:0]
    state = generator.start(len(spine)) if sources is None else sources.select(spine)
    feature, state = generator.read(samples.tokens[spine, : first + 1], state)
    begun = 0

    def draw(features: Tensor, numbers: Tensor) -> Tensor:
        return next_tokens(generator.output, features, numbers, plan.sampling)

    for i in range(first, plan.max_length - 1):
        # The rows of ``feature``: the spine, then the rollouts under way; all have read token i.
        source = torch.searchsorted(spine, row[position == i])
        new = torch.arange(begun, begun + count * len(source), device=device)
        begun += len(new)
        going_on = draw(feature[len(spine) :], uniforms(seeds[running], 1, i + 1))
        setting_out = draw(feature[source], uniforms(seeds[new], 1, i + 1).view(-1, count))
        writing, token = torch.cat([running, new]), torch.cat([going_on.flatten(), setting_out.flatten()])
        tokens[writing, i + 1], mask[writing, i + 1] = token, True
        if i + 2 == plan.max_length:
            break
        going = torch.ones_like(token, dtype=torch.bool) if plan.eos is None else token != plan.eos
        needed = until[spine] > i
        parent = torch.cat([torch.arange(len(spine), len(feature), device=device), source.repeat_interleave(count)])
        chosen = torch.cat([needed.nonzero().squeeze(1), parent[going]])
        if not len(chosen):
            break
        spine, running = spine[needed], writing[going]
        read = torch.cat([samples.tokens[spine, i + 1], token[going]])
        feature, state = generator.read(read[:, None], state.select(chosen))
    return Rollouts(Batch(tokens, mask, samples.prompt_length[origin]), origin, given)


def _verdicts(discriminator: Discriminator, samples: Batch, wave: Rollouts) -> Tensor:
    """[R]: the discriminator's logit of every completed text."""
    texts = wave.texts
    if isinstance(discriminator, SharesPrefixes):
        used, row = torch.unique(wave.row, return_inverse=True)
        return discriminator.verdict_of_rollouts(samples.tokens[used], row, wave.position + 1, texts.tokens, texts.mask)
    return torch.cat([discriminator.verdict(some.tokens, some.mask) for some in _split(texts)])


def _split(batch: Batch) -> Iterator[Batch]:
    return (batch.rows(slice(i, i + JUDGED)) for i in range(0, len(batch), JUDGED))
