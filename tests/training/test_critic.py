"""The value head: what it foresees, what it leaves alone, what it remembers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from mgan.fit.compute import Ledger
from mgan.models.lstm import LSTMGenerator
from mgan.sampling.decode import sample
from mgan.training.critic import Critic, explained_variance
from mgan.types import Batch, collate

PAD, BOS, EOS, V = 0, 1, 2, 8


def player() -> LSTMGenerator:
    torch.manual_seed(0)
    return LSTMGenerator(V, 16, dropout=0.5)


def samples(by: LSTMGenerator, seed: int) -> Batch:
    prompts = collate([([BOS, *[3 + i % 5] * (i % 3)], 1 + i % 3) for i in range(64)], PAD)
    return sample(by, prompts, max_length=10, eos=EOS, pad=PAD, seed=seed)


def returns(batch: Batch) -> Tensor:
    """[B, L]: what the token before decides, so a prefix tells it and the token itself does not."""
    before = torch.nn.functional.pad(batch.tokens[:, :-1], (1, 0)).float()
    return torch.where(batch.mask, 3.0 + before, 0.0)


def test_it_foresees_what_prefixes_tell_and_the_generator_learns_nothing() -> None:
    generator = player()
    weights = copy.deepcopy(generator.state_dict())
    ledger = Ledger()
    critic = Critic(generator, ledger)
    found = []
    for n in range(3):
        batch = samples(generator, n)
        features = critic.features(batch)
        values = critic.values(features, batch.mask)
        found.append(explained_variance(values[batch.mask], returns(batch)[batch.mask]))
        assert (values[~batch.mask] == 0).all()
        critic.learn(features, returns(batch)[batch.mask])
    assert found[0] == pytest.approx(0, abs=1e-6) and found[-1] > 0.8
    assert all(torch.equal(weights[name], tensor) for name, tensor in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())
    assert ledger.flops > 0 and ledger.tokens == 0


def test_a_value_reads_the_text_before_its_token_only() -> None:
    generator = player()
    critic = Critic(generator, Ledger())
    batch = samples(generator, 0)
    features = critic.features(batch, micro_batches=3)
    critic.learn(features, torch.randn(len(features), generator=torch.Generator().manual_seed(0)))
    position = torch.arange(batch.tokens.shape[1])
    last = batch.mask & (position == batch.lengths[:, None] - 1)
    changed = Batch(torch.where(last, 3, batch.tokens), batch.mask, batch.prompt_length)
    ours, theirs = (critic.values(critic.features(of), of.mask) for of in (batch, changed))
    assert ours.abs().max() > 0.01 and torch.equal(ours, theirs)


def test_newer_returns_count_more() -> None:
    generator = player()
    critic = Critic(generator, Ledger())
    batch = samples(generator, 0)
    features = critic.features(batch)
    for value in (0.0, 1.0):
        critic.learn(features, torch.full((len(features),), value))
    found = critic.values(features, batch.mask)[batch.mask].mean()
    assert float(found) == pytest.approx(1 / 1.9, abs=0.01)


def test_it_goes_on_from_what_it_saved() -> None:
    generator = player()
    critic, again = Critic(generator, Ledger()), Critic(generator, Ledger())
    batch = samples(generator, 0)
    features = critic.features(batch)
    critic.learn(features, returns(batch)[batch.mask])
    again.load_state_dict(copy.deepcopy(critic.state_dict()))
    for some in (critic, again):
        some.learn(features, -returns(batch)[batch.mask])
    assert torch.equal(critic.values(features, batch.mask), again.values(features, batch.mask))
