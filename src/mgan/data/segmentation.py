"""Where a trained tokenizer cuts text: at characters, at words, or into frequent pieces of bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from mgan import config
from mgan.errors import UserError

PAD, BOS, EOS, UNK = SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
BYTES = 256

SPEAKERS = ("system", "user", "assistant", "tool")
SPEAKER = re.compile(rf"^(?:{'|'.join(SPEAKERS)}): ", re.MULTILINE)
LETTER = re.compile(r"[^\W\d_]")
CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff]")
SPACED = re.compile(r"(?:(?<=\s)|^)[.,!?;:](?=\s|$)", re.MULTILINE)
STUCK = re.compile(r"(?<=\w)[.,!?;:](?=\s|$)", re.MULTILINE)

ANY_CHARACTER = r"[\s\S]"
WORD_OR_MARK = r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s"
# A word of the text that is spelled like a special token is cut, or it would be looked up as one.
BETWEEN_SPACES = r" ?(?:(?!<(?:pad|bos|eos|unk)>)\S)+| ?\S|\s"


def choose(sample: list[str], config: config.Tokenizer) -> tuple[str, str]:
    """The kind, and why it is this one."""
    if config.kind != "auto":
        return config.kind, f"tokenizer.kind={config.kind} was asked for."
    # Who speaks in a chat is written in English, whatever is said.
    sample = [SPEAKER.sub("", text) for text in sample]
    letters = sum(len(LETTER.findall(text)) for text in sample)
    share = sum(len(CJK.findall(text)) for text in sample) / max(letters, 1)
    if share > 0.5:
        return (
            "char",
            f"{share:.0%} of the letters are Chinese, Japanese or Korean, so a token is a character.",
        )
    if config.vocabulary < BYTES + len(SPECIALS):
        reason = f"tokenizer.vocabulary={config.vocabulary} is too small for byte-level BPE"
        return "char", f"{reason}, so a token is a character."
    return (
        "bpe",
        "Most of the letters are of an alphabet, so a token is a frequent piece of text (byte-level BPE).",
    )


def characters() -> hf.Tokenizer:
    backend = hf.Tokenizer(models.WordLevel({}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.Split(hf.Regex(ANY_CHARACTER), "isolated")
    backend.decoder = decoders.Fuse()
    return backend


def words(spaced: bool) -> hf.Tokenizer:
    """A word carries the space before it, so that joining known words gives the text back.

    Every text is led by one space, lest its first word be another token than the same word within.
    """
    backend = hf.Tokenizer(models.WordLevel({}, unk_token=UNK))
    backend.normalizer = normalizers.Prepend(" ")
    backend.pre_tokenizer = pre_tokenizers.Split(hf.Regex(BETWEEN_SPACES if spaced else WORD_OR_MARK), "isolated")
    backend.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return backend


def is_spaced(sample: list[str]) -> bool:
    """Whether the texts come with their tokens already parted by spaces ("a cat , a dog .")."""
    spaced = sum(len(SPACED.findall(text)) for text in sample)
    stuck = sum(len(STUCK.findall(text)) for text in sample)
    return spaced > 9 * stuck


def counted(config: config.Tokenizer, special: Sequence[str]) -> Any:
    """special: tokens besides those found in the text, the first in the vocabulary."""
    return trainers.WordLevelTrainer(
        vocab_size=config.vocabulary,
        min_frequency=config.min_frequency,
        special_tokens=list(special),
        show_progress=False,
    )


def bytewise(config: config.Tokenizer, special: Sequence[str]) -> tuple[hf.Tokenizer, Any]:
    """All 256 bytes are tokens, so there is no text it cannot spell."""
    fewest = BYTES + len(special)
    if config.vocabulary < fewest:
        raise UserError(
            f"tokenizer.vocabulary: byte-level BPE needs at least {fewest} (bytes and special tokens), "
            f"got {config.vocabulary}; raise it or set tokenizer.kind=char"
        )
    backend = hf.Tokenizer(models.BPE(unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        min_frequency=config.min_frequency,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    return backend, trainer
