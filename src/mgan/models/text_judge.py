"""Discriminators that are pretrained Hugging Face models with a tokenizer of their own, trained whole.

Both hold an ``AutoModelForSequenceClassification`` with one label, and so are saved as one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mgan.data.tokenizers import Tokenizer
from mgan.game.signals import final
from mgan.models.hub import Source, loading
from mgan.models.text_reader import Passage, Reader, Tracked
from mgan.types import UserError

UNLIMITED = 2**20
"""Tokens that a model reads whose tokenizer and configuration name no limit."""
WHOLE_TEXTS = "this discriminator judges whole texts, not prefixes: set game.signal=sequence"


class ClassifierJudge(nn.Module):
    """An encoder that reads prompt and completion as a pair and judges whole texts (BERT; Devlin et al. 2019).

    new: names of the model's tensors that its source did not hold.
    """

    def __init__(self, source: Source, tokenizer: Tokenizer):
        super().__init__()
        self.model, self.new = one_label(source)
        if hasattr(self.model.config, "use_cache"):
            self.model.config.use_cache = False  # what is read is read once
        self.encoder = PairEncoder(source.tokenizer(), self.model.config)
        self.reader = Reader(tokenizer)

    def forward(self, tokens: Tensor) -> Tensor:
        raise UserError(WHOLE_TEXTS)

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        inputs = self.encoder(self.reader.passages(tokens, mask))
        return self.model(**{name: tensor.to(tokens.device) for name, tensor in inputs.items()}).logits.squeeze(-1)

    @property
    def tokenizer(self) -> Any:
        return self.encoder.tokenizer

    @property
    def flops_per_token(self) -> int:
        return linear_flops(self.model)

    @property
    def flops_per_verdict(self) -> int:
        return 0


class CausalJudge(nn.Module):
    """A causal language model with a linear head at every prefix (Ziegler et al. 2019), zero at the start.

    With the generator's own tokens it reads these. Otherwise the text is decoded and encoded anew, and a token of the
    generator's has the logit of the last token here of which every character is whole by then; so a logit may lag, and
    may tell where a token here ends.
    """

    def __init__(self, source: Source, tokenizer: Tokenizer):
        super().__init__()
        self.model, self.new = one_label(source)
        if not hasattr(self.model, "score"):
            raise UserError(
                f"{source.name} is no causal language model: set discriminator.architecture=classifier, and if it is "
                "no encoder either, discriminator.pretrained to one, like bert-base-uncased"
            )
        if "score.weight" in self.new:
            nn.init.zeros_(self.model.score.weight)
        self.tokenizer = source.tokenizer()
        self.reader = Reader(tokenizer)
        self.same = self.tokenizer.get_vocab() == tokenizer.vocabulary
        self.limit = positions(self.tokenizer, self.model.config)

    def forward(self, tokens: Tensor) -> Tensor:
        if self._reads_as_they_are(tokens):
            return self._score(tokens, torch.ones_like(tokens))
        inputs, places = self._encode(self.reader.tracked(tokens))
        # What stands right of a text has its last logit.
        at = torch.tensor([[*row, *row[-1:] * (tokens.shape[1] - len(row))] for row in places])
        return self._score(*(tensor.to(tokens.device) for tensor in inputs)).gather(1, at.to(tokens.device))

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        if self._reads_as_they_are(tokens):
            return final(self._score(tokens, torch.ones_like(tokens)), mask)
        inputs, _ = self._encode(self.reader.whole(tokens, mask))
        ids, attended = (tensor.to(tokens.device) for tensor in inputs)
        return final(self._score(ids, attended), attended.bool())

    def _reads_as_they_are(self, tokens: Tensor) -> bool:
        return self.same and tokens.shape[1] <= self.limit

    def _score(self, ids: Tensor, attended: Tensor) -> Tensor:
        """[B, T] -> [B, T]: the head at every prefix."""
        body = self.model.base_model(input_ids=ids, attention_mask=attended, use_cache=False)
        return self.model.score(body.last_hidden_state).squeeze(-1)

    def _encode(self, texts: list[Tracked]) -> tuple[tuple[Tensor, Tensor], list[list[int]]]:
        """Right-padded ids and attention mask, [B, T], and for each token of each text which of the T judges it.

        Begun with BOS, ended with EOS. Of a text too long for the model the end is read.
        """
        start, end = boundary(self.tokenizer)
        cut = self.tokenizer([text.text for text in texts], add_special_tokens=False, return_offsets_mapping=True)
        rows, places = [], []
        for text, ids, offsets in zip(texts, cut["input_ids"], cut["offset_mapping"], strict=True):
            ids = [start, *ids, *([end] if text.ended else [])]
            done = [0, *(stop for _, stop in offsets), *([len(text.text) + 1] if text.ended else [])]
            dropped = max(0, len(ids) - self.limit)
            rows.append(ids[:1] + ids[1 + dropped :])
            places.append([max(0, place - dropped) for place in last_done(done, text.ends)])
        width = max(map(len, rows))
        ids = torch.tensor([row + [end] * (width - len(row)) for row in rows])
        attended = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return (ids, attended), places

    @property
    def flops_per_token(self) -> int:
        return linear_flops(self.model.base_model)

    @property
    def flops_per_verdict(self) -> int:
        return 2 * self.model.score.in_features


def last_done(done: list[int], ends: list[int]) -> list[int]:
    """For every entry of ``ends`` the last place of ``done`` with no larger one up to it; ``done`` begins with 0."""
    rising = torch.tensor(done).cummax(0).values
    return (torch.searchsorted(rising, torch.tensor(ends, dtype=torch.long), right=True) - 1).tolist()


class PairEncoder:
    """Passages as an encoder's inputs: the pair of prompt and completion, or the completion alone without a prompt."""

    def __init__(self, tokenizer: Any, config: Any):
        # RoBERTa's table of positions begins with two that no token has.
        self.tokenizer, self.limit = tokenizer, positions(tokenizer, config) - 2
        config.pad_token_id = tokenizer.pad_token_id

    def __call__(self, passages: list[Passage]) -> dict[str, Tensor]:
        """[B, T] each, right-padded; what is too long is cut, the longer of the two first."""
        rows = [self._encode(passage) for passage in passages]
        return dict(self.tokenizer.pad(rows, padding_side="right", return_tensors="pt"))

    def _encode(self, passage: Passage) -> Any:
        texts = (passage.prompt, passage.completion) if passage.prompt.strip() else (passage.completion,)
        return self.tokenizer(*texts, truncation=True, max_length=self.limit)


def one_label(source: Source) -> tuple[Any, set[str]]:
    """The folder's model as a classifier with one label, and the names of those tensors it did not hold."""
    from transformers import AutoModelForSequenceClassification

    with loading(source):
        model, told = AutoModelForSequenceClassification.from_pretrained(
            source.place, num_labels=1, ignore_mismatched_sizes=True, output_loading_info=True, **source.safely
        )
    model.config.architectures = [type(model).__name__]
    new = {*told["missing_keys"], *(entry[0] for entry in told["mismatched_keys"])}
    return model.eval(), new


def boundary(tokenizer: Any) -> tuple[int, int]:
    """The tokens that begin and end a text: BOS and EOS, or what the tokenizer has of these."""
    known = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    first = next((token for token in known if token is not None), 0)
    return first, first if known[1] is None else known[1]


def positions(tokenizer: Any, config: Any) -> int:
    """How many tokens the model reads at most."""
    longest = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(tokenizer.model_max_length, longest, UNLIMITED))


def linear_flops(model: nn.Module) -> int:
    """Per token: twice every weight of a matrix that is no embedding. Attention's own products are left out."""
    embedded = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return 2 * sum(p.numel() for p in model.parameters() if p.ndim == 2 and id(p) not in embedded)
