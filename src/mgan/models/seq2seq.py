"""Encoder-decoder language models of transformers as generators (Sutskever et al. 2014), pretrained or from scratch.

A row is the source, which ends with the boundary (EOS), and what was written after it. The encoder reads the source in
both directions; the decoder reads ``begin`` and then what was written, and looks at all of the source at every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DynamicCache,
    EncoderDecoderCache,
    T5Config,
    T5ForConditionalGeneration,
)

from mgan.data import pretrained as hub
from mgan.data.segmentation import BOS, EOS, PAD, SPECIALS
from mgan.models.pretrained import CachedState, open_model, open_saved
from mgan.models.probe import agree
from mgan.types import UserError

PROBED = 7


@dataclass(frozen=True)
class SourceState:
    """What the decoder knows. A value.

    memory: [B, S, H], what the encoder made of the sources. seen: [B, S], 1 where these have tokens. written: keys and
    values of what the decoder has read; attended: those of the sources, computed at the first step.
    """

    memory: Tensor
    seen: Tensor
    written: CachedState
    attended: CachedState

    def select(self, index: Tensor) -> SourceState:
        chosen = (part.select(index) for part in (self.written, self.attended))
        return SourceState(self.memory[index], self.seen[index], *chosen)


class Seq2SeqGenerator(nn.Module):
    """An encoder-decoder that reads sources and writes texts of ``context`` tokens together.

    Raises UserError if it has not as many positions, or does not say how a text begins and ends.
    """

    def __init__(self, model: Any, context: int):
        super().__init__()
        self.model = model
        self.context = context
        config = model.config
        self.begin = _begin(model)
        self.boundary = config.eos_token_id
        if not isinstance(self.boundary, int):
            raise UserError(f"generator.pretrained: a {type(model).__name__} must name one EOS in its config.json")
        names = ("max_position_embeddings", "max_encoder_position_embeddings", "max_decoder_position_embeddings")
        positions = min(getattr(config, name, None) or context + len(self.begin) for name in names)
        if context + len(self.begin) > positions:
            raise UserError(
                f"generator.context={context} is more than the {positions} positions of {type(model).__name__} allow; "
                f"set generator.context={positions - len(self.begin)} or less"
            )
        # T5 scales where it ties its embeddings, and says so in a field; its umT5 always does.
        scaled = getattr(config, "scale_decoder_outputs", config.model_type == "umt5")
        self._scale = config.hidden_size**-0.5 if scaled else 1.0
        bias = getattr(model, "final_logits_bias", None)
        self._biased = bias is not None and bool(bias.any())
        _freeze_what_is_not_saved(model)

    @property
    def output(self) -> nn.Linear:
        head = self.model.get_output_embeddings()
        if not self._biased:
            return head
        # Marian's logits have a bias that is no part of its layer.
        layer = nn.Linear(head.in_features, head.out_features, device="meta")
        layer.weight = head.weight
        layer.bias = nn.Parameter(self.model.final_logits_bias.view(-1).to(head.weight.dtype), requires_grad=False)
        return layer

    def source_length(self, tokens: Tensor) -> Tensor:
        ends = tokens == self.boundary
        if not bool(ends.any(1).all()):
            raise ValueError(f"a row without a boundary (token {self.boundary}), so without an end of its source")
        return ends.int().argmax(1) + 1

    def features(self, tokens: Tensor) -> Tensor:
        length = self.source_length(tokens)
        shortest, longest, place = int(length.min()), int(length.max()), torch.arange(tokens.shape[1]).to(length)
        memory, seen = self._encoded(tokens[:, :longest], length)
        # Further right than a row goes, anything may be read: nothing left of it changes.
        written = (length[:, None] + place[: tokens.shape[1] - shortest]).clamp(max=tokens.shape[1] - 1)
        begin = tokens.new_tensor(self.begin).expand(len(tokens), -1)
        decoded = self._decoder(
            input_ids=torch.cat([begin, tokens.gather(1, written)], 1), encoder_hidden_states=memory,
            encoder_attention_mask=seen, use_cache=False,
        ).last_hidden_state  # fmt: skip
        step = place - length[:, None] + len(self.begin)
        index = step.clamp(0, decoded.shape[1] - 1)[..., None].expand(-1, -1, decoded.shape[2])
        behind = (step >= len(self.begin) - 1)[..., None]
        return self._scaled(decoded.gather(1, index)).masked_fill(~behind, 0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    @torch.no_grad()
    def encode(self, sources: Tensor, length: Tensor) -> SourceState:
        memory, seen = self._encoded(sources, length)
        return SourceState(memory, seen, CachedState(DynamicCache()), CachedState(DynamicCache()))

    def _encoded(self, sources: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        seen = (torch.arange(sources.shape[1]).to(length) < length[:, None]).long()
        return self.model.get_encoder()(input_ids=sources, attention_mask=seen).last_hidden_state, seen

    def start(self, rows: int) -> SourceState:
        raise ValueError("an encoder-decoder writes after a source: it starts with encode, not with start")

    def state_size(self, length: int) -> int:
        """A token of the source has keys and values as one of the text, and the encoder's features besides."""
        config = self.model.config
        width = config.num_attention_heads * getattr(config, "d_kv", config.hidden_size // config.num_attention_heads)
        return (2 * self._decoder_layers * width + config.hidden_size) * length

    @torch.no_grad()
    def read(self, tokens: Tensor, state: SourceState) -> tuple[Tensor, SourceState]:
        written, attended = state.written.copy(), state.attended.copy()
        decoded = self._decoder(
            input_ids=tokens, past_key_values=EncoderDecoderCache(written.cache, attended.cache),
            encoder_hidden_states=state.memory, encoder_attention_mask=state.seen, use_cache=True,
        )  # fmt: skip
        after = SourceState(state.memory, state.seen, written, attended)
        return self._scaled(decoded.last_hidden_state[:, -1]), after

    @property
    def _decoder(self) -> Any:
        return self.model.get_decoder()

    @property
    def _decoder_layers(self) -> int:
        config = self.model.config
        return getattr(config, "num_decoder_layers", None) or config.decoder_layers

    def _scaled(self, features: Tensor) -> Tensor:
        return features if self._scale == 1 else features * self._scale

    @property
    def flops_per_token(self) -> int:
        """Of a source's token, which the encoder reads, and a text's, which decoder and output layer do, the mean."""
        tables = {id(m.weight) for m in self.model.modules() if isinstance(m, nn.Embedding)}
        weights = {id(p): p.numel() for p in self.model.parameters()}
        head = self.output.weight
        inner = sum(size for key, size in weights.items() if key not in tables and key != id(head))
        attention = 2 * self._decoder_layers * self.model.config.hidden_size * self.context
        return inner + head.numel() + attention


def _freeze_what_is_not_saved(model: Any) -> None:
    """Sines and cosines of positions are computed when a model is opened, though some keep them as weights."""
    for name in model._keys_to_ignore_on_save or ():
        module, _, leaf = name.rpartition(".")
        owner = model.get_submodule(module)
        fixed = getattr(owner, leaf).detach()
        delattr(owner, leaf)
        owner.register_buffer(leaf, fixed)


def _begin(model: Any) -> tuple[int, ...]:
    """The token by which the decoder starts, and the BOS that ``generate`` forces to follow it, if there is one."""
    start, forced = model.generation_config.decoder_start_token_id, model.generation_config.forced_bos_token_id
    if start is None:
        start = getattr(model.config, "decoder_start_token_id", None)
    if start is None:
        raise UserError(
            f"generator.pretrained: a {type(model).__name__} must name the token by which its decoder starts; put "
            "decoder_start_token_id into its config.json"
        )
    return (start,) if forced is None else (start, forced)


def from_scratch(
    vocabulary: int, hidden: int, layers: int, heads: int, dropout: float, context: int
) -> Seq2SeqGenerator:
    """A small T5 (Raffel et al. 2020): ``layers`` in the encoder and as many in the decoder, one table of embeddings.

    For the special tokens of our own tokenizers; the decoder starts with BOS.
    """
    pad, bos, eos = (SPECIALS.index(name) for name in (PAD, BOS, EOS))
    shape: Any = T5Config  # its types do not know that a generation's settings are also a configuration's
    config = shape(
        vocab_size=vocabulary, d_model=hidden, d_kv=hidden // heads, d_ff=4 * hidden, num_layers=layers,
        num_heads=heads, dropout_rate=dropout, pad_token_id=pad, eos_token_id=eos, decoder_start_token_id=bos,
    )  # fmt: skip
    return Seq2SeqGenerator(T5ForConditionalGeneration(config), context)


def is_seq2seq(model: str) -> bool:
    """Whether ``generator.pretrained=model`` is an encoder-decoder. Raises UserError if it cannot be opened."""
    return bool(hub.load(model, "configuration", AutoConfig.from_pretrained).is_encoder_decoder)


def load(model: str, context: int) -> Seq2SeqGenerator:
    """``generator.pretrained=model`` in eval mode, weights in fp32. Raises UserError if it cannot be a generator."""
    opened = open_model(model, AutoModelForSeq2SeqLM, "encoder-decoder language model")
    _force_bos(opened, hub.load(model, "tokenizer", AutoTokenizer.from_pretrained))
    generator = Seq2SeqGenerator(opened, context).eval()
    _probe(generator)
    return generator


def _force_bos(model: Any, tokenizer: Any) -> None:
    """A tokenizer that puts a BOS before sources put it before the texts too that the model learned to write."""
    bos, ids = tokenizer.bos_token_id, tokenizer("").input_ids
    if bos is not None and ids[:1] == [bos] and model.generation_config.forced_bos_token_id is None:
        model.generation_config.forced_bos_token_id = bos


@torch.no_grad()
def _probe(generator: Seq2SeqGenerator) -> None:
    """Raises UserError unless features, output layer and state do what the model itself does with each row alone."""
    name, boundary = type(generator.model).__name__, generator.boundary
    refusal = UserError(
        f"generator.pretrained: mgan does not know how a {name} makes its logits or keeps its state; take a model like "
        "T5, BART or Marian"
    )
    words = torch.arange(4 * PROBED).view(2, -1) * 7 % (generator.model.config.vocab_size - 1)
    length = torch.tensor([PROBED, PROBED - 3])
    rows = (words + (words >= boundary)).scatter(1, length[:, None] - 1, boundary)
    swap = torch.tensor([1, 0])
    try:
        features = generator.features(rows)
        said = (generator.output(feature[end - 1 :]) for feature, end in zip(features, length, strict=True))
        expected = (_own_logits(generator, row, int(end)) for row, end in zip(rows, length, strict=True))
        same = all(agree(ours, theirs) for ours, theirs in zip(said, expected, strict=True))
        begin = torch.tensor(generator.begin).expand(2, -1)
        _, state = generator.read(begin, generator.encode(rows[:, :PROBED], length))
        feature, _ = generator.read(rows.gather(1, length[:, None])[swap], state.select(swap))
        same &= agree(feature, features[swap, length[swap]])
    # An architecture that differs may differ in anything.
    except Exception as error:
        raise refusal from error
    if not same:
        raise refusal


def _own_logits(generator: Seq2SeqGenerator, row: Tensor, source: int) -> Tensor:
    """[T, V]: what the model itself says behind a source and after each further token of the row."""
    given = torch.cat([torch.tensor(generator.begin), row[source:]])
    said = generator.model(input_ids=row[None, :source], decoder_input_ids=given[None], use_cache=False)
    return said.logits[0, len(generator.begin) - 1 :]


def load_saved(folder: Path, context: int) -> Seq2SeqGenerator:
    """What ``pretrained.save`` wrote. Raises OSError, ValueError and the like if it is not whole."""
    return Seq2SeqGenerator(open_saved(folder, AutoModelForSeq2SeqLM), context).eval()
