"""Text to ids and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan import config
from mgan.data import tokenizers
from mgan.data.tokenizers import Tokenizer
from mgan.types import UserError

ENGLISH = ["The cat sat on the mat.", "Don't sit there, cat!", "The dog sat;\n\tthe cat  left."] * 4
CHINESE = ["四時運灰琯，一夕變冬春。", "送寒餘雪盡，迎歲早梅新。"] * 4
SPACED = ["a cat does n't sit on the mat .", "the dog 's cat , a mat <unk> <eos> ."] * 4
KINDS = {"char": CHINESE, "word": ENGLISH, "bpe": ENGLISH}
AWKWARD = [
    "  leading",
    "trailing ",
    "\x00\x01\x7f",
    "👩‍👩‍👧‍👦 🇨🇭",
    "\u0301\u0323 alone",
    "e\u0301 é",
    "<eos><pad>",
    "\r\n\t",
    "\ufeffx",
    "a\u2028b",
]


def train(texts: list[str], **fields: object) -> Tokenizer:
    return tokenizers.train(iter(texts), config.Tokenizer.model_validate(fields))


BPE = train(ENGLISH + SPACED, kind="bpe")
IDS = tokenizers.ids(30)


@given(st.text())
def test_bpe_gives_any_text_back(text: str) -> None:
    ids = BPE.encode(text)
    assert BPE.decode(ids) == text
    assert not {BPE.pad, BPE.bos, BPE.eos, BPE.unk} & set(ids)


@pytest.mark.parametrize("text", AWKWARD)
def test_bpe_gives_awkward_text_back(text: str) -> None:
    assert BPE.decode(BPE.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_known_characters_and_words_come_back(kind: str, data: st.DataObject) -> None:
    texts = KINDS[kind]
    tokenizer = train(texts, kind=kind)
    pieces = list("".join(texts)) if kind == "char" else sorted({w for t in texts for w in t.split()})
    text = ("" if kind == "char" else " ").join(data.draw(st.lists(st.sampled_from(pieces), max_size=12)))
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.lists(st.sampled_from(["<eos>", "<bos>", "<pad>", "<unk>", " ", "\n", "a", "<", ">", "四"])))
@settings(max_examples=50)
@pytest.mark.parametrize("kind", ["char", "word", "spaced", "bpe"])
def test_text_that_spells_a_special_token_is_text(kind: str, pieces: list[str]) -> None:
    texts = [" ".join(pieces), "".join(pieces), "<eos> <unk> a <bos> <pad>"] * 3 + (SPACED if kind == "spaced" else [])
    tokenizer = train(texts, kind=kind.replace("spaced", "word"), min_frequency=1)
    ids = tokenizer.encode("".join(pieces))
    assert not {tokenizer.pad, tokenizer.bos, tokenizer.eos} & set(ids)
    if kind in ("char", "bpe"):
        assert tokenizer.unk not in ids
        assert tokenizer.decode(ids) == "".join(pieces)


def test_words_of_a_tokenised_corpus_are_its_own() -> None:
    tokenizer = train(SPACED[:1] * 4, kind="word")
    assert len(tokenizer.encode(SPACED[0])) == len(SPACED[0].split())
    assert tokenizer.decode(tokenizer.encode(SPACED[0])) == SPACED[0]
    assert tokenizer.encode("cat")[0] == tokenizer.encode("a cat")[1]


def test_words_of_natural_text_leave_their_punctuation() -> None:
    tokenizer = train(ENGLISH, kind="word")
    assert len(tokenizer.encode("Don't sit, cat!")) == 5
    assert [tokenizer.decode(tokenizer.encode(text)) for text in ENGLISH] == ENGLISH


@pytest.mark.parametrize("kind", ["char", "word"])
def test_rare_becomes_unknown(kind: str) -> None:
    tokenizer = train(["a b a b c"], kind=kind, min_frequency=2)
    assert tokenizer.unk in tokenizer.encode("a c")
    assert tokenizer.unk not in tokenizer.encode("a b a")
    assert tokenizer.decode([tokenizer.bos, *tokenizer.encode("a b"), tokenizer.eos, tokenizer.pad]) == "a b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [300, 270])
def test_vocabulary_is_capped(kind: str, size: int) -> None:
    texts = ["".join(chr(0x4E00 + i) + f" word{i}" for i in range(1000)) + " again" * 9] * 3
    tokenizer = train(texts, kind=kind, vocabulary=size)
    assert tokenizer.vocabulary_size == size
    assert max(tokenizer.encode(texts[0])) < size


def test_bpe_needs_room_for_the_bytes() -> None:
    with pytest.raises(UserError, match=r"tokenizer.vocabulary.*at least 260"):
        train(ENGLISH, kind="bpe", vocabulary=259)
    assert train(ENGLISH, kind="bpe", vocabulary=260).vocabulary_size == 260


def test_auto_chooses_by_script() -> None:
    assert (train(CHINESE).kind, train(ENGLISH).kind) == ("char", "bpe")
    assert train(["ひらがなカタカナ漢字", "한국어 문장"]).kind == "char"
    assert train(["Привет, мир", "مرحبا"]).kind == "bpe"
    assert train(ENGLISH, vocabulary=100).kind == "char"
    for tokenizer in (train(CHINESE), train(ENGLISH), train(ENGLISH, kind="word")):
        assert tokenizer.reason.endswith(".")
    assert "100%" in train(CHINESE).reason


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(kind: str) -> None:
    texts = [f"{word} {i % 7} {word[::-1]}" for i in range(40) for word in ENGLISH + CHINESE]
    assert len({train(texts, kind=kind, vocabulary=400).fingerprint for _ in range(4)}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same(kind: str, tmp_path: Path) -> None:
    tokenizer = train(KINDS[kind], kind=kind)
    tokenizer.save(tmp_path / "t")
    loaded = Tokenizer.load(tmp_path / "t")
    for text in [*KINDS[kind], *AWKWARD]:
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.encode_batch([text, ""]) == [tokenizer.encode(text), []]
        assert loaded.decode(loaded.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    names = ("kind", "reason", "vocabulary_size", "pad", "bos", "eos", "unk", "fingerprint")
    assert all(getattr(loaded, name) == getattr(tokenizer, name) for name in names)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"mgan": 1}', b"\xff\xfe"])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    BPE.save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        Tokenizer.load(tmp_path)


def test_a_torn_tokenizer_and_a_foreign_one_are_named(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable tokenizer"):
        Tokenizer.load(tmp_path)
    path.write_text(whole.replace("<eos>", "<end>"))
    with pytest.raises(UserError, match="no <eos>"):
        Tokenizer.load(tmp_path)


def test_transformers_gives_the_same_ids(tmp_path: Path) -> None:
    expected = {}
    for kind, texts in KINDS.items():
        tokenizer = train(texts, kind=kind)
        tokenizer.save(tmp_path / kind)
        expected[kind] = [
            [tokenizer.encode(text), tokenizer.decode(tokenizer.encode(text))] for text in texts[:3] + AWKWARD
        ]
    script = """
