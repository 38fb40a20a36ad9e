"""A discriminator with all it needs to judge text as TRL hands it over: strings, or lists of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mgan import config
from mgan.data import readers, shapes, tokenizers
from mgan.data.examples import Example, Prompt, answer
from mgan.data.rows import encode
from mgan.data.tokenizers import Tokenizer
from mgan.fit.classifier import verdicts
from mgan.fit.hardware import Hardware
from mgan.locate import find_run
from mgan.models import judges, serving
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.protocols import Discriminator
from mgan.types import Batch, UserError

Texts = Sequence[Any]
"""Prompts or completions as TRL has them: strings or lists of {"role", "content"}."""


@dataclass(frozen=True)
class Judge:
    """discriminator: in eval mode. tokenizer: its rows are written with it. lowercase: it knows no capitals."""

    discriminator: Discriminator
    tokenizer: Tokenizer
    architecture: Architecture
    lowercase: bool = False

    @classmethod
    def of(cls, place: str | Path) -> Judge:
        """That of a run, by name or folder, or of a discriminator's own folder. Raises UserError if there is none."""
        folder = Path(place).expanduser()
        if not (folder / "config.json").is_file():
            folder = find_run(place) / "discriminator"
        player, architecture, facts = load_player(folder)
        if architecture.role != "discriminator":
            raise UserError(f"{folder} holds a {architecture.role}, not a discriminator")
        reads = folder / (judges.READS if architecture.architecture in judges.KINDS else "")
        first = reads if reads.is_dir() else folder / "0" / judges.READS
        return cls(player, Tokenizer.load(first), architecture, bool(facts.get("lowercase", False)))

    @classmethod
    def new(cls, pretrained: str, policy: str, architecture: str = "classifier", context: int = 512) -> Judge:
        """One that begins as a pretrained model, a folder or a name on the hub, and has learned nothing yet.

        policy: the model that is trained, whose tokenizer and chat template the texts are written with. architecture:
        ``classifier``, an encoder; ``causal``, a language model; ``features``, a frozen encoder under a small network.
        context: tokens of the policy's that a text may have; what is longer is cut.
        """
        if architecture not in judges.KINDS:
            raise UserError(f"architecture must be one of {', '.join(judges.KINDS)}, not {architecture!r}")
        section = config.Discriminator.model_validate({"architecture": architecture, "pretrained": pretrained})
        tokenizer = tokenizers.pretrained(policy, "auto", prompted=True)
        shape = Architecture.of("discriminator", section, tokenizer.vocabulary_size, config.Generator(context=context))
        return cls(cast(Discriminator, judges.build(section, tokenizer).eval()), tokenizer, shape)

    def save(self, folder: str | Path) -> None:
        """As a run's ``discriminator/``, which ``of`` opens again."""
        path = Path(folder)
        save_player(path, self.discriminator, self.architecture, lowercase=self.lowercase)
        if self.architecture.architecture not in judges.KINDS:
            self.tokenizer.save(path)
        serving.finish_discriminator(path, self.discriminator)

    def batch(self, prompts: Texts, completions: Texts) -> Batch:
        """A row a text, [B, L]; of a text longer than the context the beginning."""
        pairs = zip(prompts, completions, strict=True)
        examples = [answer(shapes.prompt_of(p, "a prompt"), shapes.completion_of(c, "a completion")) for p, c in pairs]
        rows = encode([self._cased(example) for example in examples], self.tokenizer, self.architecture.context)
        index = rows.text_index.tolist()
        return rows.batch([i for i, text in enumerate(index) if i == 0 or index[i - 1] != text])

    def logits(self, prompts: Texts, completions: Texts, device: torch.device) -> Tensor:
        """[B]: d of each completion of its prompt, above 0 where it seems real."""
        self.discriminator.to(device)
        return verdicts(self.discriminator, self.batch(prompts, completions).to(device))

    def _cased(self, example: Example) -> Example:
        return example.lower() if self.lowercase else example


class Answers:
    """The real completions of each prompt."""

    def __init__(self, real: str | Path | Iterable[Mapping[str, Any]]):
        """real: whatever ``data.path`` takes, or records in one of the formats that it takes."""
        self._known: dict[Prompt, list[str]] = {}
        for example in _examples(real):
            self._known.setdefault(example.given, []).append(example.text)

    def of(self, prompt: Any, number: int) -> str:
        """One of the prompt's, by turns: number counts up. Raises UserError if there is none."""
        given = shapes.prompt_of(prompt, "a prompt")
        texts = self._known.get(given)
        if not texts:
            raise UserError(
                f"real has no completion of the prompt {str(given)[:60]!r}: give it every prompt of train_dataset, "
                "each with a completion"
            )
        return texts[number % len(texts)]


def _examples(real: str | Path | Iterable[Mapping[str, Any]]) -> Iterable[Example]:
    if isinstance(real, str | Path):
        yield from readers.read(config.Data(path=str(real)))
        return
    shape: Callable[[Any, str], Example] | None = None
    for number, record in enumerate(real, 1):
        place = f"real, record {number}"
        shape = shape or shapes.shape(record, place, config.Data())
        example = shape(record, place)
        if example.text.strip():
            yield example


class Beside:
    """``Hardware`` without an accelerator of its own, which would undo that of the trainer around us."""

    stage = None
    memory = config.Memory()

    def __init__(self, device: torch.device):
        self.device = device

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def clip(self, parameters: Iterable[nn.Parameter], largest: float) -> float:
        return float(nn.utils.clip_grad_norm_(parameters, largest))

    @classmethod
    def on(cls, device: torch.device) -> Hardware:
        return cast(Hardware, cls(device))
