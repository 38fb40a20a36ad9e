"""LeakGAN's generator: the leak, the equations, and what learns by what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mgan.fit.likelihood import imitation, nll
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.leakgan import GOAL, HORIZON, LeakGANGenerator
from mgan.models.logprobs import token_logprobs
from mgan.models.protocols import LearnsInPart, SetsGoals
from mgan.models.regularised import bound_layers
from mgan.models.seqgan import FEATURES, FILTERS, WIDTHS, SeqGANDiscriminator
from mgan.sampling.decode import Sampling, sample
from mgan.types import Batch, collate

VOCABULARY, HIDDEN, LENGTH = 13, 8, 24  # in which the widest window fits


def moved(network: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture
def generator() -> LeakGANGenerator:
    torch.manual_seed(0)
    return moved(LeakGANGenerator(VOCABULARY, HIDDEN, 1, 0.3))  # type: ignore[return-value]


@pytest.fixture
def rows() -> Tensor:
    return torch.randint(1, VOCABULARY, (5, LENGTH), generator=torch.Generator().manual_seed(1))


def features_of_every_prefix(discriminator: SeqGANDiscriminator, rows: Tensor) -> Tensor:
    """Each prefix by itself, BOS unread: a width's maxima over the windows that fit in, 0 where none does."""
    found = torch.zeros(*rows.shape, FEATURES)
    for length in range(2, rows.shape[1] + 1):
        embedded = discriminator.embedding(rows[:, 1:length]).transpose(1, 2)
        maxima = [
            conv(embedded).relu().amax(2) if width < length else torch.zeros(len(rows), filters)
            for width, filters, conv in zip(WIDTHS, FILTERS, discriminator.convolutions, strict=True)
        ]
        found[:, length - 1] = torch.cat(maxima, 1).detach()
    return found


@pytest.mark.parametrize("bounded", [False, True])
def test_what_leaks_is_what_the_discriminator_makes_of_every_prefix(
    generator: LeakGANGenerator, rows: Tensor, bounded: bool
) -> None:
    discriminator = moved(SeqGANDiscriminator(VOCABULARY, HIDDEN))
    if bounded:
        bound_layers(discriminator)
        discriminator.eval()
    expected = features_of_every_prefix(discriminator, rows)  # type: ignore[arg-type]
    assert not torch.allclose(generator.guidance(rows)[0], expected, atol=1e-3)
    generator.leak(discriminator)  # type: ignore[arg-type]
    assert torch.allclose(generator.guidance(rows)[0], expected, atol=1e-5)
    assert expected[:, 0].abs().max() == 0 and (expected[:, -1] > expected[:, 9]).any()


def test_the_leak_is_a_copy(generator: LeakGANGenerator, rows: Tensor) -> None:
    discriminator = moved(SeqGANDiscriminator(VOCABULARY, HIDDEN))
    generator.leak(discriminator)  # type: ignore[arg-type]
    before = generator(rows)
    moved(discriminator)
    assert torch.equal(generator(rows), before)


def test_the_logits_are_the_papers(generator: LeakGANGenerator, rows: Tensor) -> None:
    """O_t = reshape(W h_t + b) [V, k] times w_t = the normalised psi of the last c goals; a row, step by step."""
    said = generator(rows)
    features, _ = generator.guidance(rows)
    weight = generator.output.weight.view(VOCABULARY, HIDDEN + 1, GOAL)
    for row in range(2):
        goals: list[Tensor] = []
        manager = worker = None
        for t in range(LENGTH):
            hidden, manager = generator.manager.lstm(features[row, t][None, None], manager)
            raw = generator.manager.goal(hidden[0, 0])
            goals.append(raw / raw.norm())
            token = generator.worker.embedding(rows[row, t])[None, None]
            h, worker = generator.worker.lstm(token, worker)
            w = generator.psi.weight @ sum(goals[-HORIZON:])
            written = torch.einsum("vhk,h->vk", weight[:, :HIDDEN], h[0, 0]) + weight[:, HIDDEN]
            assert torch.allclose(written @ (w / w.norm()), said[row, t], atol=1e-5)


def test_the_logprobs_of_sampling_are_those_of_the_forward_pass(generator: LeakGANGenerator) -> None:
    prompts = collate([([1, 3], 2), ([1, 4, 5], 3), ([1], 1), ([1, 6], 2)], 0)
    samples = sample(generator, prompts, max_length=LENGTH, eos=2, pad=0, seed=3, sampling=Sampling(0.8))
    assert samples.logprobs is not None and int(samples.mask.sum()) > 20
    assert torch.allclose(token_logprobs(generator, samples.tokens, samples.mask, 0.8), samples.logprobs, atol=1e-5)


def test_each_part_learns_by_its_own_loss_and_the_copy_by_none(generator: LeakGANGenerator, rows: Tensor) -> None:
    mask = torch.ones_like(rows, dtype=torch.bool)
    mask[:, 0] = False
    batch = Batch(rows, mask, torch.ones(5, dtype=torch.long))

    def learning(loss: Tensor) -> set[str]:
        generator.zero_grad()
        loss.backward()
        found = {name for name, p in generator.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        return {name.partition(".")[0] for name in found}

    assert learning(nll(generator, batch)) == {"worker", "psi", "output"}
    beside = imitation(generator, batch)
    assert isinstance(beside, Tensor) and learning(beside) == {"manager"}
    assert {name.partition(".")[0] for name, p in generator.named_parameters() if not p.requires_grad} == {
        "embedding", "convolutions",
    }  # fmt: skip


def test_the_manager_goes_on_learning_in_eval_mode(generator: LeakGANGenerator) -> None:
    assert not generator.eval().training and generator.manager.lstm.training and generator.worker.lstm.training


def test_the_state_is_as_large_as_it_says(generator: LeakGANGenerator, rows: Tensor) -> None:
    _, state = generator.read(rows, generator.start(5))
    parts = [state.leak.window, state.leak.maxima, state.past]
    parts += [part for lstm in (state.manager, state.worker) for part in (lstm.hidden, lstm.cell)]
    assert 5 * generator.state_size(LENGTH) == sum(part.numel() for part in parts)


def test_an_update_pays_for_what_it_computes(generator: LeakGANGenerator) -> None:
    assert isinstance(generator, SetsGoals) and isinstance(generator, LearnsInPart)
    managing = generator.manager.flops_per_token
    seeing = generator.flops_per_guidance - managing
    writing = generator.flops_per_token - generator.flops_per_guidance
    # The worker's pass and its gradients, and a second look with the manager's.
    update = (seeing + managing + 3 * writing) + (seeing + 3 * managing)
    assert (1 + generator.backward_per_forward) * generator.flops_per_token == pytest.approx(update)


def test_a_saved_generator_is_whole(generator: LeakGANGenerator, rows: Tensor, tmp_path: Path) -> None:
    generator.leak(moved(SeqGANDiscriminator(VOCABULARY, HIDDEN)))  # type: ignore[arg-type]
    shape = Architecture("generator", "leakgan", VOCABULARY, HIDDEN, 1, 1, 0.3, False, LENGTH)
    save_player(tmp_path, generator, shape)
    loaded, _, _ = load_player(tmp_path)
    assert torch.equal(loaded(rows), generator(rows))
    assert functional.normalize(loaded.guidance(rows)[1], dim=-1).isfinite().all()
