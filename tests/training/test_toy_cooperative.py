"""Cooperative training in the language small enough to sum over: generator and mediator find the data together."""

from __future__ import annotations

import copy

import pytest
import test_toy_language as toy
from torch import Tensor

from mgan.config import Config
from mgan.fit.hardware import Hardware
from mgan.training.cooperative import Cooperative
from mgan.training.world import Alphabet, World

ROUNDS = 60


def after(start: toy.TabularGenerator, data: Tensor, mediator_rate: float) -> Tensor:
    """[T] float64: the generator's distribution after ROUNDS rounds; the mediator begins as ``start`` too."""
    settings = Config.model_validate(
        {
            "device": "cpu",
            "generator": {"context": 8},
            "mediator": {"steps": 1},
            "adversarial": {
                "steps": ROUNDS, "evaluate_every": 10**9, "prompts_per_step": 256, "generator_rate": 0.05,
                "discriminator_rate": mediator_rate,
            },
        }
    )  # fmt: skip
    counts = (data * toy.TEXTS).round().int().tolist()
    texts = toy.rows_of([text for text, count in zip(toy.LANGUAGE, counts, strict=True) for _ in range(count)])
    alphabet = Alphabet(toy.TOKENIZER.vocabulary_size, toy.TOKENIZER.eos, toy.TOKENIZER.pad)
    generator = copy.deepcopy(start)
    world = World(settings, Hardware("cpu"), alphabet, texts, texts, texts, generator, toy.TabularDiscriminator())
    world.keep("pretrained", start)
    game = Cooperative(world)
    for _ in range(ROUNDS):
        game.step()
    return generator.distribution()


@pytest.mark.parametrize(("mediator_rate", "found"), [(0.05, True), pytest.param(1e-9, False, marks=pytest.mark.slow)])
def test_the_data_are_found_from_afar_if_the_mediator_learns(mediator_rate: float, found: bool) -> None:
    """From a table that knows no history: 98 % of the way in KL(data || G). Measured after 100 rounds: 99.7 %."""
    data = toy.drawn(toy.chain(), toy.TEXTS, seed=0)
    without = toy.fitted(False, lambda q: toy.kl(data, q))
    start = toy.TabularGenerator(memory=True)
    start.table.data.copy_(without.table.data.expand_as(start.table))
    nearest = toy.kl(data, toy.fitted(True, lambda q: toy.kl(data, q)).distribution()).item()
    far = toy.kl(data, start.distribution()).item() - nearest
    rest = (toy.kl(data, after(start, data, mediator_rate)).item() - nearest) / far
    assert rest < 0.02 if found else rest > 0.9
