"""A language model as judge, texts near the data, and D as a formula, in the language small enough to sum over."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import test_toy_language as toy
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mgan.config import Config
from mgan.data import tokenizers
from mgan.fit.hardware import Hardware
from mgan.game.language import running_means
from mgan.game.near_data import replaced_share
from mgan.game.signals import final
from mgan.models.lstm import LSTMGenerator
from mgan.training.closed_form import ClosedForm
from mgan.training.near_data import near_data
from mgan.training.world import Alphabet, World
from mgan.types import collate

ALPHABET = Alphabet(toy.TOKENIZER.vocabulary_size, toy.TOKENIZER.eos, toy.TOKENIZER.pad)


@pytest.fixture(scope="module")
def data() -> Tensor:
    return toy.drawn(toy.chain(), toy.TEXTS, seed=0)


@pytest.fixture(scope="module")
def start(data: Tensor) -> toy.TabularGenerator:
    """Far from the data: a table that knows no history."""
    without = toy.fitted(False, lambda q: toy.kl(data, q))
    start = toy.TabularGenerator(memory=True)
    start.table.data.copy_(without.table.data.expand_as(start.table))
    return start


@pytest.fixture(scope="module")
def rest(data: Tensor, start: toy.TabularGenerator) -> Any:
    """The share of the way to the data, in KL(data || G), that is left."""
    nearest = toy.kl(data, toy.fitted(True, lambda q: toy.kl(data, q)).distribution()).item()
    far = toy.kl(data, start.distribution()).item() - nearest
    return lambda found: (toy.kl(data, found).item() - nearest) / far


class TabularLanguageJudge(nn.Module):
    flops_per_token = 1
    flops_per_verdict = 0

    def __init__(self) -> None:
        super().__init__()
        self.writer = toy.TabularGenerator(memory=True)

    def forward(self, tokens: Tensor) -> Tensor:
        logprobs = self.writer(tokens)[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
        return running_means(pad(logprobs, (1, 0)))

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return final(self(tokens), mask)


DPGAN: dict[str, Any] = {
    "game": {"loss": "wasserstein", "value": "critic", "signal": "dense", "kl": 0.0, "mle": 0.0},
    "architecture": "language_model",
    "prompts_per_step": 128,
    "discriminator_steps": 2,
    "generator_rate": 0.04,
    "discriminator_rate": 0.06,
}


@pytest.mark.parametrize("reward", ["discriminator", "random"])
def test_a_language_model_as_judge_leads_to_the_data(
    reward: str, data: Tensor, start: toy.TabularGenerator, rest: Any
) -> None:
    """By its rewards alone. Measured after 60 rounds: see docs/recipes/dpgan.md."""
    rounds = 40 if reward == "discriminator" else 10
    found = toy.play(start, data, discriminator=TabularLanguageJudge(), rounds=rounds, reward=reward, **DPGAN)
    assert rest(found) < 0.3 if reward == "discriminator" else rest(found) > 0.9


ARAML: dict[str, Any] = {
    "game": {
        "loss": "least_squares", "value": "critic", "signal": "near_data", "tau": 0.85, "alpha": 0.4,
        "baseline": "none", "kl": 0.0, "mle": 0.0,
    },
    "prompts_per_step": 50,
    "samples_per_prompt": 5,
    "order": "interleaved",
    "generator_rate": 0.05,
    "discriminator_rate": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("learns", [True, False])
def test_likelihood_near_the_data_leads_to_the_data_if_the_discriminator_learns(
    learns: bool, data: Tensor, start: toy.TabularGenerator, rest: Any
) -> None:
    """With so many edits that without a discriminator the generator learns mostly those."""
    many = ARAML | {"game": ARAML["game"] | {"tau": 2.0}}
    found = toy.play(start, data, discriminator_steps=int(learns), rounds=60 if learns else 30, **many)
    assert rest(found) < 0.4 if learns else rest(found) > 0.9


@pytest.mark.parametrize("marks", ["label and blank", "oracle"])
def test_no_mark_is_edited_in_and_an_oracles_token_0_may_be(marks: str) -> None:
    """Under a reference that expects every token alike."""
    if marks == "oracle":
        tokenizer = tokenizers.ids(9)
    else:
        settings = Config().tokenizer.model_copy(update={"kind": "char", "min_frequency": 1})
        tokenizer = tokenizers.train(["abcd"], settings, labels=("x", "y"), blanks=0.5)
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad, tokenizer)
    reference = LSTMGenerator(alphabet.size, 4).eval()
    torch.nn.init.zeros_(reference.output.weight)
    torch.nn.init.zeros_(reference.output.bias)
    ordinary = set(range(alphabet.size)) - {*tokenizer.never, tokenizer.eos}
    texts = collate([([tokenizer.bos, *[max(ordinary)] * 11], 1)] * 200, tokenizer.pad)
    edited = near_data(texts, reference, 50.0, alphabet, seed=3).tokens[:, 1:]
    assert set(edited.unique().tolist()) == ordinary and (0 in ordinary) == (marks == "oracle")


def test_edits_leave_prompts_ends_and_lengths_alone(start: toy.TabularGenerator) -> None:
    texts = toy.ALL
    altered = near_data(texts, start, 50.0, ALPHABET, seed=5)
    changed = altered.tokens != texts.tokens
    symbols = texts.mask & (texts.tokens != toy.TOKENIZER.eos)
    assert not (changed & ~symbols).any() and torch.equal(altered.mask, texts.mask)
    share = replaced_share(50.0, ALPHABET.size)
    count = int(symbols.sum())
    assert int(changed.sum()) / count == pytest.approx(share, abs=4 * (share * (1 - share) / count) ** 0.5)
    assert set(altered.tokens[symbols].tolist()) <= set(toy.IDS[1:]), "the reference knows no other symbol"
    again, other = (near_data(texts, start, 50.0, ALPHABET, seed=seed).tokens for seed in (5, 6))
    assert torch.equal(again, altered.tokens) and not torch.equal(other, altered.tokens)
    assert torch.equal(near_data(texts, start, 1e-3, ALPHABET, seed=5).tokens, texts.tokens)


def formula(data: Tensor, start: toy.TabularGenerator, rounds: int) -> tuple[ClosedForm, toy.TabularGenerator]:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8},
            "game": {"signal": "sequence", "kl": 0.0, "mle": 0.0},
            "warmup": {"steps": 0},
            "adversarial": {
                "reward": "closed_form", "steps": rounds, "evaluate_every": 10**9, "prompts_per_step": 256,
                "generator_rate": 0.05,
            },
        }
    )  # fmt: skip
    counts = (data * toy.TEXTS).round().int().tolist()
    texts = toy.rows_of([text for text, count in zip(toy.LANGUAGE, counts, strict=True) for _ in range(count)])
    generator, judge = copy.deepcopy(start), toy.TabularDiscriminator()
    world = World(settings, Hardware("cpu"), ALPHABET, texts, texts, texts, generator, judge)
    world.keep("pretrained", start)
    return ClosedForm(world), generator


def test_a_formula_leads_to_the_data_where_texts_are_likely(
    data: Tensor, start: toy.TabularGenerator, rest: Any
) -> None:
    """Measured after 100 updates: 99.9 % of the way in KL, 99.9 % in JS."""
    game, generator = formula(data, start, 100)
    before = toy.js(data, start.distribution()).item()
    first = game.step()
    assert first["js"] == pytest.approx(before, abs=0.05), "an estimate from one batch"
    for _ in range(99):
        game.step()
    assert rest(generator.distribution()) < 0.01
    assert toy.js(data, generator.distribution()).item() < 0.02 * before


def test_shares_count_the_texts_of_a_prompt(data: Tensor, start: toy.TabularGenerator) -> None:
    game, _ = formula(data, start, 1)
    seen = [i for i, share in enumerate(data.tolist()) if share]
    found = game.shares.of(toy.ALL.rows(torch.tensor(seen)))
    torch.testing.assert_close(found.exp(), data[seen])
