"""Players from a configuration, and players in a folder: config.json and model.safetensors, nothing that unpickles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mgan import config, files
from mgan.data.tokenizers import Tokenizer
from mgan.models import adapters, judges
from mgan.models.classes import ClassDiscriminator
from mgan.models.cnn import CNNDiscriminator
from mgan.models.ensemble import Ensemble
from mgan.models.language_judge import LanguageJudge
from mgan.models.latent import noise_of
from mgan.models.leakgan import LeakGANGenerator
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator, copy_where_shapes_agree
from mgan.models.per_label import PerLabelGenerator
from mgan.models.protocols import Discriminator, Generator, Player
from mgan.models.ranking import rank_texts
from mgan.models.recompute import recompute
from mgan.models.regularised import bound_layers, disturb_embeddings
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
    """Everything needed to build a player before its weights are read.

    architecture: "pretrained" is whatever the model's own config.json says; of the sizes only ``context`` counts then.
    latent: size of the noise a generator writes from.
    labels: how many networks a generator is made of, or how many classes of real texts a discriminator knows; 0: one.
    ranks: whether a discriminator ranks texts.
    """

    role: Role
    architecture: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    dropout: float
    tied: bool
    context: int
    ensemble: int = 1
    spectral_norm: bool = False
    labels: int = 0
    latent: int = 0
    ranks: bool = False

    @classmethod
    def of(cls, role: Role, size: Size, vocabulary: int, generator: config.Generator, labels: int = 0) -> Architecture:
        pretrained = role == "generator" and generator.pretrained is not None
        return cls(
            role=role,
            architecture="pretrained" if pretrained else size.architecture,
            vocabulary=vocabulary,
            hidden=size.hidden,
            layers=size.layers,
            heads=size.heads,
            dropout=size.dropout,
            tied=generator.tied,
            context=generator.context,
            ensemble=getattr(size, "ensemble", 1),
            spectral_norm=getattr(size, "spectral_norm", False),
            labels=labels,
            latent=generator.latent if role == "generator" else 0,
        )

    @classmethod
    def in_run(cls, role: Role, settings: config.Config, vocabulary: int, labels: int) -> Architecture:
        """A player of a run whose texts have so many labels."""
        asked = settings.generator.per_label if role == "generator" else settings.game.loss == "classes"
        player = cls.of(role, getattr(settings, role), vocabulary, settings.generator, labels * asked)
        return replace(player, ranks=role == "discriminator" and settings.game.loss == "rank")

    def build(self) -> nn.Module:
        if self.labels and self.role == "generator":
            return PerLabelGenerator([self._network() for _ in range(self.labels)])
        network: nn.Module = self._network()
        if self.labels:
            network = ClassDiscriminator(network, self.labels)
        if self.ranks:
            rank_texts(network)
        if self.spectral_norm:
            bound_layers(network)
        return network

    def _network(self) -> nn.Module:
        if self.architecture == "transformer":
            return self._transformer()
        if self.architecture == "encoder_decoder":
            from mgan.models import seq2seq

            return seq2seq.from_scratch(
                self.vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.context
            )
        if self.architecture == "cnn":
            return CNNDiscriminator(self.vocabulary, self.hidden, self.dropout)
        if self.architecture == "seqgan":
            return SeqGANDiscriminator(self.vocabulary, self.hidden, self.dropout)
        if self.architecture == "language_model":
            return LanguageJudge(self.vocabulary, self.hidden, self.layers, self.dropout, self.tied)
        if self.architecture == "relgan":
            return RelGANDiscriminator(self.vocabulary, self.hidden, self.heads, self.dropout)
        if self.architecture == "relational":
            return RelationalGenerator(
                self.vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.tied, latent=self.latent
            )
        if self.architecture == "leakgan":
            return LeakGANGenerator(self.vocabulary, self.hidden, self.layers, self.dropout)
        if self.architecture != "lstm":
            raise ValueError(f"unknown architecture {self.architecture}")
        size = (self.vocabulary, self.hidden, self.layers, self.dropout)
        if self.role == "generator":
            return LSTMGenerator(*size, self.tied, self.latent)
        return LSTMDiscriminator(*size)

    def _transformer(self) -> nn.Module:
        from mgan.models import transformer  # transformers takes seconds to import

        shape = transformer.gpt2_config(
            self.vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.context, self.tied
        )
        if self.role == "generator":
            return transformer.TransformerGenerator(shape, self.latent)
        return transformer.TransformerDiscriminator(shape)


def build_generator(settings: config.Config, vocabulary: int, labels: int = 0) -> Generator:
    """A new generator, or the pretrained one that ``generator.pretrained`` names, which may be ``Opaque``.

    labels: how many the texts have.
    """
    if settings.generator.pretrained is not None:
        from mgan.models import pretrained, seq2seq

        name, context = settings.generator.pretrained, settings.generator.context
        load = seq2seq.load if seq2seq.is_seq2seq(name) else pretrained.load
        generator: Any = load(name, context)
        if settings.generator.lora.rank:
            adapters.adapt(generator, "generator", settings.generator.lora, settings.memory.base)
        if settings.memory.checkpointing:
            recompute(generator.model)
        return cast(Generator, generator)
    return cast(Generator, Architecture.in_run("generator", settings, vocabulary, labels).build())


def build_discriminator(
    settings: config.Config, vocabulary: int, generator: Player, tokenizer: Tokenizer | None = None
) -> Discriminator:
    """A new discriminator; with ``from_generator`` it starts from the generator's weights where shapes agree.

    tokenizer: what the generator's text is read with; only a pretrained discriminator, and one of classes, needs it.
    """
    section = settings.discriminator
    if section.architecture in judges.KINDS:
        if tokenizer is None:
            raise ValueError("a pretrained discriminator reads text: it needs the generator's tokenizer")
        section = section.model_copy(update={"pretrained": settings.discriminator_source()})
        return cast(Discriminator, judges.build(section, tokenizer, settings.memory))
    labels = len(tokenizer.labels) if tokenizer else 0
    network = Architecture.in_run("discriminator", settings, vocabulary, labels).build()
    if section.embedding_noise:
        disturb_embeddings(network, section.embedding_noise)
    discriminator = cast(Discriminator, network)
    if section.from_generator:
        begin_with(generator, discriminator)
    return discriminator


def begin_with(generator: Player, discriminator: Discriminator) -> int:
    """Copies the generator's weights where shapes agree; returns how many tensors."""
    # A discriminator of classes is a network with another last layer.
    return copy_where_shapes_agree(generator, getattr(discriminator, "network", discriminator))


