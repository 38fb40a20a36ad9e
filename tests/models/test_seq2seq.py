"""Encoder-decoders as generators: the protocol over any architecture, opened, saved, and learning from scratch."""

from __future__ import annotations

import copy
import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mgan import config
from mgan.models.build import Architecture, build_generator, load_player, save_player
from mgan.models.logprobs import token_logprobs, weighted_logprobs
from mgan.models.protocols import ReadsSource
from mgan.models.seq2seq import Seq2SeqGenerator, load
from mgan.types import Batch, UserError, collate

Folder = Callable[[str], Path]
CONTEXT, EOS, PAD = 24, 2, 1
every_architecture = pytest.mark.parametrize("name", ["t5", "mt5", "bart", "marian", "led"])

LOADED: dict[str, Seq2SeqGenerator] = {}


def generator(seq2seq: Folder, name: str) -> Seq2SeqGenerator:
    """One of the test's own; loading is the slower part."""
    if name not in LOADED:
        LOADED[name] = load(str(seq2seq(name)), CONTEXT)
    return copy.deepcopy(LOADED[name])


def rows(seed: int = 1) -> Batch:
    """Sources of 1 to 13 tokens and the boundary, texts of 1 to 9 and EOS; the last is cut."""
    drawn = torch.Generator().manual_seed(seed)
    lengths = [(3, 4), (13, 2), (1, 9), (6, 1), (8, 5)]
    words = [[torch.randint(3, 300, (n,), generator=drawn).tolist() for n in pair] for pair in lengths]
    whole = [([*source, EOS, *text, EOS], len(source) + 1) for source, text in words]
    return collate([*whole[:-1], (whole[-1][0][:-1], whole[-1][1])], PAD)


def own_logits(ours: Seq2SeqGenerator, batch: Batch, row: int) -> Tensor:
    """[T, V]: what transformers' model says of a row alone at its masked positions, by teacher forcing."""
    given, end = int(batch.prompt_length[row]), int(batch.lengths[row])
    tokens = batch.tokens[row, :end]
    decoder = torch.cat([torch.tensor(ours.begin), tokens[given : end - 1]])[None]
    return ours.model(input_ids=tokens[None, :given], decoder_input_ids=decoder).logits[0, len(ours.begin) - 1 :]


@every_architecture
def test_it_says_what_the_model_itself_says_of_each_row_alone(seq2seq: Folder, name: str) -> None:
    ours, batch = generator(seq2seq, name), rows()
    with torch.no_grad():
        said = ours(batch.tokens)
        for i in range(len(batch)):
            expected = own_logits(ours, batch, i)
            found = said[i, :-1][batch.mask[i, 1:]]
            assert torch.allclose(found, expected, atol=1e-4) and expected.std() > 1e-3
    assert isinstance(ours, ReadsSource) and not ours.training
    assert torch.equal(ours.source_length(batch.tokens), batch.prompt_length)


@every_architecture
def test_nothing_is_said_before_the_boundary_and_what_follows_changes_nothing(seq2seq: Folder, name: str) -> None:
    ours, batch = generator(seq2seq, name), rows()
    with torch.no_grad():
        features = ours.features(batch.tokens)
        place = torch.arange(batch.tokens.shape[1])
        assert not features[place < batch.prompt_length[:, None] - 1].any()
        for length in (15, 18):
            other = torch.where(place < length, batch.tokens, 7)
            assert torch.allclose(ours.features(other)[:, :length], features[:, :length], atol=1e-5)
            assert torch.allclose(ours.features(batch.tokens[:, :length]), features[:, :length], atol=1e-5)


@every_architecture
def test_reading_bit_by_bit_is_the_forward_pass_and_a_state_is_a_value(seq2seq: Folder, name: str) -> None:
    """Rows that are chosen, with repeats, go on each on its own; and the state they were chosen from is as it was."""
    ours, batch = generator(seq2seq, name), rows()
    length = batch.prompt_length
    features = ours.features(batch.tokens)
    sources = ours.encode(batch.tokens[:, : int(length.max())], length)
    chosen = torch.tensor([2, 0, 2, 4])
    for state, row in ((sources, torch.arange(5)), (sources.select(chosen), chosen)):
        feature, after = ours.read(torch.tensor(ours.begin).expand(len(row), -1), state)
        for step in range(4):
            place = (length[row] - 1 + step).clamp(max=batch.tokens.shape[1] - 1)
            assert torch.allclose(feature, features[row, place], atol=1e-5)
            following = (place + 1).clamp(max=batch.tokens.shape[1] - 1)
            # Another reads on from the same state first.
            ours.read(torch.full((len(row), 3), 9), after)
            feature, after = ours.read(batch.tokens[row, following][:, None], after)
            kept = torch.arange(len(row)).flip(0)
            feature, after, row = feature[kept], after.select(kept), row[kept]


