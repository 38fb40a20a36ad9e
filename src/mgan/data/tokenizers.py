"""Text to tokens and back: characters, words or byte-level BPE, trained on the user's own texts; an oracle's ids; or
the tokenizer of a pretrained model.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers as hf
from tokenizers import models, pre_tokenizers, processors

from mgan import config, files
from mgan.data.blanks import BLANK, Blanks, typed
from mgan.data.own_tokenizer import OwnTokenizer
from mgan.data.readers import Example
from mgan.data.segmentation import BOS, EOS, SPECIALS, UNK, bytewise, characters, choose, counted, words
from mgan.data.segmentation import is_spaced as is_spaced
from mgan.errors import UserError

SAMPLE = 2000
"""Texts from which the script of a corpus is judged."""
FIRST_LABEL = len(SPECIALS)
"""The labels' tokens stand in a row behind the special ones."""


class Tokenizer:
    """Ids of the special tokens, the number of tokens, and text to ids and back.

    kind: "char", "word", "bpe", "ids" or "pretrained". reason: one sentence, why this kind.
    ending: what follows every text, EOS. never: the special tokens that no text holds. chat: prompts go through a
    model's own chat template.
    sources: prompts are for an encoder: each ends with EOS, which stands nowhere else in it.
    labels: the classes of which a prompt is one, a token each, from ``FIRST_LABEL`` on; () where prompts are text.
    blanks: how texts are made prompts by leaving a part out; None where they are not.
    vocabulary_size: logits of a network over these tokens; a pretrained one may have more than there are tokens.

    The "ids" of an oracle know no special tokens: every text begins with token 0, which is also an ordinary one and
    serves as padding, and ends without a mark.
    """

    pad: int
    bos: int
    eos: int | None
    unk: int | None
    never: tuple[int, ...]

    def __init__(
        self, backend: hf.Tokenizer, kind: str, reason: str, own: OwnTokenizer | None = None,
        labels: Sequence[str] = (), blanks: float = 0.0,
    ) -> None:  # fmt: skip
        # Text that spells a special token is text.
        backend.encode_special_tokens = True
        self._backend, self._own = backend, own
        self.kind = kind
        self.reason = reason
        self.vocabulary_size: int = own.vocabulary if own else backend.get_vocab_size()
        if own:
            marks = own.marks
            self.pad, self.bos, self.eos, self.unk, self.never = marks.pad, marks.bos, marks.eos, None, marks.never
        elif kind == "ids":
            self.pad = self.bos = _special(backend, "0")
            self.eos = self.unk = None
            self.never = ()
        else:
            self.pad, self.bos, self.eos, self.unk = (_special(backend, name) for name in SPECIALS)
            self.never = (self.pad, self.bos, self.unk, *range(FIRST_LABEL, FIRST_LABEL + len(labels)))
        self.labels = tuple(labels)
        self.blanks: Blanks | None = None
        if blanks:
            assert self.eos is not None
            self.blanks = Blanks(blanks, _special(backend, BLANK), self.eos)
            self.never = (*self.never, self.blanks.token)
        self.sources: bool = own.sources if own else backend.encode("").ids[-1:] == [self.eos]
        self.chat: bool = bool(own and own.chat)
        self.ending: list[int] = [] if self.eos is None else [self.eos]

    def encode(self, text: str) -> list[int]:
        """The ids of the text alone: no BOS, no EOS. Raises UserError for what is no token where none is unknown."""
        self._check([text])
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        self._check(texts)
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def prompts(self, examples: Sequence[Example]) -> list[list[int]]:
        """The ids that are given of each text: BOS and the prompt; an encoder's source with its special tokens; or the
        prompt in a model's own chat template. Where texts have blanks, the text with those that a person typed.
        """
        if self.blanks:
            return [self._with_blanks(example.prompt, self.blanks) for example in examples]
        if self.labels:
            around = self.ending if self.sources else []
            return [[self.bos, self._label(example.prompt), *around] for example in examples]
        if self.sources:
            return self._sources([example.prompt for example in examples])
        if self._own and self._own.chat:
            return self._own.prompts(examples)
        return [[self.bos, *ids] for ids in self.encode_batch([example.prompt for example in examples])]

    def _with_blanks(self, prompt: str, blanks: Blanks) -> list[int]:
        before, count, after = typed(prompt)
        # The space before a word is a part of it, and so of what is left out.
        if self.kind != "char":
            before = before.removesuffix(" ")
        if self.kind == "word":
            after = after.removeprefix(" ")
        left, right = self.encode_batch([before, after])
        return [self.bos, *left, *[blanks.token] * count, *right, blanks.boundary]

    def _label(self, name: str) -> int:
        if name not in self.labels:
            raise UserError(f"{name!r} is no label of this run's texts, which are {', '.join(map(repr, self.labels))}")
        return FIRST_LABEL + self.labels.index(name)

    def label_of(self, row: Sequence[int]) -> str | None:
        """The label that a row of tokens begins with; None where texts have none."""
        return self.labels[row[1] - FIRST_LABEL] if self.labels else None

    def _sources(self, texts: list[str]) -> list[list[int]]:
        """What spells EOS may be a token of its own to some tokenizers: then it is left out of the source."""
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=True)
        return [[*(token for token in encoding.ids if token != self.eos), *self.ending] for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """The text, special tokens dropped."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def whole(self, row: Sequence[int], given: int) -> str:
        """The text of a row of which so many tokens are given, these too; with its blanks filled in."""
        return self.decode(self.blanks.filled(row, given) if self.blanks else row[1:])

    def completion(self, row: Sequence[int], given: int) -> str:
        """What stands in a row behind what is given; where that was to be filled in, the whole text."""
        return self.whole(row, given) if self.blanks else self.decode(row[given:])

    def _check(self, texts: list[str]) -> None:
        if self.kind != "ids":
            return
        for word in itertools.chain.from_iterable(map(str.split, texts)):
            if self._backend.token_to_id(word) is None:
                raise UserError(
                    f"{word!r} is no token: a text of this run is whole numbers from 0 to {self.vocabulary_size - 1} "
                    "joined by spaces"
                )

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every token's id by its spelling."""
        return self._backend.get_vocab()

    @property
    def fingerprint(self) -> str:
        """Everything that decides the ids of a text."""
        return self._backend.to_str() + (self._own.fingerprint if self._own else "")

    def save(self, folder: Path | str) -> None:
        """Write the Hugging Face layout, which ``transformers.AutoTokenizer`` opens, into ``folder``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self._own:
            return self._own.save(folder, {"kind": self.kind, "reason": self.reason})
        special = zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIALS, strict=True)
        names = {} if self.kind == "ids" else dict(special)
        about: dict[str, Any] = {"kind": self.kind, "reason": self.reason}
        if self.labels:
            about["labels"] = self.labels
        if self.blanks:
            about["blanks"] = self.blanks.share
        settings = {
            **names,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "split_special_tokens": True,
            "mgan": about,
        }
        files.write_text(folder / "tokenizer.json", self._backend.to_str(pretty=True))
        files.write_json(folder / "tokenizer_config.json", settings)
        files.write_json(folder / "special_tokens_map.json", names)
        return None

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """What ``save`` wrote; UserError if it is missing or damaged."""
        path = Path(folder) / "tokenizer.json"
        settings = Path(folder) / "tokenizer_config.json"
        try:
            about = json.loads(settings.read_text(encoding="utf-8"))["mgan"]
            kind, reason, labels = str(about["kind"]), str(about["reason"]), list(map(str, about.get("labels", ())))
            blanks = float(about.get("blanks", 0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{settings}: not a tokenizer that mgan saved ({_why(error)})") from error
        if kind == "pretrained":
            return _of_model(OwnTokenizer.reload(Path(folder), about), reason)
        try:
            backend = hf.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises plain Exception
            raise UserError(f"{path}: not a readable tokenizer ({_why(error)})") from error
        try:
            return cls(backend, kind, reason, labels=labels, blanks=blanks)
        except KeyError as error:
            raise UserError(f"{path}: not a tokenizer that mgan saved (no {error.args[0]} token)") from error


def train(
    texts: Iterable[str], config: config.Tokenizer, sources: bool = False, labels: Sequence[str] = (),
    blanks: float = 0.0,
) -> Tokenizer:  # fmt: skip
    """A tokenizer of at most ``config.vocabulary`` tokens; the same texts give the same one.

    sources: prompts are for an encoder, and stand between BOS and EOS. labels: what the prompts are, a token each.
    blanks: the share of every text that is left out and to be filled in; 0: none.
    Raises UserError if the vocabulary is too small for the kind, ValueError for the kind that is not trained.
    """
    if config.kind == "ids":
        raise ValueError("an oracle's tokens are known, not trained: use tokenizers.ids")
    stream = iter(texts)
    sample = list(itertools.islice(stream, SAMPLE))
    kind, reason = choose(sample, config)
    # No text holds such a token: words are cut at spaces, and nothing is read as a special token.
    special = [*SPECIALS, *(f"<label {label}>" for label in labels), *([BLANK] if blanks else [])]
    if kind == "bpe":
        backend, trainer = bytewise(config, special)
    elif kind == "char":
        backend, trainer = characters(), counted(config, special)
    else:
        backend, trainer = words(is_spaced(sample)), counted(config, special)
    backend.train_from_iterator(itertools.chain(sample, stream), trainer)
    # What stands around a prompt: for encoders, and for other programs that read one with this tokenizer.
    given = f"{BOS} $A {EOS}" if sources else f"{BOS} $A"
    marks = [(name, _special(backend, name)) for name in (BOS, EOS)]
    backend.post_processor = processors.TemplateProcessing(single=given, pair=f"{given} $B", special_tokens=marks)
    return Tokenizer(backend, kind, reason, labels=labels, blanks=blanks)


def ids(vocabulary: int) -> Tokenizer:
    """The tokens "0" to "vocabulary - 1", written with a space between them: the texts of an oracle."""
    backend = hf.Tokenizer(models.WordLevel({str(token): token for token in range(vocabulary)}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(backend, "ids", "The texts are an oracle's.")


def pretrained(model: str, template: str, prompted: bool) -> Tokenizer:
    """The tokenizer of a pretrained model: a folder, a .gguf file or a name on the hub.

    template: prompt.template. prompted: the texts have prompts. Raises UserError if it cannot be used.
    """
    own = OwnTokenizer.of(model, template, prompted)
    return _of_model(own, own.reason)


def _of_model(own: OwnTokenizer, reason: str) -> Tokenizer:
    # A copy: transformers' own goes on reading special tokens in what a chat template writes.
    return Tokenizer(hf.Tokenizer.from_str(own.backend.to_str()), "pretrained", reason, own)


def _special(backend: hf.Tokenizer, name: str) -> int:
    found = backend.token_to_id(name)
    if found is None:
        raise KeyError(name)
    return found


def _why(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
