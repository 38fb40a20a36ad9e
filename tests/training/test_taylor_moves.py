"""Moves by the expansion of D: whose gradient it is, what it costs; and that resuming is exact."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import test_lessons as toy
import torch
from torch import Tensor

from mgan.config import Config
from mgan.errors import UserError
from mgan.fit.likelihood import nll
from mgan.game.taylor import neighbours, spread
from mgan.models import relgan
from mgan.settings import load_config
from mgan.training import taylor as moves
from mgan.training.adversarial import AdversarialGame
from mgan.training.players import logprobs_of
from mgan.training.taylor import Taylor
from mgan.training.world import World

TAYLOR: dict[str, Any] = {"signal": "taylor", "kl": 0.1, "mle": 0.0, "baseline": "none", "bandwidth": 0.5}
JUDGES = ("cnn", "lstm", "seqgan", "relgan")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relgan, "FILTERS", 6)


def world(judge: str = "cnn", game: dict[str, Any] | None = None, **adversarial: Any) -> World:
    adversarial = {"prompts_per_step": 8, "discriminator_steps": 1} | adversarial
    created = toy.world({"game": TAYLOR | (game or {}), "adversarial": adversarial})
    section = created.settings.discriminator.model_copy(update={"architecture": judge, "heads": 2})
    settings = created.settings.model_copy(update={"discriminator": section})
    created = World.create(
        Config.model_validate(settings.model_dump()), created.hardware, created.alphabet,
        (created.train, created.validation, created.test),
    )  # fmt: skip
    created.keep("pretrained", created.generator)
    with torch.no_grad():  # a head that is zero would have no gradient
        torch.nn.init.normal_(created.discriminator.head.weight)  # type: ignore[union-attr, arg-type]
    return created


def started(*given: Any, **named: Any) -> AdversarialGame:
    played = world(*given, **named)
    return AdversarialGame(played, "adversarial", played.settings.adversarial)


def surrogate(game: AdversarialGame, tokens: Tensor, mask: Tensor) -> Tensor:
    """The loss with [B, L, V] in autograd's own hands: every substitution by a product of its own."""
    judge, generator = game.discriminator.eval(), game.generator.eval()
    table = judge.embedding.weight.detach()  # type: ignore[union-attr]
    embedded = table[tokens].requires_grad_()  # type: ignore[index]
    paid = judge.judge(embedded, mask).mean(1)  # type: ignore[operator]
    (slope,) = torch.autograd.grad(paid.sum(), embedded)
    total = torch.zeros(())
    probabilities = generator(tokens[:, :-1]).softmax(-1)
    for row, place in mask.nonzero().tolist():
        chances = probabilities[row, place - 1]
        share = neighbours(chances.detach()[None], tokens[row, place, None], table, 0.5 * spread(table))[0]  # type: ignore[arg-type]
        for token in range(len(table)):  # type: ignore[arg-type]
            moved = slope[row, place] @ (table[token] - table[tokens[row, place]])  # type: ignore[index]
            total = total - chances[token] * share[token] * (paid[row].detach() + moved)
    return total / len(tokens)


