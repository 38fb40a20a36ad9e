"""Players from a configuration, and players in a folder: config.json and model.safetensors, nothing that unpickles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mgan import config, files
from mgan.models.cnn import CNNDiscriminator
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator, copy_where_shapes_agree
from mgan.models.protocols import Discriminator, Generator, Player
from mgan.models.relational import RelationalGenerator
from mgan.models.relgan import RelGANDiscriminator
from mgan.models.seqgan import SeqGANDiscriminator
from mgan.types import UserError

Role = Literal["generator", "discriminator"]
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What building a player from an altered description can raise."""


class Size(Protocol):
    """What the two players' configuration sections have in common."""

    @property
    def architecture(self) -> str: ...
    @property
    def hidden(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def dropout(self) -> float: ...


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build a player before its weights are read."""

    role: Role
    architecture: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    dropout: float
    tied: bool
    context: int

    @classmethod
    def of(cls, role: Role, size: Size, vocabulary: int, generator: config.Generator) -> Architecture:
        return cls(
            role=role,
            architecture=size.architecture,
            vocabulary=vocabulary,
            hidden=size.hidden,
            layers=size.layers,
            heads=size.heads,
            dropout=size.dropout,
            tied=generator.tied,
            context=generator.context,
        )

    def build(self) -> nn.Module:
        if self.architecture == "transformer":
            return self._transformer()
        if self.architecture == "cnn":
            return CNNDiscriminator(self.vocabulary, self.hidden, self.dropout)
        if self.architecture == "seqgan":
            return SeqGANDiscriminator(self.vocabulary, self.hidden, self.dropout)
        if self.architecture == "relgan":
            return RelGANDiscriminator(self.vocabulary, self.hidden, self.heads, self.dropout)
        if self.architecture == "relational":
            return RelationalGenerator(self.vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.tied)
        if self.architecture != "lstm":
            raise ValueError(f"unknown architecture {self.architecture}")
        size = (self.vocabulary, self.hidden, self.layers, self.dropout)
        return LSTMGenerator(*size, self.tied) if self.role == "generator" else LSTMDiscriminator(*size)

    def _transformer(self) -> nn.Module:
        from mgan.models import transformer  # transformers takes seconds to import

        shape = transformer.gpt2_config(
            self.vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.context, self.tied
        )
        if self.role == "generator":
            return transformer.TransformerGenerator(shape)
        return transformer.TransformerDiscriminator(shape)


def build_generator(settings: config.Config, vocabulary: int) -> Generator:
    return cast(Generator, Architecture.of("generator", settings.generator, vocabulary, settings.generator).build())


def build_discriminator(settings: config.Config, vocabulary: int, generator: Player) -> Discriminator:
    """A new discriminator; with ``from_generator`` it starts from the generator's weights where shapes agree."""
    section = settings.discriminator
    architecture = Architecture.of("discriminator", section, vocabulary, settings.generator)
    discriminator = cast(Discriminator, architecture.build())
    if section.from_generator:
        copy_where_shapes_agree(generator, discriminator)
    return discriminator


def save_player(folder: Path, player: Player, architecture: Architecture, **facts: Any) -> None:
    """Write config.json and model.safetensors, each atomically; ``facts`` are kept beside the architecture.

    A transformer generator is written as a plain GPT-2, which transformers loads by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = _plain(player)
    hugging_face = plain.config.to_dict() if hasattr(plain, "config") else {"model_type": "mgan"}
    description = hugging_face | {"mgan": asdict(architecture) | facts}
    files.replace(
        folder / "model.safetensors", lambda path: save_file(_weights(plain), path, metadata={"format": "pt"})
    )
    files.write_json(folder / "config.json", description)


def load_player(folder: Path) -> tuple[Any, Architecture, dict[str, Any]]:
    """The player in a folder, in eval mode, with its architecture and the facts kept beside it."""
    try:
        description = json.loads((folder / "config.json").read_text())["mgan"]
        names = set(Architecture.__dataclass_fields__)
        architecture = Architecture(**{k: v for k, v in description.items() if k in names})
        player = architecture.build()
        _load_weights(_plain(player), load_file(folder / "model.safetensors"))
    except FileNotFoundError as error:
        missing = Path(error.filename or "model.safetensors").name
        raise UserError(f"{folder} holds no saved player: {missing} is missing") from error
    except (*MALFORMED, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} holds a player that cannot be read: its files are cut short or altered") from error
    facts = {k: v for k, v in description.items() if k not in names}
    return player.eval(), architecture, facts


def _plain(player: Any) -> Any:
    """The module whose weights are written: of a transformer generator the Hugging Face model inside."""
    return getattr(player, "model", player) if hasattr(player, "read") else player


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor once: of tied ones the first name."""
    names: dict[int, str] = {}
    return {
        name: tensor.contiguous()
        for name, tensor in module.state_dict().items()
        if names.setdefault(tensor.data_ptr(), name) == name
    }


def _load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    if weights.keys() != _weights(module).keys():
        raise ValueError("the file holds other tensors than the network")
    module.load_state_dict(weights, strict=False)