@every_architecture
def test_a_state_holds_no_more_than_it_says(seq2seq: Folder, name: str) -> None:
    ours, batch = generator(seq2seq, name), rows().rows(slice(1, 2))
    source = int(batch.prompt_length)
    _, state = ours.read(torch.full((1, 5), 4), ours.encode(batch.tokens[:, :source], batch.prompt_length))
    layers = [layer for part in (state.written, state.attended) for layer in part.cache.layers]
    held = sum(part.numel() for layer in layers for part in (layer.keys, layer.values)) + state.memory.numel()
    assert held <= ours.state_size(source + 5) <= 1.3 * held


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_the_policy_gradient_is_that_through_the_models_own_logits(seq2seq: Folder, name: str) -> None:
    ours, batch = generator(seq2seq, name), rows()
    weights = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(0))
    total = sum(
        (own_logits(ours, batch, i).log_softmax(-1).gather(1, batch.tokens[i][batch.mask[i]][:, None]).squeeze(1)
         * weights[i][batch.mask[i]]).sum()
        for i in range(len(batch))
    )  # fmt: skip
    assert isinstance(total, Tensor)
    total.backward()
    expected = [p.grad.clone() for p in ours.parameters() if p.grad is not None]
    ours.zero_grad()
    found, _ = weighted_logprobs(ours, batch.tokens, batch.mask, weights)
    assert torch.allclose(found, total, rtol=1e-5)
    found.backward()
    gradients = [p.grad for p in ours.parameters() if p.grad is not None]
    for ours_, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(ours_, theirs, atol=1e-4 * float(theirs.abs().max()) + 1e-6)


@every_architecture
def test_what_is_saved_says_the_same_here_and_in_transformers(seq2seq: Folder, name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    settings = config.Config.model_validate({"generator": {"pretrained": str(seq2seq(name)), "context": CONTEXT}})
    ours, batch = build_generator(settings, 336), rows()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.01)
    architecture = Architecture.of("generator", settings.generator, 336, settings.generator)
    save_player(tmp_path / "saved", ours, architecture, temperature=1.0)
    again, _, facts = load_player(tmp_path / "saved")
    assert facts["temperature"] == 1.0 and again.begin == ours.begin  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = ours(batch.tokens)
        assert torch.allclose(again(batch.tokens), expected, atol=1e-5)
        again.model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval()
        for i in range(len(batch)):
            assert torch.allclose(own_logits(again, batch, i), expected[i, :-1][batch.mask[i, 1:]], atol=1e-4)


def test_a_bos_before_sources_stands_before_texts_too(seq2seq: Folder) -> None:
    assert generator(seq2seq, "bart").begin == (2, 0)
    assert generator(seq2seq, "t5").begin == (1,)
    assert generator(seq2seq, "bart").model.generation_config.forced_bos_token_id == 0


@pytest.mark.parametrize(
    ("changes", "context", "said"),
    [
        ({"decoder_start_token_id": None}, CONTEXT, "name the token by which its decoder starts; put decoder_start"),
        ({"eos_token_id": None}, CONTEXT, "must name one EOS in its config.json"),
        ({}, 63, r"generator\.context=63 is more than the 64 positions of BartForConditionalGeneration.*=62 or less"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    seq2seq: Folder, tmp_path: Path, changes: dict[str, None], context: int, said: str
) -> None:
    shutil.copytree(seq2seq("bart"), tmp_path / "model")
    for name in ("config.json", "generation_config.json"):
        path = tmp_path / "model" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=said):
        load(str(tmp_path / "model"), context)


def test_a_model_that_makes_its_logits_otherwise_is_refused(seq2seq: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seq2SeqGenerator, "_scaled", lambda self, features: features)
    with pytest.raises(UserError, match="does not know how a T5ForConditionalGeneration makes its logits"):
        load(str(seq2seq("t5")), CONTEXT)


def test_a_row_has_a_source_and_writing_begins_with_one(seq2seq: Folder) -> None:
    ours = generator(seq2seq, "t5")
    with pytest.raises(ValueError, match="a row without a boundary"):
        ours.features(torch.tensor([[5, 6, EOS, 7], [5, 6, 7, 8]]))
    with pytest.raises(ValueError, match="it starts with encode"):
        ours.start(3)


def test_from_scratch_it_learns_what_an_answer_owes_to_its_prompt() -> None:
    """Three letters of eight, written backwards: all are as likely, so nobody knows more of them without reading."""
    settings = config.Config.model_validate(
        {"generator": {"architecture": "encoder_decoder", "hidden": 32, "layers": 1, "heads": 2, "dropout": 0.0}}
    )
    torch.manual_seed(0)
    ours, drawn = build_generator(settings, 12), torch.Generator().manual_seed(0)
    words = list(itertools.product(range(4, 12), repeat=3))
    seen, unseen = (
        collate([([1, *word, 2, *word[::-1], 2], 5) for word in words if (sum(word) % 8 == 0) == held], 0)
        for held in (False, True)
    )
    optimizer = torch.optim.Adam(ours.parameters(), lr=5e-3)
    for _ in range(150):
        batch = seen.rows(torch.randint(len(seen), (64,), generator=drawn))
        optimizer.zero_grad()
        (-token_logprobs(ours, batch.tokens, batch.mask).sum() / len(batch)).backward()
        optimizer.step()
    with torch.no_grad():
        found = float(-token_logprobs(ours, unseen.tokens, unseen.mask).sum() / len(unseen))
    assert found < 0.3 * 3 * math.log(8), "nats a text; by how often a letter comes, 3 log 8 or more"


def test_from_scratch_it_is_a_plain_t5(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    settings = config.Config.model_validate(
        {"generator": {"architecture": "encoder_decoder", "hidden": 16, "layers": 2, "heads": 4, "context": CONTEXT}}
    )
    ours, batch = build_generator(settings, 300).eval(), rows()
    architecture = Architecture.of("generator", settings.generator, 300, settings.generator)
    save_player(tmp_path, ours, architecture)
    again, _, _ = load_player(tmp_path)
    with torch.no_grad():
        assert torch.allclose(again(batch.tokens), ours(batch.tokens), atol=1e-6)
        again.model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
        assert again.model.config.decoder_start_token_id == 1
        assert torch.allclose(own_logits(again, batch, 0), ours(batch.tokens)[0, :-1][batch.mask[0, 1:]], atol=1e-5)