@pytest.mark.parametrize("judge", JUDGES)
def test_the_generators_move_is_autograds_and_the_discriminator_gets_nothing(
    judge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "CHUNK", 5)
    monkeypatch.setattr(moves, "PIECE", 3)
    game = started(judge, {"kl": 0.0, "mle": 0.5}, micro_batches=3, clip=1e9)
    signal = game.signal
    assert isinstance(signal, Taylor)
    drawn, real = game._draw(0, for_generator=True)(), game.real.at(1)
    loss = surrogate(game, drawn.samples.tokens, drawn.samples.mask)
    total = loss + 0.5 * nll(game.generator, real) / len(real)
    expected = torch.autograd.grad(total, list(game.generator.parameters()))
    judged = signal.judge(drawn, real, 0, 0)
    monkeypatch.setattr(signal.optimizer, "step", lambda: None)
    found = judged.learn()
    assert found["g_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    for parameter, gradient in zip(game.generator.parameters(), expected, strict=True):
        assert parameter.grad is not None and torch.allclose(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    assert any(float(gradient.abs().max()) > 1e-4 for gradient in expected)
    assert all(p.grad is None and p.requires_grad for p in game.discriminator.parameters())


def test_the_slope_is_that_of_the_payoff() -> None:
    """Of D = sigmoid(d), which is flatter than d."""
    d, probability = (started(game={"value": value}) for value in ("reverse_kl", "probability"))
    samples = d._draw(0, for_generator=True)().samples
    with torch.no_grad():
        chance = d.discriminator.eval().verdict(samples.tokens, samples.mask).sigmoid()
    found = probability.signal.slopes(samples)  # type: ignore[attr-defined]
    expected = (chance * (1 - chance))[:, None, None] * d.signal.slopes(samples)  # type: ignore[attr-defined]
    assert torch.allclose(found, expected, atol=1e-7) and found.abs().max() > 1e-3


def test_a_narrow_bandwidth_is_reinforce(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for game in ({"bandwidth": 1e-2}, {"signal": "sequence"}):
        played = started(game=game | {"kl": 0.0}, clip=1e9)
        drawn, real = played._draw(0, for_generator=True)(), played.real.at(1)
        judged = played.signal.judge(drawn, real, 0, 0)
        owner = played.signal if isinstance(played.signal, Taylor) else played.signal.update_generator  # type: ignore[attr-defined]
        monkeypatch.setattr(owner.optimizer, "step", lambda: None)
        judged.learn()
        gradients.append([p.grad.clone() for p in played.generator.parameters() if p.grad is not None])
    for narrow, plain in zip(*gradients, strict=True):
        assert torch.allclose(narrow, plain, rtol=1e-3, atol=1e-6)
    assert max(float(g.abs().max()) for g in gradients[0]) > 1e-3


def test_the_anchor_holds_the_generator_where_it_began() -> None:
    """With no verdict to follow, G comes back from where it was moved."""
    game = started(game={"kl": 1.0, "baseline": "per_position"}, reward="constant", generator_rate=0.02)
    with torch.no_grad():
        for parameter in game.generator.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    losses = [game.step()["kl_loss"] for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]
    samples = game._draw(0, for_generator=False)().samples
    anchor = logprobs_of(game.signal.reference, samples, game.settings, game.ledger)  # type: ignore[attr-defined]
    assert samples.logprobs is not None and abs(float((samples.logprobs - anchor).sum(1).mean())) < losses[0]


@pytest.mark.parametrize("judge", JUDGES)
def test_a_round_moves_both_players_and_resumes_exactly(judge: str) -> None:
    game = started(judge)
    game.begin()
    first = copy.deepcopy(game.generator.state_dict())
    metrics = game.step()
    assert all(map(math.isfinite, metrics.values())) and {"reward", "kl", "heldout_accuracy", "kl_loss"} <= set(metrics)
    assert any(not torch.equal(first[k], v) for k, v in game.generator.state_dict().items())
    saved, again = copy.deepcopy((game.world.state_dict(), game.state_dict())), world(judge)
    again.load_state_dict(saved[0])
    resumed = AdversarialGame(again, "adversarial", again.settings.adversarial)
    resumed.load_state_dict(saved[1])
    for _ in range(2):
        assert resumed.step() == game.step()


def test_the_ledger_counts_slopes_neighbours_and_anchor() -> None:
    def cost(**game: Any) -> float:
        played = started(game=game)
        drawn, real = played._draw(0, for_generator=True)(), played.real.at(1)
        before = played.ledger.flops
        played.signal.judge(drawn, real, 0, 0).learn()
        return played.ledger.flops - before

    played = started()
    samples = played._draw(0, for_generator=True)().samples
    judge, generator, read = played.discriminator, played.generator, samples.tokens.numel()
    places, vocabulary = int(samples.mask.sum()), generator.output.out_features
    verdict = judge.flops_per_token * read + judge.flops_per_verdict * len(samples)
    products = 2 * vocabulary * (places * (8 + vocabulary) + vocabulary * 8)
    without = 3 * verdict + 4 * generator.flops_per_token * read + products
    assert cost(kl=0.0) == without
    assert cost() == without + 4 * generator.flops_per_token * read


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["game.policy=ppo"], "it needs game.policy=gradient"),
        (["adversarial.temperature=0.9"], "it needs adversarial.temperature=1.0"),
        (["game.baseline=critic"], "per_position or leave_one_out or none, not critic"),
        (["generator.pretrained=gpt2"], "from scratch"),
        (["discriminator.architecture=transformer"], "lstm or cnn or seqgan or relgan, not transformer"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("taylorgan", overrides=overrides)
