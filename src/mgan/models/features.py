"""A discriminator on the frozen features of a pretrained encoder.

Features of a text: the mean over its tokens of each of the last three layers, and the maximum over them of the last
layer. Those of real texts are computed once and kept on disk; only a small network on top of them learns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from mgan.data import cache
from mgan.data.tokenizers import Tokenizer
from mgan.game.signals import last_position
from mgan.models.ensemble import polled
from mgan.models.hub import Source, loading
from mgan.models.shelf import Shelf
from mgan.models.text_judge import WHOLE_TEXTS, PairEncoder, linear_flops
from mgan.models.text_reader import Passage, Reader
from mgan.types import UserError

FORMAT = 1
"""Raised whenever the features of a text are computed in another way."""
LAYERS = 3
CHUNK = 64


class Backbone:
    """A frozen encoder, in eval mode, shared by all the discriminators of a process; in bf16 where the source is.

    digest: names weights, tokenizer and computation. width: F, features of a text. real: hashes of token rows.
    """

    def __init__(self, source: Source):
        from transformers import AutoModel

        # What loading draws must not depend on whether this process has loaded it before.
        with torch.random.fork_rng(devices=[]), loading(source):
            self.model: Any = AutoModel.from_pretrained(source.place, **source.safely)
        self.model.eval().requires_grad_(False)
        self.source = source
        self.encoder = PairEncoder(source.tokenizer(), self.model.config)
        self.width = (min(LAYERS, self.model.config.num_hidden_layers + 1) + 1) * self.model.config.hidden_size
        self.digest = self._digest()
        self.shelf = Shelf(cache.root() / "features" / f"{self.digest.hex()}.sqlite")
        self.real: set[int] = set()

    @torch.no_grad()
    def __call__(self, passages: Sequence[Passage], device: torch.device) -> Tensor:
        """[N, F] float: the features of the passages."""
        self.model.to(device)
        order = sorted(range(len(passages)), key=lambda i: len(passages[i].completion))
        found = torch.empty(len(passages), self.width, device=device)
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            found[rows] = self._features([passages[i] for i in rows], device)
        return found

    def of_real(self, passages: Sequence[Passage], device: torch.device) -> Tensor:
        """The same from the shelf, where what is missing is put first: alone, so that it depends on nothing else."""
        keys = [_key(passage) for passage in passages]
        missing = {key: p for key, p in zip(keys, passages, strict=True) if key not in self.shelf}
        if missing:
            self.shelf.put({key: self([passage], device)[0].cpu() for key, passage in missing.items()})
        return torch.stack([self.shelf[key] for key in keys]).to(device)

    def _features(self, passages: list[Passage], device: torch.device) -> Tensor:
        inputs = {name: tensor.to(device) for name, tensor in self.encoder(passages).items()}
        with torch.autocast(device.type, enabled=False):
            hidden = self.model(**inputs, output_hidden_states=True).hidden_states[-LAYERS:]
        layers = [layer.float() for layer in hidden]
        read = inputs["attention_mask"][..., None].bool()
        means = [layer.masked_fill(~read, 0).sum(1) / read.sum(1) for layer in layers]
        return torch.cat([*means, layers[-1].masked_fill(~read, -torch.inf).amax(1)], 1)

    def _digest(self) -> bytes:
        name = hashlib.blake2b(f"{FORMAT} {self.encoder.limit}".encode(), digest_size=16)
        tokenizer = json.loads(self.encoder.tokenizer.backend_tokenizer.to_str())
        # How it cuts and pads is said at every call.
        name.update(json.dumps(tokenizer | {"truncation": None, "padding": None}).encode())
        for key, tensor in self.model.state_dict().items():
            name.update(key.encode())
            name.update(tensor.flatten().view(torch.uint8).numpy())
        return name.digest()


def _key(passage: Passage) -> bytes:
    text = json.dumps([passage.prompt, passage.completion])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@lru_cache(maxsize=2)
def backbone(source: Source) -> Backbone:
    return Backbone(source)


class FeatureJudge(nn.Module):
    """Small networks on the frozen features of whole texts, an ensemble of ``members``; undecided at the start.

    ``state_dict`` holds them alone, and the backbone's digest, so that they are never put on another one.
    """

    def __init__(self, source: Source, tokenizer: Tokenizer, hidden: int, dropout: float, members: int = 1):
        super().__init__()
        self.backbone, self.reader = backbone(source), Reader(tokenizer)
        self.heads = nn.ModuleList(_head(self.backbone.width, hidden, dropout) for _ in range(members))

    def know(self, rows: Iterable[Sequence[int]]) -> None:
        """Token rows of real texts: their features are worth keeping, for all discriminators on this backbone."""
        self.backbone.real.update(hash(tuple(row)) for row in rows)

    def forward(self, tokens: Tensor) -> Tensor:
        raise UserError(WHOLE_TEXTS)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        features = self.features(tokens, mask)
        return polled(self.heads, len(features), lambda head, rows: head(features[rows]).squeeze(-1), self.training)

    def features(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, F], without a gradient. tokens, mask: [B, L]."""
        passages = self.reader.passages(tokens, mask)
        ends = last_position(mask).tolist()
        real = [
            hash(tuple(row[: end + 1])) in self.backbone.real for row, end in zip(tokens.tolist(), ends, strict=True)
        ]
        found = torch.empty(len(passages), self.backbone.width, device=tokens.device)
        for kind, compute in ((True, self.backbone.of_real), (False, self.backbone)):
            if rows := [i for i, known in enumerate(real) if known == kind]:
                found[rows] = compute([passages[i] for i in rows], tokens.device)
        return found

    def get_extra_state(self) -> Tensor:
        return torch.frombuffer(bytearray(self.backbone.digest), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        if bytes(state.tolist()) != self.backbone.digest:
            raise UserError(
                f"{self.backbone.source.name} is another model than this discriminator was trained on: restore it, or "
                "start a new run"
            )

    @property
    def flops_per_token(self) -> int:
        return linear_flops(self.backbone.model)

    @property
    def flops_per_verdict(self) -> int:
        return linear_flops(self.heads)

    @property
    def backward_per_forward(self) -> float:
        """No gradient goes into the backbone."""
        return 0.0


def _head(width: int, hidden: int, dropout: float) -> nn.Sequential:
    last = nn.Linear(hidden, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), last
    )