def save_player(folder: Path, player: Player, architecture: Architecture, **facts: Any) -> None:
    """Write config.json and model.safetensors, each atomically; ``facts`` are kept beside the architecture.

    A transformer generator is written as a plain GPT-2, and a pretrained one as what it is: transformers loads both by
    itself.
    """
    description = asdict(architecture) | facts
    if architecture.architecture == "pretrained":
        from mgan.models import pretrained

        return pretrained.save(folder, cast(pretrained.PretrainedGenerator, player), description)
    folder.mkdir(parents=True, exist_ok=True)
    plain = _plain(player)
    hugging_face = plain.config.to_dict() if hasattr(plain, "config") else {"model_type": "mgan"}
    if isinstance(player, Ensemble):
        for number, member in enumerate(player.members):
            save_player(folder / str(number), cast(Player, member), replace(architecture, ensemble=1), **facts)
        return files.write_json(folder / "config.json", hugging_face | {"mgan": description})
    if architecture.architecture in judges.KINDS:
        judges.save_beside(folder, player)
    weights = adapters.merged(player) if (has_adapter := any(adapters.adapted(player))) else plain.state_dict()
    files.replace(folder / "model.safetensors", lambda path: save_file(_once(weights), path, metadata={"format": "pt"}))
    if has_adapter:
        adapters.save(folder / adapters.FOLDER, player)
    files.write_json(folder / "config.json", hugging_face | {"mgan": description})
    return None


def load_player(folder: Path) -> tuple[Any, Architecture, dict[str, Any]]:
    """The player in a folder, in eval mode, with its architecture and the facts kept beside it."""
    try:
        description = json.loads((folder / "config.json").read_text())["mgan"]
        names = set(Architecture.__dataclass_fields__)
        architecture = Architecture(**{k: v for k, v in description.items() if k in names})
        player: Any = _read(folder, architecture)
    except FileNotFoundError as error:
        missing = Path(error.filename or "model.safetensors").name
        raise UserError(f"{folder} holds no saved player: {missing} is missing") from error
    except (*MALFORMED, OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} holds a player that cannot be read: its files are cut short or altered") from error
    facts = {k: v for k, v in description.items() if k not in names}
    return player.eval(), architecture, facts


def _read(folder: Path, architecture: Architecture) -> Any:
    if architecture.architecture == "pretrained":
        from mgan.models import pretrained, seq2seq

        both = json.loads((folder / "config.json").read_text()).get("is_encoder_decoder", False)
        return (seq2seq if both else pretrained).load_saved(folder, architecture.context)
    kind, members = architecture.architecture, architecture.ensemble
    if kind not in judges.KINDS:
        player = architecture.build()
    elif members > 1 and kind != "features":
        return Ensemble(load_player(folder / str(number))[0] for number in range(members))
    else:
        player = judges.load(folder, kind, architecture.hidden, architecture.dropout, members)
    _load_weights(_plain(player), load_file(folder / "model.safetensors"))
    return player


def _plain(player: Any) -> Any:
    """The module whose weights are written: of a transformer generator or judge the Hugging Face model inside.

    Of one that writes from noise all of it: no other program would give it z.
    """
    if noise_of(player) is not None:
        return player
    return getattr(player, "model", player) if hasattr(player, "read") or hasattr(player, "reader") else player


def _once(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of tied tensors the first name."""
    names: dict[int, str] = {}
    return {
        name: tensor.contiguous()
        for name, tensor in weights.items()
        if names.setdefault(tensor.data_ptr(), name) == name
    }


def _load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    if weights.keys() != _once(module.state_dict()).keys():
        raise ValueError("the file holds other tensors than the network")
    module.load_state_dict(weights, strict=False)
