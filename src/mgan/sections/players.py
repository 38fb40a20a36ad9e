"""The two players."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mgan.sections.base import Positive, Section

PRETRAINED_JUDGES = ("classifier", "features", "causal")
"""Discriminators that read text with a pretrained model's tokenizer."""


class Generator(Section):
    """The player that writes."""

    architecture: Literal["lstm", "relational", "transformer"] = Field("lstm", description="network family")
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder, .gguf file or Hugging Face hub name of a causal language model to start from, its size "
        "and dropout its own; null: a network from scratch, as the other fields say",
    )
    hidden: Positive = Field(128, description="width H of embeddings and hidden states")
    layers: Positive = Field(1, description="stacked layers; attention blocks a token (relational)")
    heads: Positive = Field(4, description="attention heads (transformer, relational)")
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout while fitting by likelihood; off while playing")
    tied: bool = Field(True, description="share input and output embeddings")
    context: int = Field(128, ge=8, description="longest sequence in tokens, BOS and EOS included")


class Discriminator(Section):
    """The player that tells real from generated."""

    architecture: Literal["lstm", "cnn", "seqgan", "relgan", "transformer", "classifier", "features", "causal"] = Field(
        "lstm", description="network family; the last three read text with a pretrained model"
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder or Hugging Face hub name of a model that is trained whole (classifier, causal) or frozen "
        "under a small network (features)",
    )
    ensemble: Positive = Field(1, description="networks that judge together, their mean logit (pretrained)")
    hidden: Positive = Field(128, description="width H of embeddings and hidden states; of the network on features")
    layers: Positive = Field(1, description="stacked layers")
    heads: Positive = Field(4, description="attention heads (transformer), representations (relgan)")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout while training; a model trained whole has its own")
    from_generator: bool = Field(
        True, description="start from the pre-trained generator's weights where shapes agree (without pretrained)"
    )
