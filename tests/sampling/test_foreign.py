"""Writing by a model's own ``generate``: the same texts as by the decode loop, and the same contract."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgan.game.values import PAYOFFS
from mgan.models.lstm import LSTMDiscriminator
from mgan.models.opaque import OpaqueGenerator
from mgan.models.pretrained import load
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.rollouts import Plan, rollout_values, waves
from mgan.sampling.uniforms import row_seeds
from mgan.types import Batch, collate

Folder = Callable[[str], Path]
CONTEXT, EOS, PAD = 24, 0, 3
FILTERS = [Sampling(), Sampling(0.7, top_k=20, suppress=(5, 9)), Sampling(1.3, top_p=0.8, min_p=0.02)]
KNOWN = ("gpt2", "llama", "gemma3")
LOADED: dict[str, Any] = {}


def player(pretrained: Folder, name: str) -> Any:
    if name not in LOADED:
        LOADED[name] = load(str(pretrained(name)), CONTEXT)
    return copy.deepcopy(LOADED[name])


def opaque(pretrained: Folder, name: str) -> OpaqueGenerator:
    return OpaqueGenerator(player(pretrained, name).model, "it is a test").eval()


def ragged(repeats: int = 4) -> Batch:
    rows = [[1], [1, 25, 36, 47], [1, 24], [1, 8, 80, 81, 82, 15], list(range(1, 15))]
    return collate([(row, len(row)) for row in rows * repeats], PAD)


def write(generator: Any, prompts: Batch, **options: Any) -> Batch:
    return sample(generator, prompts, **{"max_length": CONTEXT, "eos": EOS, "pad": PAD} | options)


def frequent(generator: Any, prompts: Batch, **options: Any) -> int:
    """The token that it writes most: as the EOS it ends rows at all lengths."""
    return int(write(generator, prompts, eos=None, **options).tokens[:, 15:].flatten().mode().values)


@pytest.mark.parametrize("sampling", FILTERS, ids=["plain", "top-k", "top-p, min-p"])
@pytest.mark.parametrize("name", KNOWN)
def test_a_known_model_writes_the_same_texts_either_way(pretrained: Folder, name: str, sampling: Sampling) -> None:
    """Same seeds, same tokens, same logprobs, if no two tokens are equally likely but for rounding.

    The windows of gemma3 are a quarter of a row.
    """
    native, foreign = player(pretrained, name), opaque(pretrained, name)
    prompts = ragged(8)
    ends = frequent(native, prompts, sampling=sampling)
    expected = write(native, prompts, seed=4, sampling=sampling, eos=ends)
    found = write(foreign, prompts, seed=4, sampling=sampling, eos=ends)
    assert len(expected.lengths.unique()) > 1
    for field in ("tokens", "mask", "prompt_length"):
        assert torch.equal(getattr(found, field), getattr(expected, field)), field
    assert found.logprobs is not None and expected.logprobs is not None
    assert torch.allclose(found.logprobs, expected.logprobs, atol=1e-4)


@pytest.mark.parametrize("sampling", FILTERS[:2], ids=["plain", "top-k"])
def test_reported_logprobs_are_those_of_the_whole_pass(pretrained: Folder, sampling: Sampling) -> None:
    """Four windows long: what the cache has let go of is what the mask hides."""
    generator = player(pretrained, "gemma2")
    assert isinstance(generator, OpaqueGenerator)
    written = write(generator, ragged(), sampling=sampling, eos=None)
    with torch.no_grad():
        predicted = sampling.log_probabilities(generator(written.tokens))[:, :-1]
    chosen = predicted.gather(-1, written.tokens[:, 1:, None]).squeeze(-1)
    kept = written.mask[:, 1:]
    assert written.logprobs is not None and written.tokens.shape[1] == CONTEXT
    assert torch.allclose(written.logprobs[:, 1:][kept], chosen[kept], atol=1e-4)
    assert written.logprobs[~written.mask].abs().sum() == 0
    assert not torch.isin(written.tokens[written.mask], torch.tensor(sampling.suppress)).any()


def test_a_batch_is_prompt_completion_eos_padding(pretrained: Folder) -> None:
    generator, prompts = player(pretrained, "gemma2"), ragged(12)
    common = frequent(generator, prompts)
    written = write(generator, prompts, eos=common)
    ended = 0
    for i, (tokens, mask) in enumerate(zip(written.tokens.tolist(), written.mask.tolist(), strict=True)):
        given, length = int(prompts.prompt_length[i]), int(written.lengths[i])
        assert tokens[:given] == prompts.tokens[i, :given].tolist()
        assert mask == [given <= j < length for j in range(len(mask))]
        assert common not in tokens[given : length - 1]
        assert tokens[length - 1] == common or length == CONTEXT
        assert tokens[length:] == [PAD] * (len(tokens) - length)
        ended += tokens[length - 1] == common
    assert 0 < ended < len(written)


def test_a_batch_of_one_is_a_row_of_a_batch(pretrained: Folder) -> None:
    generator, prompts = player(pretrained, "gemma2"), ragged(1)
    seeds, ends = row_seeds(3, len(prompts)), frequent(generator, prompts)
    together = write(generator, prompts, seeds=seeds, eos=ends)
    assert len(together.lengths.unique()) > 1
    for i in range(len(prompts)):
        alone = write(generator, prompts.rows(slice(i, i + 1)), seeds=seeds[i : i + 1], eos=ends)
        assert torch.equal(alone.tokens[0], together.tokens[i, : int(alone.lengths[0])])
        assert together.lengths[i] == alone.lengths[0]


@pytest.mark.parametrize("name", [*KNOWN, "qwen3", "mistral", "gemma2"])
def test_left_padded_prompts_in_plain_transformers_are_unpadded_ones_here(pretrained: Folder, name: str) -> None:
    """Greedy text of all prompts together, padded on the left with what the model has no mark for."""
    generator, prompts = player(pretrained, name), ragged(1)
    model, longest = generator.model, int(prompts.prompt_length.max())
    assert model.config.pad_token_id is None
    new = CONTEXT - longest
    shift = longest - prompts.prompt_length
    place = torch.arange(longest) - shift[:, None]
    padded = prompts.tokens.gather(1, place.clamp(min=0)).masked_fill(place < 0, 7)
    theirs = model.generate(
        padded, attention_mask=(place >= 0).long(), do_sample=False, max_new_tokens=new, eos_token_id=None,
        pad_token_id=7,
    )  # fmt: skip
    ours = write(generator, prompts, eos=None, sampling=Sampling(temperature=1e-4))
    for i, begin in enumerate(shift.tolist()):
        assert ours.tokens[i, : int(prompts.prompt_length[i]) + new].tolist() == theirs[i, begin:].tolist()


def test_the_models_own_settings_of_generate_play_no_part(pretrained: Folder) -> None:
    generator, prompts = player(pretrained, "gemma2"), ragged()
    expected = write(generator, prompts)
    own = generator.model.generation_config
    own.repetition_penalty, own.forced_eos_token_id, own.no_repeat_ngram_size = 5.0, 4, 1
    own.do_sample, own.temperature, own.top_k, own.num_beams, own.max_length = True, 9.0, 1, 2, 3
    own.eos_token_id, own.suppress_tokens = list(range(4, 300)), [24]
    before = copy.deepcopy(own)
    assert torch.equal(write(generator, prompts).tokens, expected.tokens)
    assert generator.model.generation_config is own and own == before


@pytest.mark.parametrize("training", [True, False])
def test_it_is_in_eval_mode_draws_from_no_hidden_source_and_leaves_everything(
    pretrained: Folder, training: bool
) -> None:
    generator, prompts = opaque(pretrained, "gpt2"), ragged(1)
    for module in generator.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    expected = write(generator, prompts).tokens
    generator.train(training)
    state, own = torch.get_rng_state(), generator.model.generation_config
    written = write(generator, prompts)
    assert torch.equal(written.tokens, expected) and torch.equal(torch.get_rng_state(), state)
    assert generator.training is training and all(module.training is training for module in generator.modules())
    assert written.logprobs is not None and not written.logprobs.requires_grad
    with pytest.raises(IndexError):
        write(generator, prompts, sampling=Sampling(suppress=(10_000,)))
    assert generator.training is training and generator.model.generation_config is own


def test_a_prompt_that_fills_the_context_is_refused(pretrained: Folder) -> None:
    with pytest.raises(ValueError, match="14 tokens"):
        write(player(pretrained, "gemma2"), ragged(), max_length=14)


def test_it_stops_when_every_row_has_ended(pretrained: Folder) -> None:
    generator, passes = player(pretrained, "gemma2"), []
    generator.model.register_forward_hook(lambda *_: passes.append(1))
    everything = tuple(i for i in range(generator.vocabulary) if i != EOS)
    written = write(generator, collate([([1], 1)] * 4, PAD), sampling=Sampling(suppress=everything))
    assert written.tokens.tolist() == [[1, EOS]] * 4 and len(passes) == 1


def test_texts_come_as_often_as_their_probability_says(
    pretrained: Folder, chi_square: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    """Every text of at most three tokens after the BOS, against their exact probabilities."""
    generator, longest = player(pretrained, "gemma2"), 4
    allowed = (EOS, 4, 5, 6)
    setting = Sampling(0.8, suppress=tuple(i for i in range(generator.vocabulary) if i not in allowed))
    texts = [
        (*body, *end)
        for n, end in ((0, (EOS,)), (1, (EOS,)), (2, (EOS,)), (3, ()))
        for body in itertools.product((4, 5, 6), repeat=n)
    ]
    rows = collate([([1, *text], 1) for text in texts], PAD)
    with torch.no_grad():
        predicted = setting.log_probabilities(generator(rows.tokens))[:, :-1]
    chosen = predicted.gather(-1, rows.tokens[:, 1:, None]).squeeze(-1)
    probability = torch.where(rows.mask[:, 1:], chosen, 0.0).sum(1).exp().double().numpy()
    assert probability.sum() == pytest.approx(1, abs=1e-4)
    written = write(generator, collate([([1], 1)] * 8000, PAD), max_length=longest, sampling=setting)
    seen = dict.fromkeys(texts, 0)
    for tokens, n in zip(written.tokens.tolist(), written.lengths.tolist(), strict=True):
        seen[tuple(tokens[1:n])] += 1
    assert chi_square(np.array([seen[text] for text in texts]), probability) > 1e-3


@pytest.mark.parametrize("budget", [2**28, 2**19])
def test_rollouts_are_the_same_either_way(pretrained: Folder, budget: int) -> None:
    native, foreign = player(pretrained, "llama"), opaque(pretrained, "llama")
    torch.manual_seed(0)
    judge = LSTMDiscriminator(foreign.vocabulary, 8, 1, 0.0)
    for parameter in judge.parameters():
        nn.init.normal_(parameter)
    samples = write(native, ragged(1), seed=1, eos=44, max_length=18)
    plan = Plan(3, 18, 44, PAD, Sampling(0.9), budget)
    ours, theirs = (rollout_values(g, judge, samples, PAYOFFS["reverse_kl"], plan, seed=5) for g in (native, foreign))
    assert torch.allclose(ours.values, theirs.values, atol=1e-5) and ours.values.abs().sum() > 0
    assert (ours.judged, ours.texts) == (theirs.judged, theirs.texts)
    texts = [_texts(waves(g, samples, plan, 5)) for g in (native, foreign)]
    assert texts[0] == texts[1]
    # It reads what stands before the fork as well.
    assert theirs.written == sum(len(tokens) for _, _, tokens, _ in texts[1]) > ours.written


def _texts(found: Any) -> list[tuple[int, int, tuple[int, ...], tuple[bool, ...]]]:
    def row(values: Tensor, length: int) -> tuple[Any, ...]:
        return tuple(values[:length].tolist())

    return sorted(
        (int(r), int(p), row(wave.texts.tokens[i], n), row(wave.texts.mask[i], n))
        for wave in found
        for i, (r, p, n) in enumerate(zip(wave.row, wave.position, wave.texts.lengths.tolist(), strict=True))
    )
