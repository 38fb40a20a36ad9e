"""The tokenizer that a pretrained model came with: its special tokens, its chat template, and how it is kept."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers as hf

from mgan import files
from mgan.data import pretrained
from mgan.data.readers import Example, Prompt
from mgan.errors import UserError

ANSWER = "ANSWER"
PRIVATE = range(0xF0000, 0xFFFFE)
"""Code points of no character."""


@dataclass(frozen=True)
class Marks:
    """Ids of the special tokens.

    bos: what every text begins with. eos: what ends it. pad: what fills a batch, which is nowhere looked for: a batch
    has a mask. never: what no text holds, so that it need not be drawn.
    """

    pad: int
    bos: int
    eos: int
    never: tuple[int, ...]


@dataclass(frozen=True)
class OwnTokenizer:
    """fast: transformers' tokenizer. vocabulary: logits of the model. chat: prompts go through the chat template.

    sources: prompts are what an encoder reads, with the special tokens that the tokenizer puts around a text.
    """

    fast: Any
    vocabulary: int
    chat: bool
    sources: bool = False

    @classmethod
    def of(cls, model: str, template: str, prompted: bool) -> OwnTokenizer:
        """That of ``generator.pretrained=model``, as ``prompt.template`` wants it. Raises UserError."""
        from transformers import AutoConfig, AutoTokenizer

        config = pretrained.load(model, "configuration", AutoConfig.from_pretrained)
        fast = pretrained.load(model, "tokenizer", AutoTokenizer.from_pretrained)
        _need_words(model, fast)
        if config.is_encoder_decoder:
            return cls._of_sources(model, template, fast, config)
        if template == "chat" and not fast.chat_template:
            raise UserError(
                f"prompt.template=chat: the tokenizer of {model} has no chat template; use prompt.template=plain, or "
                "a model that was trained on chats (their names often end in -Instruct or -it)"
            )
        chat = bool(fast.chat_template) and (template == "chat" or (template == "auto" and prompted))
        own = cls(fast, config.get_text_config().vocab_size, chat)
        own._check(model)
        return own

    @classmethod
    def _of_sources(cls, model: str, template: str, fast: Any, config: Any) -> OwnTokenizer:
        """That of an encoder-decoder: its EOS is the boundary between what was given and what is written."""
        if template == "chat":
            raise UserError(
                f"prompt.template=chat: {model} has an encoder, which reads prompts as they are; use "
                "prompt.template=plain"
            )
        own = cls(fast, config.vocab_size, chat=False, sources=True)
        own._check(model)
        around = own.backend.encode("", add_special_tokens=True).ids
        if around[-1:] != [fast.eos_token_id] or around.count(fast.eos_token_id) > 1:
            raise UserError(
                f"generator.pretrained: the tokenizer of {model} does not end a source with its EOS "
                f"({fast.eos_token}), by which mgan tells where the source ends; take a model like T5, BART or Marian"
            )
        if config.eos_token_id != fast.eos_token_id:
            raise UserError(
                f"generator.pretrained: {model} says in config.json that a text ends with token {config.eos_token_id}, "
                f"and in tokenizer_config.json that it does with {fast.eos_token_id}; make these agree"
            )
        return own

    @classmethod
    def reload(cls, folder: Path, about: Mapping[str, Any]) -> OwnTokenizer:
        """What ``save`` wrote."""
        from transformers import PreTrainedTokenizerFast

        try:
            fast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            own = cls(fast, int(about["vocabulary"]), bool(about["chat"]), bool(about.get("sources")))
            own._check(str(folder))
        except Exception as error:  # the library raises plain Exception
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder / 'tokenizer.json'}: not a readable tokenizer ({reason})") from error
        return own

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the model's own files, and ``facts`` into tokenizer_config.json, each atomically."""
        with tempfile.TemporaryDirectory() as beside:
            self.fast.save_pretrained(beside)
            written = {path.name: path.read_text(encoding="utf-8") for path in Path(beside).iterdir() if path.is_file()}
        settings = json.loads(written.pop("tokenizer_config.json"))
        settings["mgan"] = {**facts, "vocabulary": self.vocabulary, "chat": self.chat, "sources": self.sources}
        for name, content in written.items():
            files.write_text(folder / name, content)
        files.write_json(folder / "tokenizer_config.json", settings)

    @property
    def backend(self) -> hf.Tokenizer:
        return self.fast.backend_tokenizer

    @property
    def fingerprint(self) -> str:
        sources = ["sources"] if self.sources else []
        return json.dumps([self.vocabulary, self.chat and self.fast.chat_template, *sources])

    @cached_property
    def marks(self) -> Marks:
        """Where there is no BOS, EOS also stands before a text, as it stood between two when the model was trained."""
        eos = self._end_of_turn() if self.chat else self.fast.eos_token_id
        bos = self.fast.eos_token_id if self.fast.bos_token_id is None else self.fast.bos_token_id
        pad = self.fast.pad_token_id
        if pad is None or pad >= self.vocabulary:
            pad = eos
        drawn = self._ordinary() | {eos}
        return Marks(pad, bos, eos, tuple(token for token in range(self.vocabulary) if token not in drawn))

    @property
    def reason(self) -> str:
        marks, name = self.marks, self.fast.convert_ids_to_tokens
        if self.sources:
            return f"The generator's own: a source ends with {name(marks.eos)}, and so does the text written after it."
        begin = "" if self.fast.bos_token_id is not None else ", for want of a BOS,"
        prompts = "go through its chat template" if self.chat else "stand as they are"
        return (
            f"The generator's own: a text begins{begin} with {name(marks.bos)} and ends with {name(marks.eos)}; "
            f"prompts {prompts}."
        )

    def prompts(self, examples: Sequence[Example]) -> list[list[int]]:
        """The ids of each example's prompt in the chat template, up to where the answer begins; without one, BOS.

        What spells a special token in a message is text: it ends no turn and begins none.
        """
        prompts = [example.given for example in examples]
        masked = [_masked(_messages(prompt) if prompt != "" else [], self._spelling) for prompt in prompts]
        texts = [
            self._rendered(messages, answer_follows=True) if prompt != "" else ""
            for prompt, (messages, _) in zip(prompts, masked, strict=True)
        ]
        encodings = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        return [
            (self._unmasked(text, spelled) if spelled else encoding.ids) or [self.marks.bos]
            for text, (_, spelled), encoding in zip(texts, masked, encodings, strict=True)
        ]

    def _unmasked(self, text: str, spelled: Mapping[str, str]) -> list[int]:
        """The ids of a rendered chat with each mark read as the plain text it stands for."""
        ids: list[int] = []
        special = self._special()
        for part in re.split(f"([{''.join(spelled)}])", text):
            if part in spelled:
                found = self._literal.encode(spelled[part], add_special_tokens=False).ids
                # Some vocabularies hold the spelling as an ordinary piece, too.
                ids += [token for token in found if token not in special]
            elif part:
                ids += self.backend.encode(part, add_special_tokens=False).ids
        return ids

    @cached_property
    def _literal(self) -> hf.Tokenizer:
        """A copy to which special tokens are text."""
        copy = hf.Tokenizer.from_str(self.backend.to_str())
        copy.encode_special_tokens = True
        return copy

    @cached_property
    def _spelling(self) -> re.Pattern[str]:
        """Any special token as it is written, the longest first."""
        names = sorted(self.fast.convert_ids_to_tokens(sorted(self._special())), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)))

    def _rendered(self, messages: list[dict[str, str]], answer_follows: bool) -> str:
        try:
            return self.fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer_follows)
        # A template is a program of the model's author: it raises what it likes.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"the generator's chat template refuses a prompt ({reason}); change the messages, or set "
                "prompt.template=plain"
            ) from error

    def _end_of_turn(self) -> int:
        """The special token that the template puts behind an answer; EOS if there is none."""
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ANSWER}]
        behind = self._rendered(turns, answer_follows=False).rpartition(ANSWER)[2]
        ids = self.backend.encode(behind, add_special_tokens=False).ids
        return next((token for token in ids if token in self._special()), self.fast.eos_token_id)

    def _special(self) -> set[int]:
        added = self.fast.added_tokens_decoder.items()
        return set(self.fast.all_special_ids) | {token for token, about in added if about.special}

    def _ordinary(self) -> set[int]:
        return set(self.backend.get_vocab().values()) - self._special()

    def _check(self, model: str) -> None:
        if not self.fast.is_fast:
            raise UserError(f"generator.pretrained: the tokenizer of {model} has no tokenizer.json, which mgan reads")
        if self.fast.eos_token_id is None:
            raise UserError(
                f"generator.pretrained: the tokenizer of {model} names no EOS, so that no text could end; put "
                "eos_token into its tokenizer_config.json"
            )
        beyond = [token for token in (*self._ordinary(), self.marks.bos, self.marks.eos) if token >= self.vocabulary]
        if beyond:
            raise UserError(
                f"generator.pretrained: the tokenizer of {model} has tokens up to {max(beyond)}, but the model only "
                f"{self.vocabulary}; resize the model's embeddings or take the tokenizer it was trained with"
            )


def _need_words(model: str, fast: Any) -> None:
    """Where a folder holds no tokenizer the library makes an empty one up, to which every text is nothing."""
    if not fast(" the 1 是", add_special_tokens=False)["input_ids"]:
        raise UserError(
            f"generator.pretrained: {model} has no tokenizer: save the model's own there (tokenizer.json), with "
            "transformers' save_pretrained"
        )


def _masked(messages: list[dict[str, str]], spelling: re.Pattern[str]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The messages with a character that stands in none of them for each spelling found, and what these stand for."""
    values = [value for message in messages for value in message.values()]
    found = dict.fromkeys(spelled for value in values for spelled in spelling.findall(value))
    if not found:
        return messages, {}
    free = (mark for mark in map(chr, PRIVATE) if not any(mark in value for value in values))
    marks = dict(zip(found, free, strict=False))
    masked = [
        {name: spelling.sub(lambda match: marks[match[0]], value) for name, value in message.items()}
        for message in messages
    ]
    return masked, {mark: spelled for spelled, mark in marks.items()}


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt that is no chat is what a user says."""
    turns = [("user", prompt)] if isinstance(prompt, str) else prompt
    return [{"role": role, "content": content} for role, content in turns]
