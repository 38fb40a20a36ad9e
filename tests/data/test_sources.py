"""Prompts for encoders: what the tokenizer gives, where the source ends, and how long rows are cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgan import config
from mgan.data import tokenizers
from mgan.data.own_tokenizer import OwnTokenizer
from mgan.data.readers import Example
from mgan.data.rows import encode, source_windows
from mgan.types import UserError

Folder = Callable[[str], Path]
EOS = 2
PROMPTS = ["3 plus 4? ", "", "it spells </s> and <s>", "Ünïcödé 雪 🙂"]
CHARACTERS = config.Tokenizer(kind="char", min_frequency=1)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_source_is_what_the_models_tokenizer_gives(seq2seq: Folder, name: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    ours = tokenizers.pretrained(str(seq2seq(name)), "auto", prompted=True)
    assert ours.sources and ours.ending == [EOS]
    theirs = AutoTokenizer.from_pretrained(seq2seq(name), split_special_tokens=True)
    found = ours.prompts([Example(prompt, "") for prompt in PROMPTS])
    assert found == [theirs(prompt).input_ids for prompt in PROMPTS]
    assert all(ids.index(EOS) == len(ids) - 1 for ids in found), "a text that spells the boundary is text"
    ours.save(tmp_path)
    again = tokenizers.Tokenizer.load(tmp_path)
    assert again.sources and again.prompts([Example(PROMPTS[2], "")]) == found[2:3]
    assert again.fingerprint == ours.fingerprint and again.never == ours.never


def test_our_own_tokenizer_puts_a_source_between_bos_and_eos(tmp_path: Path) -> None:
    ours, plain = (tokenizers.train(["abc"], CHARACTERS, sources=sources) for sources in (True, False))
    example = Example("ab", "c")
    assert ours.prompts([example]) == [[1, *ours.encode("ab"), 2]]
    assert plain.prompts([example]) == [[1, *plain.encode("ab")]] and not plain.sources
    ours.save(tmp_path)
    assert tokenizers.Tokenizer.load(tmp_path).prompts([example]) == ours.prompts([example])
    cached = [encode([example], tokenizer, 16, tmp_path).row(0) for tokenizer in (ours, plain)]
    assert cached == [([1, *ours.encode("ab"), 2, *ours.encode("c"), 2], 4), ([1, *plain.encode("abc"), 2], 3)]


@given(st.integers(0, 40), st.integers(1, 60), st.integers(8, 32))
def test_every_token_is_predicted_once_behind_its_source(source: int, text: int, context: int) -> None:
    given, target = [*range(100, 100 + source), EOS], list(range(200, 200 + text))
    rows = source_windows(given, target, context)
    assert [token for tokens, length in rows for token in tokens[length:]] == target
    for tokens, length in rows:
        end = tokens.index(EOS) + 1
        assert end <= length < len(tokens) <= context
        assert tokens[: end - 1] == given[: end - 1], "of a long source the beginning is kept"
        assert tokens[end:] == target[target.index(tokens[end]) :][: len(tokens) - end]
    fits = len(given) + len(target) <= context
    assert (len(rows) == 1 and rows[0][0] == given + target) if fits else len(rows[0][0]) - text <= len(given)
    assert fits or rows[0][0].index(EOS) + 1 == min(len(given), context - context // 4)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("tokenizer.json", {"post_processor": None}, r"does not end a source with its EOS \(</s>\)"),
        ("config.json", {"eos_token_id": 5}, "ends with token 5, and in tokenizer_config.json that it does with 2"),
    ],
)
def test_a_tokenizer_without_a_boundary_is_refused(
    seq2seq: Folder, tmp_path: Path, file: str, changes: dict[str, object], said: str
) -> None:
    shutil.copytree(seq2seq("t5"), tmp_path / "model")
    path = tmp_path / "model" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=said):
        OwnTokenizer.of(str(tmp_path / "model"), "auto", prompted=True)


def test_a_slow_tokenizer_is_refused(seq2seq: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setattr(PreTrainedTokenizerFast, "is_fast", False)
    with pytest.raises(UserError, match=r"has no tokenizer\.json, which mgan reads"):
        OwnTokenizer.of(str(seq2seq("marian")), "auto", prompted=True)
