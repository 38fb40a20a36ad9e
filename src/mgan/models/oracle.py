"""A known random network whose samples stand for real text: the synthetic oracle of SeqGAN (Yu et al. 2017, section 4).

It is a generator like any other, so whatever samples from or scores under a generator does so under the oracle, and
because its likelihood is known every divergence between it and a generator can be measured without bias.

LSTM and GRU: every weight is drawn from N(0, 1), as SeqGAN's. Torch adds two biases a gate where SeqGAN has one: the
second is 0. The state before the start token is 0. The wider such a network, the steeper its logits: at a width of
128 it is nearly deterministic.

Transformer: N(0, 1) throughout would give attention to one token alone and logits of standard deviation sqrt(H), from
which one token nearly always follows. So each product keeps the scale of what it reads (weights from N(0, 1 / inputs),
embeddings from N(0, 1)) and the logits have the standard deviation ``LOGIT_SCALE`` at any width. The entropy of a
softmax over V such logits is about log V - LOGIT_SCALE^2 / 2: at V = 5,000 it is 5.75 nats, as hard a text as SeqGAN's.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from mgan import config
from mgan.models.protocols import Generator
from mgan.types import UserError

LOGIT_SCALE = 2.35
ARRAYS = {
    "embedding": "embedding.weight",
    "weight_ih": "network.weight_ih_l0",
    "weight_hh": "network.weight_hh_l0",
    "bias_ih": "network.bias_ih_l0",
    "bias_hh": "network.bias_hh_l0",
    "out_weight": "output.weight",
    "out_bias": "output.bias",
}
"""What a file of weights holds, in torch's layout (gates i, f, g, o), and where each array belongs."""


@dataclass(frozen=True)
class RecurrentState:
    """parts: [layers, B, H] each: the LSTM's hidden state and cell, or the GRU's hidden state."""

    parts: tuple[Tensor, ...]

    def select(self, index: Tensor) -> RecurrentState:
        return RecurrentState(tuple(part[:, index] for part in self.parts))


class RecurrentOracle(nn.Module):
    """Embedding, LSTM or GRU, linear."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], vocabulary: int, hidden: int, layers: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.network = cell(hidden, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary)

    def features(self, tokens: Tensor) -> Tensor:
        return self.network(self.embedding(tokens))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.features(tokens))

    def start(self, rows: int) -> RecurrentState:
        zeros = self.output.weight.new_zeros(self.network.num_layers, rows, self.network.hidden_size)
        return RecurrentState((zeros, zeros) if isinstance(self.network, nn.LSTM) else (zeros,))

    def state_size(self, length: int) -> int:
        return (2 if isinstance(self.network, nn.LSTM) else 1) * self.network.num_layers * self.network.hidden_size

    def read(self, tokens: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        if tokens.shape[1] == 1:
            return self._step(tokens[:, 0], state)
        lstm = isinstance(self.network, nn.LSTM)
        hidden, after = self.network(self.embedding(tokens), state.parts if lstm else state.parts[0])
        return hidden[:, -1], RecurrentState(after if lstm else (after,))

    def _step(self, tokens: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """[B] -> [B, H] and the state after it: one token costs less than a sequence of one."""
        x, layers = self.embedding(tokens), []
        for weights, *before in zip(self.network.all_weights, *state.parts, strict=True):
            after = (
                torch.lstm_cell(x, before, *weights)
                if isinstance(self.network, nn.LSTM)
                else [torch.gru_cell(x, before[0], *weights)]
            )
            x = after[0]
            layers.append(after)
        return x, RecurrentState(tuple(map(torch.stack, zip(*layers, strict=True))))

    @property
    def flops_per_token(self) -> int:
        weights = sum(p.numel() for name, p in self.network.named_parameters() if "weight" in name)
        return 2 * (weights + self.output.weight.numel())


def build_oracle(settings: config.Oracle, seed: int) -> Generator:
    """The oracle a configuration names, in eval mode, its weights frozen: those of its file, or drawn by ``seed``.

    Raises UserError if the file cannot be read or holds another network.
    """
    # Torch draws first weights for every new network: those must not move the numbers of a run under way.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        oracle = _network(settings)
        if settings.weights is None:
            _draw(oracle, torch.Generator().manual_seed(seed))
        else:
            oracle.load_state_dict(_read(settings, oracle))
    return cast(Generator, oracle.requires_grad_(False).eval())


def _network(settings: config.Oracle) -> nn.Module:
    if settings.architecture == "transformer":
        from mgan.models.transformer import TransformerGenerator, gpt2_config  # seconds to import

        heads, context = math.gcd(settings.hidden, 4), settings.length + 1
        size = (settings.vocabulary, settings.hidden, settings.layers, heads)
        return TransformerGenerator(gpt2_config(*size, dropout=0.0, context=context, tied=False))
    cell = nn.LSTM if settings.architecture == "lstm" else nn.GRU
    return RecurrentOracle(cell, settings.vocabulary, settings.hidden, settings.layers)


def _draw(oracle: nn.Module, generator: torch.Generator) -> None:
    recurrent = isinstance(oracle, RecurrentOracle)
    for name, parameter in oracle.named_parameters():
        if recurrent:
            scale = 0.0 if "bias_hh" in name else 1.0
        elif parameter.dim() == 1:
            continue  # GPT-2's own: biases of 0, normalisations of 1
        elif name.endswith("lm_head.weight"):
            scale = LOGIT_SCALE * parameter.shape[1] ** -0.5
        elif name.endswith(("wte.weight", "wpe.weight")):
            scale = 1.0
        else:
            scale = parameter.shape[0] ** -0.5  # GPT-2 keeps its matrices as [inputs, outputs]
        parameter.normal_(generator=generator).mul_(scale)


def _read(settings: config.Oracle, oracle: nn.Module) -> dict[str, Tensor]:
    """The file's weights by the names of the network's."""
    path = Path(settings.weights or "").expanduser()
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            arrays = {name: np.asarray(file[name]) for name in ARRAYS if name in names}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"data.oracle.weights: {path} cannot be read as an .npz file of plain arrays") from error
    if names != ARRAYS.keys():
        raise UserError(
            f"data.oracle.weights: {path} holds {', '.join(sorted(names)) or 'nothing'}; expected {', '.join(ARRAYS)}"
        )
    wanted = oracle.state_dict()
    for name, array in arrays.items():
        shape = tuple(wanted[ARRAYS[name]].shape)
        if array.shape != shape:
            raise UserError(
                f"data.oracle.weights: {name} of {path} has the shape {array.shape}, but data.oracle.vocabulary="
                f"{settings.vocabulary} and data.oracle.hidden={settings.hidden} need {shape}"
            )
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise UserError(f"data.oracle.weights: {name} of {path} holds something else than finite numbers")
    return {ARRAYS[name]: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
