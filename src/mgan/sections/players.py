"""The two players."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mgan.sections.base import Coefficient, Count, Positive, Rate, Section

PRETRAINED_JUDGES = ("classifier", "features", "causal")
"""Discriminators that read text with a pretrained model's tokenizer."""
OWN = "generator"
"""The discriminator.pretrained that stands for generator.pretrained."""


class Lora(Section):
    """Small matrices that learn in place of a pretrained model's own weights (Hu et al. 2021)."""

    rank: Count = Field(0, description="rank r of what is added to a weight; 0: off, the whole model learns")
    alpha: Rate = Field(16.0, description="what is added is multiplied by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the added matrices while training")
    targets: tuple[str, ...] | None = Field(
        None, min_length=1, description="ends of names of the linear layers they are added to; null: all but the head"
    )


class Generator(Section):
    """The player that writes."""

    architecture: Literal["lstm", "relational", "transformer", "encoder_decoder", "leakgan"] = Field(
        "lstm",
        description="network family; encoder_decoder reads prompts in both directions, as for translation; leakgan "
        "reads the discriminator's features of its own text",
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder, .gguf file or Hugging Face hub name of a causal or encoder-decoder language model to "
        "start from, its size and dropout its own; null: a network from scratch, as the other fields say",
    )
    hidden: Positive = Field(128, description="width H of embeddings and hidden states")
    layers: Positive = Field(
        1, description="stacked layers, of each part (encoder_decoder); attention blocks a token (relational)"
    )
    heads: Positive = Field(4, description="attention heads (transformer, encoder_decoder, relational)")
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout while fitting by likelihood; off while playing")
    tied: bool = Field(True, description="share input and output embeddings")
    per_label: bool = Field(False, description="a network of this size for each label (prompt.source=label)")
    latent: Count = Field(
        0, description="size of the noise z ~ N(0, 1) that every text is written from (lstm, relational, transformer)"
    )
    context: int = Field(128, ge=8, description="longest sequence in tokens, BOS and EOS included")
    lora: Lora = Lora()


class Discriminator(Section):
    """The player that tells real from generated."""

    architecture: Literal[
        "lstm", "cnn", "seqgan", "relgan", "language_model", "transformer", "classifier", "features", "causal"
    ] = Field(
        "lstm",
        description="network family; language_model: an LSTM whose logit is how little it expected the text; the last "
        "three read text with a pretrained model",
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder or Hugging Face hub name of a model that is trained whole (classifier, causal) or frozen "
        "under a small network (features); generator: the generator's own, as it was before any training",
    )
    ensemble: Positive = Field(1, description="networks that judge together, their mean logit (pretrained)")
    hidden: Positive = Field(128, description="width H of embeddings and hidden states; of the network on features")
    layers: Positive = Field(1, description="stacked layers")
    heads: Positive = Field(4, description="attention heads (transformer), representations (relgan)")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout while training; a model trained whole has its own")
    from_generator: bool = Field(
        True, description="start from the pre-trained generator's weights where shapes agree (without pretrained)"
    )
    spectral_norm: bool = Field(
        False, description="bound the largest singular value of every layer by 1 (cnn, seqgan, relgan)"
    )
    embedding_noise: Coefficient = Field(
        0.0, description="deviation of noise on embeddings while training (without pretrained)"
    )
    lora: Lora = Lora()


class Memory(Section):
    """What memory a run may save, and how. Most of it counts on a GPU and with pretrained players."""

    checkpointing: bool = Field(
        False, description="compute a pretrained model's activations again for its gradient rather than keep them"
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="precision of the optimizers' moments: fp32, or 8 bits (CUDA; extra: memory)"
    )
    offload: bool = Field(
        False, description="keep the player that is not moving, and its optimizer, in the CPU's memory"
    )
    base: Literal["fp32", "bf16"] = Field(
        "fp32", description="pretrained weights that do not learn: under LoRA, and those of frozen features"
    )
