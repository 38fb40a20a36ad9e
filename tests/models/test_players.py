"""What every player must do, whatever its architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mgan import config
from mgan.models.build import Architecture, build_discriminator, build_generator
from mgan.models.lstm import copy_where_shapes_agree

VOCABULARY, CONTEXT, PAD = 13, 24, 0  # in which the widest window of every architecture fits


def build(role: str, architecture: str, **changes: Any) -> Any:
    """A player in eval mode whose every weight, the discriminator's head included, has been moved."""
    shape = {
        "vocabulary": VOCABULARY, "hidden": 8, "layers": 2, "heads": 2, "dropout": 0.3, "tied": True,
        "context": CONTEXT,
    }  # fmt: skip
    torch.manual_seed(0)
    player = Architecture(role=role, architecture=architecture, **(shape | changes)).build()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in player.parameters():
            parameter.add_(min(0.2, parameter[0].numel() ** -0.5) * torch.randn_like(parameter))
    return player.eval()


GENERATORS = ("lstm", "relational", "leakgan", "transformer")
DISCRIMINATORS = ("lstm", "cnn", "seqgan", "relgan", "transformer")
PLAYERS = [("generator", a) for a in GENERATORS] + [("discriminator", a) for a in DISCRIMINATORS]
START_UNREAD = ("seqgan", "relgan")
"""Discriminators that do not read BOS, as the published networks have none."""
every_player = pytest.mark.parametrize(("role", "architecture"), PLAYERS)
every_generator = pytest.mark.parametrize("architecture", GENERATORS)
every_discriminator = pytest.mark.parametrize("architecture", DISCRIMINATORS)


def tokens(rows: int = 5, length: int = CONTEXT, seed: int = 1) -> Tensor:
    return torch.randint(1, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


@every_player
def test_shapes(role: str, architecture: str) -> None:
    said = build(role, architecture)(tokens())
    assert said.shape == ((5, CONTEXT, VOCABULARY) if role == "generator" else (5, CONTEXT))
    assert said.isfinite().all()


@every_player
def test_a_row_does_not_depend_on_its_neighbours(role: str, architecture: str) -> None:
    player, rows = build(role, architecture), tokens()
    together = player(rows)
    for i in range(len(rows)):
        assert torch.allclose(player(rows[i : i + 1])[0], together[i], atol=1e-5)


@every_player
def test_what_stands_right_of_a_position_changes_nothing(role: str, architecture: str) -> None:
    """Neither other tokens nor padding, and nothing is cut: the first tokens do matter."""
    player, rows = build(role, architecture), tokens()
    for length in (1, 2, 5, CONTEXT - 1):
        prefix = rows[:, :length]
        expected = player(prefix)
        for rest in (tokens(seed=2)[:, length:], torch.full((5, CONTEXT - length), PAD)):
            assert torch.allclose(player(torch.cat([prefix, rest], 1))[:, :length], expected, atol=1e-5)


@every_player
def test_every_verdict_and_prediction_sees_the_whole_prefix_it_may_see(role: str, architecture: str) -> None:
    """A changed token changes what is said of its own position and, for an LSTM or attention, of the last."""
    player, rows = build(role, architecture), tokens()
    for place in (1 if architecture in START_UNREAD else 0, 3):
        other = rows.clone()
        other[:, place] = (other[:, place] % (VOCABULARY - 1)) + 1
        difference = (player(other) - player(rows)).abs().flatten(2).amax(2) if role == "generator" else (
            player(other) - player(rows)
        ).abs()  # fmt: skip
        assert (difference[:, :place] < 1e-5).all()
        assert (difference[:, place].mean() > 1e-4) and (difference[:, -1].mean() > 1e-6)


@every_generator
@pytest.mark.parametrize("first", [1, 3])
def test_reading_bit_by_bit_is_the_forward_pass(architecture: str, first: int) -> None:
    generator, rows = build("generator", architecture), tokens()
    expected = generator.features(rows)
    feature, state = generator.read(rows[:, :first], generator.start(len(rows)))
    for i in range(first, CONTEXT):
        assert torch.allclose(feature, expected[:, i - 1], atol=1e-5)
        feature, state = generator.read(rows[:, i : i + 1], state)
    assert torch.allclose(feature, expected[:, -1], atol=1e-5)


@every_generator
def test_the_state_of_chosen_rows_goes_on_as_those_rows(architecture: str) -> None:
    generator, rows = build("generator", architecture), tokens()
    chosen = torch.tensor([4, 1, 1])
    _, state = generator.read(rows[:, :6], generator.start(len(rows)))
    feature, _ = generator.read(rows[chosen, 6:8], state.select(chosen))
    assert torch.allclose(feature, generator.features(rows)[chosen, 7], atol=1e-5)


@every_generator
def test_choosing_rows_before_anything_is_read(architecture: str) -> None:
    generator, rows = build("generator", architecture), tokens()
    state = generator.start(len(rows)).select(torch.tensor([2, 0]))
    feature, _ = generator.read(rows[[2, 0], :3], state)
    assert torch.allclose(feature, generator.features(rows)[[2, 0], 2], atol=1e-5)


@pytest.mark.parametrize("architecture", ["lstm", "relational", "transformer"])
@pytest.mark.parametrize("tied", [True, False])
def test_tied_weights_are_one_tensor(architecture: str, tied: bool) -> None:
    generator = build("generator", architecture, tied=tied)
    inner = {
        "lstm": lambda: generator.body.embedding,
        "relational": lambda: generator.embedding,
        "transformer": lambda: generator.model.transformer.wte,
    }[architecture]()
    outer = generator.model.lm_head if architecture == "transformer" else generator.output
    assert (inner.weight.data_ptr() == outer.weight.data_ptr()) is tied
    assert (outer.weight is inner.weight) is tied


@every_discriminator
def test_the_verdict_is_the_logit_at_the_last_masked_position(architecture: str) -> None:
    discriminator, rows = build("discriminator", architecture), tokens()
    ends = torch.tensor([1, 4, CONTEXT - 1, 7, 2])
    place = torch.arange(CONTEXT)
    mask = (place >= torch.tensor([1, 3, 1, 2, 2])[:, None]) & (place <= ends[:, None])
    expected = discriminator(rows)[torch.arange(5), ends]
    assert torch.allclose(discriminator.verdict(rows, mask), expected, atol=1e-5)
    assert expected.std() > 1e-4


@every_discriminator
def test_the_game_starts_undecided(architecture: str) -> None:
    shape = Architecture("discriminator", architecture, VOCABULARY, 8, 1, 2, 0.0, True, CONTEXT)
    fresh = shape.build().eval()
    assert (fresh(tokens()) == 0).all()


@every_discriminator
def test_an_undecided_discriminator_can_still_learn(architecture: str) -> None:
    shape = Architecture("discriminator", architecture, VOCABULARY, 8, 1, 2, 0.0, True, CONTEXT)
    fresh = shape.build()
    fresh(tokens()).sum().backward()
    assert fresh.head.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]


