"""The reward of PG-BLEU: whom it pays how much, against what, and a game that is played for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.data.tokenizers import train
from mgan.errors import UserError
from mgan.evaluation.metrics.bleu import bleu_scores
from mgan.fit.hardware import Hardware
from mgan.settings import load_config
from mgan.training.adversarial import AdversarialGame
from mgan.training.bleu import ORDER, OWN_ORDER, bleu_rewards, own_bleu
from mgan.training.judge import Judgement
from mgan.training.phases import plan
from mgan.training.run import Run
from mgan.training.setup import Setup, set_up
from mgan.training.world import Alphabet, World
from mgan.types import Batch, Silent

TEXTS = ["abcd", "abdc", "bacd", "cdab"]
TOKENIZER = train(["abcd"] * 3, Config.model_validate({"tokenizer": {"kind": "char", "min_frequency": 1}}).tokenizer)


def batch(*texts: tuple[str, str]) -> Batch:
    return encode([Example(*text) for text in texts], TOKENIZER, context=16).batch(range(len(texts)))


def world(**adversarial: Any) -> World:
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 16, "hidden": 8, "dropout": 0.0},
            "evaluation": {"samples": 16},
            "game": {"signal": "sequence", "kl": 0.0, "mle": 0.0},
            "equilibrium": {"window": 1},
            "collapse": {"entropy": 0.0, "distinct": 0.0},
            "adversarial": {
                "prompts_per_step": 32, "steps": 3, "evaluate_every": 1, "generator_rate": 0.02,
                "discriminator_steps": 0, "reward": "bleu", **adversarial,
            },
        }
    )  # fmt: skip
    rows = encode([Example("", text) for text in TEXTS * 16], TOKENIZER, context=16)
    alphabet = Alphabet(TOKENIZER.vocabulary_size, TOKENIZER.eos, TOKENIZER.pad)
    created = World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))
    created.keep("pretrained", created.generator)
    return created


def game(played: World) -> AdversarialGame:
    made = plan(played)["adversarial"](played)
    assert isinstance(made, AdversarialGame)
    return made


def test_it_is_the_bleu_of_completions_without_prompt_and_end() -> None:
    train = encode([Example("zz", text) for text in TEXTS], TOKENIZER, context=16)
    samples = batch(("zz", "abcd"), ("zz", "abab"), ("zz", "dd"), ("zz", "zzzz"), ("zz", ""))
    found = bleu_rewards(samples, train, TOKENIZER.eos, seed=0)
    ids = [TOKENIZER.encode(text) for text in ("abcd", "abab", "dd", "zzzz", "")]
    expected = bleu_scores(ids, [TOKENIZER.encode(text) for text in TEXTS], (ORDER,))[0]
    assert found.tolist() == pytest.approx(expected.tolist())
    assert found[0] == 1 and 0 < found[2] < found[1] < 1 and found[4] == 0


def test_the_references_are_training_texts_drawn_by_the_seed() -> None:
    train = encode([Example("", text * 2) for text in TEXTS], TOKENIZER, context=16)
    sample = batch(("", "abcdabcd"))
    paid = [float(bleu_rewards(sample, train, TOKENIZER.eos, seed)) for seed in range(12)]
    assert max(paid) == 1 and min(paid) < 1, "one reference for one sample"
    assert paid == [float(bleu_rewards(sample, train, TOKENIZER.eos, seed)) for seed in range(12)]


def test_no_discriminator_plays_or_is_paid_for() -> None:
    played = world()
    assert list(plan(played)) == ["pretrain", "adversarial", "baseline"]
    made, judge = game(played), {name: value.clone() for name, value in played.discriminator.state_dict().items()}

    def asked(*_: Tensor) -> Tensor:
        raise AssertionError("nobody asks the discriminator")

    played.discriminator.forward = asked  # type: ignore[assignment, method-assign]
    played.discriminator.verdict = asked  # type: ignore[assignment, method-assign]
    made.begin()
    metrics = [made.step() for _ in range(3)]
    assert all(torch.equal(value, judge[name]) for name, value in played.discriminator.state_dict().items())
    assert all(0 < line["reward"] < 1 and "heldout_accuracy" not in line for line in metrics)
    assert made.done and played.outcomes["adversarial"]["reason"] == "budget"
    assert "equilibrium" not in played.outcomes["adversarial"]["sentence"]
    # Written, the anchor's reading and an update: 1 + 1 + 3, padding and prompts on top, nothing of a discriminator's.
    ledger, cost = played.ledgers["adversarial"], played.generator.flops_per_token
    assert 5 * ledger.tokens * cost <= ledger.flops < 12 * ledger.tokens * cost


def test_the_generator_comes_to_write_what_pays() -> None:
    made = game(world(steps=60, evaluate_every=100, generator_rate=0.05))
    made.begin()
    paid = [made.step()["reward"] for _ in range(60)]
    assert sum(paid[-5:]) / 5 > 2 * sum(paid[:5]) / 5


def test_a_sample_is_held_against_the_real_text_of_its_own_prompt() -> None:
    own = batch(("ab", "cdab"), ("d", "dcba"))
    samples = batch(("ab", "cdab"), ("ab", "dcba"), ("d", "dcba"), ("d", "dcb"), ("d", ""))
    found = own_bleu(samples, own, torch.tensor([0, 0, 1, 1, 1]), TOKENIZER.eos)
    ids = [TOKENIZER.encode(text) for text in ("dcba", "cdab", "dcb")]
    expected = [float(bleu_scores([a], [b], (OWN_ORDER,))[0, 0]) for a, b in ((ids[0], ids[1]), (ids[2], ids[0]))]
    assert found.tolist() == pytest.approx([1, expected[0], 1, expected[1], 0])
    assert 0 < expected[0] < expected[1] < 1


def test_what_a_text_earns_is_paid_for_its_last_token() -> None:
    mask = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()
    before = Judgement(None, torch.ones(3, 4) * mask)
    after = before.and_at_the_end(torch.tensor([0.5, 2.0, 7.0]), mask)
    assert after.rewards.tolist() == [[0, 1, 1.5, 0], [0, 0, 1, 3], [0, 0, 0, 0]]


def test_a_game_without_a_learning_judge_climbs_the_mixture() -> None:
    """Rewards that say nothing and BLEU beside them: the texts of the prompts come to be written."""
    played = world(steps=80, evaluate_every=200, generator_rate=0.05, reward="constant", discriminator_steps=0)
    mixed = played.settings.model_copy(update={"game": played.settings.game.model_copy(update={"bleu": 2.0})})
    played.settings = mixed
    made = game(played)
    made.begin()
    rounds = [made.step() for _ in range(80)]
    likeness = [line["bleu"] for line in rounds]
    assert sum(likeness[-5:]) > 2 * sum(likeness[:5])


@pytest.mark.parametrize("other", ["selfplay.iterations=2", "mediator.steps=1", "adversarial.steps=0"])
def test_bleu_stands_beside_a_verdict_alone(other: str) -> None:
    with pytest.raises(UserError, match=r"needs one that plays, and game\.signal=dense, prefix, sequence or rollout"):
        load_config("mgan", ["game.bleu=1", other])
    assert load_config("mgan", ["game.bleu=1"]).game.bleu == 1


def test_without_texts_of_its_own_a_prompt_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "texts.jsonl"

    def begun(record: dict[str, str], *overrides: str) -> Setup:
        rows = [record | {key: record[key] + "ab" * i for key in record if key != "label"} for i in range(20)]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        fields = [f"data.path={data}", "game.bleu=1", *overrides]
        config = load_config("mgan", fields, smoke=True)
        return set_up(Run.create(tmp_path / str(len(list(tmp_path.iterdir()))), config), Silent())

    for record, source in (({"text": "ab"}, "data"), ({"text": "ab", "label": "m"}, "label")):
        with pytest.raises(UserError, match=r"game\.bleu pays .* set game\.bleu=0, or give records with a prompt"):
            begun(record, f"prompt.source={source}", "discriminator.from_generator=false")
    assert begun({"prompt": "a", "completion": "b"}).corpus.train[0].prompt
    assert begun({"text": "abab"}, "prompt.source=prefix").corpus.train[0].text


@pytest.mark.parametrize("reward", ["constant", "random"])
def test_a_control_lacks_the_verdict_alone(reward: str) -> None:
    """What BLEU pays stays, so the control says what the discriminator adds to it."""
    played = world(steps=2, reward=reward, discriminator_steps=0)
    played.settings = played.settings.model_copy(update={"game": played.settings.game.model_copy(update={"bleu": 2.0})})
    made = game(played)
    made.begin()
    assert 0 < made.step()["bleu"] < 1
