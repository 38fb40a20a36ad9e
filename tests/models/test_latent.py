"""Latent noise: P(x | z) is one distribution to sampling, logprobs, rollouts and relaxations; z is that of the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan import config
from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import ids
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import nll, text_nll
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.latent import given
from mgan.models.logprobs import token_logprobs
from mgan.sampling.decode import sample
from mgan.sampling.rollouts import Plan, waves
from mgan.sampling.soft import soft_sample
from mgan.training.players import GeneratorUpdate
from mgan.types import Batch, collate, concatenate

V, PAD, EOS, LENGTH, Z = 11, 0, 2, 12, 3
KINDS = ("lstm", "relational", "transformer")
every_kind = pytest.mark.parametrize("kind", KINDS)
PROMPTS = collate([([1], 1), ([1, 4, 5], 3), ([1, 6], 2), ([1], 1)] * 2, PAD)


def shape(kind: str, latent: int = Z) -> Architecture:
    return Architecture("generator", kind, V, 8, 2, 2, 0.3, True, LENGTH, latent=latent)


def build(kind: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    generator: Any = replace(shape(kind), **changes).build().eval()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return generator


def draw(generator: Any, prompts: Batch = PROMPTS, **changes: Any) -> Batch:
    return sample(generator, prompts, **({"max_length": LENGTH, "eos": EOS, "pad": PAD, "seed": 3} | changes))


@every_kind
def test_what_was_sampled_is_given_its_own_noise(kind: str) -> None:
    """The logprobs of sampling are those of reading with the same z, and not of another."""
    generator = build(kind)
    drawn = draw(generator)
    assert drawn.latent is not None and drawn.latent.shape == (8, Z) and drawn.logprobs is not None
    read = token_logprobs(given(generator, drawn), drawn.tokens, drawn.mask)
    assert torch.allclose(read, drawn.logprobs, atol=1e-5)
    other = replace(drawn, latent=drawn.latent.flip(0))
    assert not torch.allclose(token_logprobs(given(generator, other), drawn.tokens, drawn.mask), read, atol=1e-2)


@every_kind
def test_reading_bit_by_bit_is_the_forward_pass(kind: str) -> None:
    generator = build(kind)
    rows, latent = torch.randint(1, V, (5, LENGTH)), torch.randn(5, Z)
    expected = generator.features(rows, latent)
    chosen = torch.tensor([4, 0, 0])
    feature, state = generator.read(rows[chosen, :3], generator.start(5, latent).select(chosen))
    for i in range(3, LENGTH):
        assert torch.allclose(feature, expected[chosen, i - 1], atol=1e-5)
        feature, state = generator.read(rows[chosen, i : i + 1], state)


@every_kind
def test_a_rows_noise_is_its_seeds_and_standard_normal(kind: str) -> None:
    generator = build(kind)
    seeds = torch.arange(100, 108)
    drawn, alone = draw(generator, seeds=seeds), draw(generator, PROMPTS.rows(slice(4, 5)), seeds=seeds[4:5])
    assert drawn.latent is not None and alone.latent is not None
    assert torch.equal(drawn.latent[4:5], alone.latent)
    length = int(alone.lengths)
    assert torch.equal(drawn.tokens[4, :length], alone.tokens[0])
    many = draw(generator, collate([([1], 1)] * 4000, PAD), max_length=2).latent
    assert many is not None
    assert torch.allclose(many.mean(0), torch.zeros(Z), atol=0.06)
    assert torch.allclose(many.t() @ many / 4000, torch.eye(Z), atol=0.1)


@every_kind
def test_rollouts_go_on_from_the_noise_of_their_sample(kind: str) -> None:
    """Completions of a prefix have the distribution that its z gives them: their first tokens, many of them."""
    generator = build(kind)
    samples = draw(generator, collate([([1], 1)] * 2, PAD), max_length=4, eos=None)
    found = list(waves(generator, samples, Plan(3000, 4, None, PAD), 5))
    given_both = given(generator, samples)
    for row in range(2):
        first = torch.cat([w.texts.tokens[(w.row == row) & (w.position == 1), 2] for w in found])
        expected = given_both(samples.tokens[:, :2])[row, -1].softmax(-1)
        shares = torch.bincount(first, minlength=V) / len(first)
        assert len(first) == 3000 and torch.allclose(shares, expected, atol=0.05)
    swapped = given(generator, replace(samples, latent=samples.latent.flip(0)))  # type: ignore[union-attr]
    other, own = (network(samples.tokens[:, :2])[:, -1].softmax(-1) for network in (swapped, given_both))
    assert not torch.allclose(other, own, atol=0.05)


@every_kind
def test_the_policy_gradient_is_of_the_logprobs_given_the_noise(kind: str) -> None:
    generator = build(kind).double()
    drawn = draw(generator)
    weights = torch.randn(drawn.mask.shape).double() * drawn.mask
    expected = torch.autograd.grad(
        (weights * token_logprobs(given(generator, drawn), drawn.tokens, drawn.mask)).sum() / len(drawn),
        list(generator.parameters()),
    )
    settings = Config().adversarial.model_copy(update={"clip": 1e9, "micro_batches": 3})
    game = Config().game.model_copy(update={"mle": 0.0, "kl": 0.0})
    update = GeneratorUpdate(generator, settings, game, Hardware("cpu", "fp32", config.Memory()), Ledger())
    update(drawn, weights, drawn)
    for parameter, gradient in zip(generator.parameters(), expected, strict=True):
        assert parameter.grad is not None and torch.allclose(parameter.grad, -gradient, atol=1e-9)
    assert generator.noise.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["lstm", "relational"])
def test_the_discriminators_gradient_reaches_the_noise_layer(kind: str) -> None:
    """Against plain autograd: the same texts, read with the same z, and the same Gumbel noise."""
    from mgan.sampling.soft import GumbelNoise
    from mgan.sampling.uniforms import row_seeds

    generator = build(kind).double()
    prompts = collate([([1], 1)] * 4, PAD)
    drawn = soft_sample(generator, prompts, max_length=6, eos=None, pad=PAD, temperature=0.7, seed=3)
    embedding = torch.randn(V, 3).double()
    into = torch.randn(4, 6, 3).double()
    ours = torch.autograd.grad((drawn.attached(embedding) * into).sum(), list(generator.parameters()))

    noise = GumbelNoise(row_seeds(3, 4))
    gumbel = [-noise.minus_gumbel(V, torch.ones(4, dtype=torch.bool)).double() for _ in range(5)]
    logits = given(generator, drawn.batch)(drawn.batch.tokens[:, :-1])
    y = torch.softmax((logits + torch.stack(gumbel, 1)) / 0.7, 2)
    theirs = torch.autograd.grad((y @ embedding * into[:, 1:]).sum(), list(generator.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-9)
    assert ours[[name for name, _ in generator.named_parameters()].index("noise.weight")].abs().sum() > 0


def test_the_likelihood_of_real_text_is_that_of_fresh_noise() -> None:
    """As dropout: another z every time, the same from the same state of torch's generator."""
    generator, real = build("lstm"), draw(build("lstm"))
    real = Batch(real.tokens, real.mask, real.prompt_length)
    torch.manual_seed(5)
    first, second = (float(nll(generator, real).detach()) for _ in range(2))
    torch.manual_seed(5)
    latent = torch.randn(8, Z)
    assert first != second
    assert first == pytest.approx(float(nll(generator, replace(real, latent=latent)).detach()), rel=1e-6)