import json, sys
from transformers import AutoTokenizer
texts, folder = json.load(sys.stdin), sys.argv[1]
found = {}
for kind in texts:
    t = AutoTokenizer.from_pretrained(f"{folder}/{kind}")
    assert (t.pad_token, t.bos_token, t.eos_token, t.unk_token) == ("<pad>", "<bos>", "<eos>", "<unk>")
    rows = [t(text).input_ids for text in texts[kind]]
    assert all(row[0] == t.bos_token_id for row in rows), "ready for the generator"
    ids = [row[1:] for row in rows]
    found[kind] = [[i, t.decode(i, skip_special_tokens=True)] for i in ids]
print(json.dumps(found))
"""
    texts = {kind: own[:3] + AWKWARD for kind, own in KINDS.items()}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], input=json.dumps(texts), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected


@given(st.lists(st.integers(0, 29)))
def test_the_ids_of_an_oracle_are_their_own_names(tokens: list[int]) -> None:
    text = " ".join(map(str, tokens))
    assert IDS.encode(text) == tokens and IDS.encode_batch([text, "0"]) == [tokens, [0]]
    assert IDS.decode(tokens) == text


def test_the_ids_of_an_oracle_have_no_special_token_but_the_start() -> None:
    assert (IDS.pad, IDS.bos, IDS.eos, IDS.unk) == (0, 0, None, None)
    assert (IDS.ending, IDS.never, IDS.vocabulary_size) == ([], (), 30)
    assert (BPE.ending, set(BPE.never)) == ([BPE.eos], {BPE.pad, BPE.bos, BPE.unk})
    with pytest.raises(UserError, match=r"'30' is no token: .* from 0 to 29 joined by spaces"):
        IDS.encode_batch(["1 2", "3 30"])
    with pytest.raises(ValueError, match="not trained"):
        train(ENGLISH, kind="ids")


def test_the_ids_of_an_oracle_are_saved_like_any_other(tmp_path: Path) -> None:
    IDS.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.kind, loaded.eos, loaded.fingerprint) == ("ids", None, IDS.fingerprint)
    assert loaded.fingerprint != tokenizers.ids(31).fingerprint
    assert loaded.encode("29 0") == [29, 0]
