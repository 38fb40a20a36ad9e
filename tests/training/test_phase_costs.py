"""What a phase computes it is charged for: the ledger against the matrix products that are really made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mgan.config import Config
from mgan.data import tokenizers
from mgan.data.readers import Example
from mgan.data.rows import encode
from mgan.fit.hardware import Hardware
from mgan.models import leakgan, relgan, seqgan
from mgan.settings import load_config
from mgan.training.phases import plan
from mgan.training.world import Alphabet, World

TEXTS = [f"{a}{b}{c}{a}{b}{d}" for a in "abc" for b in "abc" for c in "abc" for d in "abc"]


def world(settings: Config) -> World:
    labels = ("x", "y") if settings.prompt.source == "label" else ()
    kind = settings.tokenizer.model_copy(update={"kind": "char", "min_frequency": 1})
    tokenizer = tokenizers.train(TEXTS, kind, labels=labels)
    given = labels or ("",)
    examples = [Example(given[i % len(given)], text) for i, text in enumerate(TEXTS)]
    rows = encode(examples, tokenizer, settings.generator.context)
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad, tokenizer)
    return World.create(settings, Hardware("cpu"), alphabet, (rows, rows, rows))


class Products(TorchDispatchMode):
    """Counts the operations of matrix products and convolutions, their gradients included."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=found)
        return found


SMALL = [
    "device=cpu", "generator.context=16", "generator.hidden=16", "discriminator.hidden=16", "generator.dropout=0",
    "adversarial.evaluate_every=1000", "adversarial.prompts_per_step=8", "evaluation.samples=4", "collapse.entropy=0",
    "collapse.distinct=0", "pretrain.max_steps=1",
]  # fmt: skip


@pytest.mark.parametrize(
    "recipe", ["araml", "catgan", "cot", "dpgan", "jsdgan", "leakgan", "rankgan", "relgan", "sentigan", "taylorgan"]
)
def test_what_a_step_computes_is_charged(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less a warm-up's look at held-out texts, which is charged to nobody; more where a row is counted with its end."""
    monkeypatch.setattr(relgan, "FILTERS", 16)
    for module in (seqgan, leakgan):
        monkeypatch.setattr(module, "FILTERS", (8,) * 12)
        monkeypatch.setattr(module, "FEATURES", 96)
    played = world(load_config(recipe, overrides=SMALL, smoke=True))
    for name, make in plan(played).items():
        if name == "baseline":
            continue
        phase = make(played)
        phase.begin()
        before = played.ledger(name).flops
        # Only an LSTM that is no single operation is counted.
        with torch.backends.mkldnn.flags(enabled=False), Products() as made:
            phase.step()
        assert 0.6 < (played.ledger(name).flops - before) / made.flops < 1.4, name
        phase.finish()
