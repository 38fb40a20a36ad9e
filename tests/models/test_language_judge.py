"""A language model as the discriminator: its verdict, its bound, its start, and what it is paid as."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

from mgan.config import Config
from mgan.errors import UserError
from mgan.game.language import CEILING, running_means
from mgan.game.losses import binary, critic
from mgan.game.signals import dense_rewards, final
from mgan.models.build import Architecture, build_discriminator, build_generator, load_player, save_player
from mgan.models.language_judge import LanguageJudge
from mgan.settings import load_config

VOCABULARY = 11


@pytest.fixture
def judge() -> LanguageJudge:
    torch.manual_seed(0)
    return cast(LanguageJudge, LanguageJudge(VOCABULARY, 6).eval())


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, VOCABULARY, (5, 7), generator=generator)
    mask = torch.arange(7) < torch.tensor([7, 3, 5, 2, 6])[:, None]
    mask[:, 0] = False
    return tokens, mask


def test_the_verdict_is_the_mean_cross_entropy(judge: LanguageJudge) -> None:
    tokens, mask = texts()
    logprobs = judge.output(judge.features(tokens)).log_softmax(-1)[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
    kept = mask[:, 1:]
    expected = -(logprobs * kept).sum(1) / kept.sum(1) - CEILING / 2
    torch.testing.assert_close(judge.verdict(tokens, mask), expected)
    torch.testing.assert_close(final(judge(tokens), mask), expected)


def test_what_stands_right_of_a_prefix_changes_nothing(judge: LanguageJudge) -> None:
    tokens, _ = texts()
    torch.testing.assert_close(judge(tokens)[:, :4], judge(tokens[:, :4]))


def test_words_are_paid_what_sums_to_the_sentence_and_no_word_more_than_the_ceiling() -> None:
    logprobs = -torch.tensor([[9.0, 1.0, 5.0, 100.0]])
    means = running_means(logprobs)
    assert means.tolist() == [pytest.approx([0.0, 1.0, 3.0, (1 + 5 + CEILING) / 3])]
    rewards = dense_rewards(means, torch.tensor([[False, True, True, True]]), critic)
    assert rewards.tolist() == [pytest.approx([0.0, 1.0, (5 - 1) / 2, (CEILING - 3) / 3])]
    assert rewards.sum().item() == pytest.approx(means[0, -1].item())


def test_past_the_ceiling_the_discriminator_gains_nothing() -> None:
    logprobs = torch.tensor([[0.0, -3.0, -13.0]], requires_grad=True)
    running_means(logprobs)[:, -1].sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None and logprobs.grad.tolist() == [[0.0, -0.5, 0.0]]


def test_a_loss_with_a_level_finds_it(judge: LanguageJudge) -> None:
    """Real above 0 and generated below, with nothing else that learns."""
    tokens, mask = texts()
    optimizer = torch.optim.Adam([judge.level], lr=3e-3)
    for _ in range(100):
        d = judge.verdict(tokens, mask)
        optimizer.zero_grad()
        binary(d[:2], torch.ones(2), d[2:], torch.ones(3)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    verdicts = judge.verdict(tokens, mask)
    assert verdicts.min() < 0.5 and verdicts.max() > -0.5 and verdicts.abs().max() < 2


def test_it_starts_as_the_generator_and_is_read_back(tmp_path: Path) -> None:
    settings = Config.model_validate(
        {
            "generator": {"hidden": 8, "dropout": 0.0},
            "discriminator": {"architecture": "language_model", "hidden": 8, "dropout": 0.0},
            "game": {"loss": "wasserstein", "value": "critic"},
        }
    )
    generator = build_generator(settings, VOCABULARY).eval()
    judge = build_discriminator(settings, VOCABULARY, generator).eval()
    tokens, mask = texts()
    torch.testing.assert_close(cast(LanguageJudge, judge).features(tokens), generator.features(tokens))
    architecture = Architecture.of("discriminator", settings.discriminator, VOCABULARY, settings.generator)
    save_player(tmp_path, judge, architecture)
    read, found, _ = load_player(tmp_path)
    assert found == architecture
    torch.testing.assert_close(read.verdict(tokens, mask), judge.verdict(tokens, mask))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["game.loss=hinge"], "it needs game.loss=wasserstein"),
        (["game.penalty=gradient"], "game.penalty=none"),
        (["game.signal=gumbel"], "another signal than gumbel"),
        (["discriminator.architecture=lstm"], "teaches nothing about their beginnings"),
        (["discriminator.architecture=lstm", "game.signal=sequence"], "discriminator.architecture=language_model"),
    ],
)
def test_what_it_does_not_go_with(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        load_config("dpgan", overrides=overrides)
    assert said in str(error.value)