def test_held_out_likelihood_is_a_fixed_draw_and_bounds_the_likelihood() -> None:
    """-log P(x | z) is never below -log E_z P(x | z) on average; here both by many z."""
    generator = build("lstm")
    tokenizer = ids(V)
    rows = encode([Example("", "3 4 5 6 7 8 9")] * 400, tokenizer, 16)
    found, again = text_nll(generator, rows, 400)[0][0], text_nll(generator, rows, 400)[0][0]
    assert (found == again).all() and len(set(found)) > 300
    half = text_nll(generator, rows, 200)[0][0]
    assert half == pytest.approx(found[:200], rel=1e-5), "a text's z does not depend on how many are asked for"
    batch = rows.batch(range(400))
    with torch.no_grad():
        fresh = [given(generator, replace(batch, latent=torch.randn(400, Z))) for _ in range(10)]
        many = [token_logprobs(network, batch.tokens, batch.mask).sum(1) for network in fresh]
    likelihood = torch.cat(many).double().logsumexp(0) - torch.tensor(4000.0).log()
    assert found.mean() > -float(likelihood) + 0.01
    assert found.mean() == pytest.approx(-float(torch.cat(many).mean()), abs=0.25)


def test_without_noise_nothing_is_said_and_nothing_else_changes() -> None:
    generator, plain = build("lstm"), build("lstm", latent=0)
    with pytest.raises(ValueError, match="must be given"):
        generator.features(PROMPTS.tokens)
    with pytest.raises(ValueError, match="must be given"):
        generator.start(3)
    assert draw(plain).latent is None and given(plain, PROMPTS) is plain
    assert all("noise" not in name for name in plain.state_dict())


@every_kind
def test_a_saved_generator_writes_the_same(kind: str, tmp_path: Path) -> None:
    generator = build(kind)
    save_player(tmp_path, generator, shape(kind))
    loaded, architecture, _ = load_player(tmp_path)
    assert architecture.latent == Z
    a, b = draw(generator), draw(loaded)
    assert torch.equal(a.tokens, b.tokens) and torch.equal(a.latent, b.latent)  # type: ignore[arg-type]


def test_noise_goes_with_its_rows() -> None:
    drawn = draw(build("lstm"))
    latent: Tensor = drawn.latent  # type: ignore[assignment]
    index = torch.tensor([3, 0])
    chosen = drawn.rows(index)
    assert chosen.latent is not None and torch.equal(chosen.latent, latent[index])
    both = concatenate([chosen, drawn], PAD)
    assert both.latent is not None and torch.equal(both.latent, torch.cat([latent[index], latent]))
    assert concatenate([drawn, PROMPTS], PAD).latent is None
    assert drawn.to("cpu").latent is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {"architecture": "encoder_decoder"}}, "is an input of"),
        ({"selfplay": {"iterations": 2}}, "learn from the generator's own"),
        ({"mediator": {"steps": 1}}, "learn from the generator's own"),
        ({"data": {"path": "oracle"}, "generator": {"context": 21}}, "exact divergences"),
    ],
)
def test_where_noise_does_not_go(changes: dict[str, Any], said: str) -> None:
    changes = changes | {"generator": {"latent": 4} | changes.get("generator", {})}
    with pytest.raises(ValueError, match=said):
        Config(**changes)