@every_player
def test_dropout_acts_in_training_mode_only(role: str, architecture: str) -> None:
    player, rows = build(role, architecture, dropout=0.5), tokens()
    assert torch.equal(player(rows), player(rows))
    player.train()
    assert not torch.equal(player(rows), player(rows))
    player.eval()
    assert torch.equal(player(rows), player(rows))


@every_player
def test_gradients_reach_every_weight_in_eval_mode(role: str, architecture: str) -> None:
    player = build(role, architecture)
    player(tokens()).pow(2).sum().backward()
    missing = [name for name, p in player.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    # What reads the discriminator's features learns nothing by likelihood (tests/models/test_leakgan.py).
    unmoved = ("embedding.", "convolutions.", "manager.") if architecture == "leakgan" else ()
    assert [name for name in missing if not name.startswith(unmoved)] == []


@pytest.mark.parametrize("architecture", ["lstm", "transformer"])
def test_a_discriminator_starts_from_the_generators_weights(architecture: str) -> None:
    generator = build("generator", architecture)
    discriminator = Architecture("discriminator", architecture, VOCABULARY, 8, 2, 2, 0.0, True, CONTEXT).build()
    head = {k: v.clone() for k, v in discriminator.head.state_dict().items()}
    copied = copy_where_shapes_agree(generator, discriminator)
    body = {k: v for k, v in discriminator.state_dict().items() if not k.startswith("head.")}
    assert copied == len(body)
    theirs = generator.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in body.items())
    assert all(torch.equal(v, head[k]) for k, v in discriminator.head.state_dict().items())
    # A copy: learning in one leaves the other alone.
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.add_(1)
    assert all(torch.equal(v, theirs[k]) for k, v in generator.state_dict().items())


def test_weights_of_another_shape_are_left_as_they_are() -> None:
    generator = build("generator", "lstm", hidden=16)
    discriminator = build("discriminator", "lstm")
    before = {k: v.clone() for k, v in discriminator.state_dict().items()}
    assert copy_where_shapes_agree(generator, discriminator) == 0
    assert all(torch.equal(v, before[k]) for k, v in discriminator.state_dict().items())


@pytest.mark.parametrize("wanted", [True, False])
def test_from_generator_is_a_choice(wanted: bool) -> None:
    settings = config.Config(
        generator=config.Generator(hidden=8), discriminator=config.Discriminator(hidden=8, from_generator=wanted)
    )
    generator = build_generator(settings, VOCABULARY)
    discriminator: Any = build_discriminator(settings, VOCABULARY, generator)
    shared = torch.equal(generator.state_dict()["body.embedding.weight"], discriminator.body.embedding.weight)
    assert shared is wanted


@every_player
def test_flops_are_the_multiply_adds_of_a_forward_pass(role: str, architecture: str) -> None:
    """Against torch's counter, on a width at which the parts that nobody counts are small."""
    context = 16
    player = build(role, architecture, hidden=64, layers=2, heads=2, context=context)
    rows = torch.ones(3, context, dtype=torch.long)
    # oneDNN's fused LSTM is not a matrix product to the counter, and neither is fused attention on a CPU.
    with (
        torch.backends.mkldnn.flags(enabled=False),
        nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
        torch.no_grad(),
    ):
        player(rows)
    counted = counter.get_total_flops() / rows.numel()
    judging = player.flops_per_verdict if role == "discriminator" else 0
    assert player.flops_per_token + judging == pytest.approx(counted, rel=0.05)
    if role == "discriminator":
        # A whole text takes one logit only, and of a convolution the windows that fit into it.
        with (
            torch.backends.mkldnn.flags(enabled=False),
            nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
            torch.no_grad(),
        ):
            player.verdict(rows, torch.ones_like(rows, dtype=torch.bool))
        counted = counter.get_total_flops()
        assert player.flops_per_token * rows.numel() + judging * len(rows) == pytest.approx(counted, rel=0.2)
