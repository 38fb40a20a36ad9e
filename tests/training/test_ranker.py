"""A discriminator that ranks: what its update learns, what it ranks with afterwards, and the game around it."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import test_lessons as toy
import torch
from torch import Tensor

from mgan.config import Config
from mgan.errors import UserError
from mgan.fit.classifier import DiscriminatorUpdate, verdicts
from mgan.fit.ranking import RankUpdate
from mgan.game.ranking import log_rank, rivals
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.ranking import REFERENCES, SHARPNESS, RankHead
from mgan.settings import load_config
from mgan.training.adversarial import AdversarialGame
from mgan.training.world import World
from mgan.types import Batch

RANK: dict[str, Any] = {
    "loss": "rank", "value": "critic", "signal": "rollout", "rollouts": 2, "kl": 0.0, "mle": 0.0,
}  # fmt: skip


def world(judge: str = "cnn", **changes: Any) -> World:
    plain = toy.world({"adversarial": {"prompts_per_step": 16, **changes.pop("adversarial", {})}})
    tree = plain.settings.model_dump()
    tree["game"] |= RANK | changes
    tree["discriminator"] |= {"architecture": judge, "from_generator": False}
    torch.manual_seed(1)
    rows = (plain.train, plain.validation, plain.test)
    created = World.create(Config.model_validate(tree), plain.hardware, plain.alphabet, rows)
    created.keep("pretrained", created.generator)
    return created


def started(*given: Any, **named: Any) -> AdversarialGame:
    played = world(*given, **named)
    return AdversarialGame(played, "adversarial", played.settings.adversarial)


def features(judge: Any, batch: Batch) -> Tensor:
    with torch.no_grad():
        return judge.eval().represent(judge.embedding(batch.tokens), batch.mask)


def texts(game: AdversarialGame) -> tuple[Batch, Batch]:
    return game.real.at(1), game._draw(0)().samples


@pytest.mark.parametrize("judge", ["cnn", "seqgan"])
def test_the_loss_is_that_of_the_definition_before_the_update(judge: str) -> None:
    game = started(judge)
    (real, fake), update = texts(game), game.update_discriminator
    assert isinstance(update, RankUpdate)
    theirs, ours = features(game.discriminator, real), features(game.discriminator, fake)
    references, others = theirs[:4], theirs[4:]
    d_real = log_rank(others, references, rivals(ours, references, SHARPNESS), 16, SHARPNESS)
    d_fake = log_rank(ours, references, rivals(others, references, SHARPNESS), 12, SHARPNESS)
    found = update(real, fake)
    assert found["d_loss"] == pytest.approx(float(d_fake.mean() - d_real.mean()), abs=1e-5)
    wins = [float(a > b) + 0.5 * float(a == b) for a in d_real for b in d_fake]
    assert found["train_accuracy"] == pytest.approx(sum(wins) / len(wins))


def test_afterwards_texts_are_ranked_among_the_real_ones_it_has_met() -> None:
    game = started()
    real, fake = texts(game)
    assert verdicts(game.discriminator, fake).tolist() == [0.0] * 16, "undecided before it has met any"
    game.update_discriminator(real, fake)
    theirs, ours = features(game.discriminator, real), features(game.discriminator, fake)
    expected = log_rank(ours, theirs[:4], rivals(theirs[4:], theirs[:4], SHARPNESS), 12, SHARPNESS)
    assert torch.allclose(verdicts(game.discriminator, fake), expected, atol=1e-5)
    assert expected.std() > 1e-4


def test_it_learns_to_rank_real_texts_above_generated_ones() -> None:
    game = started(adversarial={"discriminator_rate": 1e-2})
    for number in range(25):
        game.update_discriminator(game.real.at(number), game._draw(number)().samples)
    real, fake = (verdicts(game.discriminator, some) for some in (game.real.at(99), game._draw(99)().samples))
    assert game.lessons.told_apart(real, fake) > 0.8
    assert abs(float(real.mean())) < 0.1 < -float(fake.mean()), "0 is a text like the real ones"


def test_prefixes_that_rollouts_share_are_ranked_as_whole_texts() -> None:
    game = started("seqgan")
    real, fake = texts(game)
    game.update_discriminator(real, fake)
    judge: Any = game.discriminator.eval()
    row, given = torch.arange(16), torch.full((16,), 2)
    shared = judge.verdict_of_rollouts(fake.tokens, row, given, fake.tokens, fake.mask)
    assert torch.allclose(shared, judge.verdict(fake.tokens, fake.mask), atol=1e-4)


def test_without_sets_it_is_a_classifier_as_the_verdicts_fresh_ones_are() -> None:
    game = started()
    real, fake = texts(game)
    fresh = game.world.new_discriminator()
    update = DiscriminatorUpdate(
        fresh, learning_rate=1e-2, clip=1.0, signal="rollout", hardware=game.world.hardware, ledger=game.ledger
    )
    first = update(real, fake)["d_loss"]
    for _ in range(20):
        last = update(real, fake)["d_loss"]
    assert first == pytest.approx(2 * math.log(2)) and last < 0.7 * first


def test_few_references_are_taken_again() -> None:
    torch.manual_seed(0)
    head, some, others = RankHead(torch.nn.Linear(5, 1)), torch.randn(4, 5), torch.randn(7, 5)
    head.hold(some, others)
    found = head(x := torch.randn(2, 3, 5))
    assert head.references.shape == (REFERENCES, 5) and found.shape == (2, 3, 1)
    assert torch.allclose(found.squeeze(-1), log_rank(x, some, rivals(others, some, SHARPNESS), 7, SHARPNESS))


def test_the_sets_are_saved_with_the_player(tmp_path: Path) -> None:
    game = started()
    real, fake = texts(game)
    game.update_discriminator(real, fake)
    settings, size = game.world.settings, game.world.alphabet.size
    save_player(tmp_path, game.discriminator, Architecture.in_run("discriminator", settings, size, 0))
    loaded, architecture, _ = load_player(tmp_path)
    assert architecture.ranks and torch.equal(verdicts(loaded, fake), verdicts(game.discriminator, fake))


@pytest.mark.parametrize("changes", [{}, {"value": "kl", "signal": "sequence"}, {"signal": "taylor"}], ids=str)
def test_a_round_moves_both_players_and_resumes_exactly(changes: dict[str, Any]) -> None:
    game = started(**changes)
    game.begin()
    game.update_discriminator(*texts(game))
    first = copy.deepcopy((game.generator.state_dict(), game.discriminator.state_dict()))
    metrics = game.step()
    assert all(map(math.isfinite, metrics.values())) and abs(metrics["reward"]) > 0
    for before, player in zip(first, (game.generator, game.discriminator), strict=True):
        assert any(not torch.equal(before[k], v) for k, v in player.state_dict().items())
    saved, again = copy.deepcopy((game.world.state_dict(), game.state_dict())), world(**changes)
    again.load_state_dict(saved[0])
    resumed = AdversarialGame(again, "adversarial", again.settings.adversarial)
    resumed.load_state_dict(saved[1])
    for _ in range(2):
        assert resumed.step() == game.step()


def test_the_ledger_counts_the_texts_that_it_reads_twice() -> None:
    game = started()
    real, fake = texts(game)
    judge, before = game.discriminator, game.ledger.flops
    game.update_discriminator(real, fake)
    tokens, verdict = real.tokens.numel(), judge.flops_per_verdict
    taught = 3 * (judge.flops_per_token * (tokens + fake.tokens.numel()) + 32 * verdict)
    assert game.ledger.flops - before == taught + judge.flops_per_token * tokens + 16 * verdict
    assert verdict == 2 * REFERENCES * judge.head.in_features  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["discriminator.architecture=lstm"], "needs discriminator.architecture=cnn or seqgan"),
        (["game.signal=dense"], "teaches nothing about their beginnings"),
        (["game.value=reverse_kl"], "use game.value=critic or kl"),
        (["adversarial.micro_batches=2"], "it needs adversarial.micro_batches=1"),
        (["adversarial.prompts_per_step=1"], "2 texts or more"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("rankgan", overrides=overrides)
