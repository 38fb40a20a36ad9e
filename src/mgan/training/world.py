"""Everything a run owns between its phases: text, the two players, the weights it keeps, what it has spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from mgan.config import Config
from mgan.data.rows import Batches, Rows, with_prefix
from mgan.data.tokenizers import Tokenizer
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.models.adapters import copied, share
from mgan.models.build import build_discriminator, build_generator
from mgan.models.protocols import Discriminator, Generator, KeepsReal, Player
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.uniforms import stream
from mgan.types import Batch

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Alphabet:
    """What the networks must know of the tokenizer; a discriminator that reads text, all of it."""

    size: int
    eos: int | None
    pad: int
    tokenizer: Tokenizer | None = None

    @property
    def labels(self) -> int:
        """How many labels the texts have, a token each."""
        return len(self.tokenizer.labels) if self.tokenizer else 0


@dataclass
class World:
    """kept: weights by name: ``pretrained``, ``warm`` (discriminator), ``adversarial``, ``mle``, and each control's.

    outcomes: how each game ended, in one sentence. ledgers: what each phase cost. notes: what a person
    should be told once, until somebody does.
    """

    settings: Config
    hardware: Hardware
    alphabet: Alphabet
    train: Rows
    validation: Rows
    test: Rows
    generator: Generator
    discriminator: Discriminator
    kept: dict[str, Weights] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, settings: Config, hardware: Hardware, alphabet: Alphabet, splits: tuple[Rows, Rows, Rows]) -> World:
        torch.manual_seed(settings.seed)
        generator = hardware.place(build_generator(settings, alphabet.size, alphabet.labels))
        discriminator = hardware.place(build_discriminator(settings, alphabet.size, generator, alphabet.tokenizer))
        if isinstance(discriminator, KeepsReal):
            for rows in splits:
                discriminator.know(rows.row(i)[0] for i in range(len(rows)))
        notes = []
        if settings.memory.offload and hardware.stage is None:
            notes = ["memory.offload has no effect: the players are in the CPU's memory already"]
        return cls(settings, hardware, alphabet, *splits, generator, discriminator, notes=notes)

    def ledger(self, phase: str) -> Ledger:
        return self.ledgers.setdefault(phase, Ledger())

    def keep(self, name: str, player: Player) -> None:
        self.kept[name] = {k: v.detach().clone() for k, v in player.state_dict().items()}

    def restored(self, name: str) -> Generator:
        """A generator of its own with the kept weights, in eval mode."""
        generator = copied(self.generator)
        generator.load_state_dict(self.kept[name])
        return self.hardware.at_rest(generator.eval())

    def new_discriminator(self) -> Discriminator:
        """A discriminator as the warm-up found it: new, or with the pre-trained generator's weights."""
        alphabet, own = self.alphabet, self.settings.discriminator.pretrained is not None
        generator = self.generator if own else self.restored("pretrained")
        discriminator = build_discriminator(self.settings, alphabet.size, generator, alphabet.tokenizer)
        share(discriminator, self.discriminator)
        return self.hardware.place(discriminator)

    def batches(self, rows: Rows, *purpose: int) -> TextStream:
        return TextStream(self, rows, stream(self.settings.seed, *purpose))

    def write(self, generator: Generator, prompts: Batch, seed: int) -> Batch:
        """Completions in the game's own distribution."""
        return sample(
            generator,
            prompts,
            max_length=self.settings.generator.context,
            eos=self.alphabet.eos,
            pad=self.alphabet.pad,
            seed=seed,
            sampling=Sampling(self.settings.adversarial.temperature),
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "kept": self.kept,
            "ledgers": {name: asdict(ledger) for name, ledger in self.ledgers.items()},
            "outcomes": self.outcomes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        device = self.hardware.device
        self.kept = {name: {k: v.to(device) for k, v in weights.items()} for name, weights in state["kept"].items()}
        self.ledgers = {name: Ledger(**values) for name, values in state["ledgers"].items()}
        self.outcomes = state["outcomes"]


class TextStream:
    """Real texts in a resumable order: the n-th batch is a function of the seed and n."""

    def __init__(self, world: World, rows: Rows, seed: int):
        self.world, self.seed = world, seed
        self.source = Batches(rows, world.settings.rows_per_step, seed)

    def at(self, n: int) -> Batch:
        """As many texts as one update takes, with their prompts (or random prefixes as prompts)."""
        batch = self.source.at(n)
        prompt = self.world.settings.prompt
        if prompt.source == "prefix":
            batch = with_prefix(batch, prompt.max_prefix, stream(self.seed, n))
        return batch.to(self.world.hardware.device)

    def prompts(self, n: int) -> tuple[Batch, Tensor]:
        """Initial texts, each ``samples_per_prompt`` times, ``rows_per_step`` in all; and their groups [B]."""
        settings = self.world.settings.adversarial
        batch = self.at(n)
        count = len(batch) // settings.samples_per_prompt
        index = torch.arange(count, device=batch.tokens.device).repeat_interleave(settings.samples_per_prompt)
        return batch.rows(index), index
