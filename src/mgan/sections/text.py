"""Where text comes from and how it becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mgan.sections.base import Positive, Section

ORACLE = "oracle"
"""The data.path that stands for no file but for ``data.oracle``."""


class Oracle(Section):
    """A known random network whose samples are the text (data.path=oracle; of the fields of data only path counts)."""

    architecture: Literal["lstm", "gru", "transformer"] = Field("lstm", description="network family")
    weights: str | None = Field(
        None, min_length=1, description="an .npz file with the weights of an LSTM of one layer; null: drawn by seed"
    )
    hidden: Positive = Field(32, description="width H of embeddings and hidden states")
    layers: Positive = Field(1, description="stacked layers")
    vocabulary: int = Field(5000, ge=2, description="tokens V; token 0 also starts every text")
    length: int = Field(20, ge=7, description="tokens of every text")
    seed: int = Field(0, ge=0, le=2**53, description="of the network and its texts, whatever the run's seed is")
    texts: Positive = Field(10_000, description="texts drawn to train on")
    held_out: Positive = Field(5000, description="texts drawn for validation, and again for test")


class Data(Section):
    """Where the text comes from and how it is cut and split."""

    path: str = Field("tang", min_length=1, description="file, folder, embedded corpus or Hugging Face dataset name")
    split: Literal["line", "paragraph"] = Field("line", description="what one text is in a .txt file")
    text_field: str = Field("text", description="field that holds the text in structured files")
    prompt_field: str = Field("prompt", description="field that holds the prompt in structured files")
    prompt_ending: str | None = Field(
        None, min_length=1, description="put behind every prompt that does not end so, messages apart; null: nothing"
    )
    completion_field: str = Field("completion", description="field that holds the answer to the prompt")
    label_field: str = Field("label", description="field that holds the class of a text (prompt.source=label)")
    turns: Literal["last", "all"] = Field(
        "last", description="which answers of a chat are texts: its last one, or each, given everything before it"
    )
    lowercase: bool = Field(False, description="lower-case every text before anything else")
    max_texts: Positive | None = Field(None, description="read at most so many texts; null: all")
    validation: float = Field(0.1, gt=0, lt=0.5, description="share of texts held out for choices")
    test: float = Field(0.1, gt=0, lt=0.5, description="share of texts held out for the verdict")
    test_path: str | None = Field(
        None, min_length=1, description="a source of its own for the test texts, like data.path; null: the share above"
    )
    oracle: Oracle = Oracle()


class Tokenizer(Section):
    """How text becomes tokens; trained on the training split."""

    kind: Literal["auto", "char", "word", "bpe", "ids", "pretrained"] = Field(
        "auto",
        description="auto chooses by script; ids: an oracle's token ids, only and always with data.path=oracle; "
        "pretrained: the generator's own, only and always with generator.pretrained",
    )
    vocabulary: int = Field(8000, ge=16, description="most tokens, special ones included")
    min_frequency: Positive = Field(2, description="rarer characters or words become the unknown token")


class Prompt(Section):
    """Initial text s: what the generator is given."""

    source: Literal["data", "prefix", "label", "blanks"] = Field(
        "data",
        description="data: the file's prompts, else BOS alone; prefix: a random prefix of a real text; label: the "
        "text's class, a token of its own; blanks: the text without a stretch that is to be filled in",
    )
    template: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="chat: prompts and messages go through the pretrained generator's chat template; plain: as they "
        "are; auto: chat where the data have prompts and the model a template",
    )
    max_prefix: Positive = Field(8, description="longest random prefix in tokens (source=prefix)")
    blanks: float = Field(0.5, gt=0, le=1, description="share of a text's tokens that is left out (source=blanks)")
