"""The trained pair: it writes what was asked for, and scores what it is given."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgan import config
from mgan.data import tokenizers
from mgan.game.signals import final
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.models.protocols import Discriminator
from mgan.sampling import streaming
from mgan.sampling.decode import sample
from mgan.sampling.pair import CHUNK, Pair
from mgan.types import UserError

TOKENIZER = tokenizers.train(["abcd\n"], config.Tokenizer(kind="char", min_frequency=1))
CONTEXT = 8


class LikesA(nn.Module):
    """Its logit is log 3 for each a so far."""

    def forward(self, tokens: Tensor) -> Tensor:
        return (tokens == TOKENIZER.encode("a")[0]).cumsum(1) * float(np.log(3))

    def verdict(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return final(self(tokens), mask)


def generator() -> LSTMGenerator:
    torch.manual_seed(0)
    built = LSTMGenerator(TOKENIZER.vocabulary_size, 8)
    with torch.no_grad():
        built.output.bias.zero_()
        built.output.bias[TOKENIZER.eos] = 0.5
    return built.eval()


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(1)
    discriminator = LSTMDiscriminator(TOKENIZER.vocabulary_size, 8)
    nn.init.normal_(discriminator.head.weight)
    return Pair(generator(), discriminator.eval(), TOKENIZER, CONTEXT, 1.0, 1.0, False, False)


def test_as_many_texts_as_asked_for_none_empty_and_the_same_for_the_same_seed(pair: Pair) -> None:
    count = CHUNK + 20
    texts = pair.generate(n=count, seed=3)
    assert len(texts) == count and all(text.strip() for text in texts)
    assert set("".join(texts)) <= set("abcd\n")
    assert texts == pair.generate(n=count, seed=3) != pair.generate(n=count, seed=4)
    assert texts[:CHUNK] != texts[CHUNK:], "a second chunk is not the first again"


def test_a_completion_leaves_room_for_its_prompt(pair: Pair) -> None:
    assert all(1 <= len(text) <= CONTEXT - 4 for text in pair.generate("abc", 30))
    alone = pair.generate("abcdab", 5)
    assert all(len(text) == 1 for text in alone)


def test_a_text_goes_on_beyond_the_context_up_to_the_length_asked_for(pair: Pair) -> None:
    lengths = {len(text) for text in pair.generate("abc", 60, length=20, seed=2)}
    assert CONTEXT < max(lengths) <= 20 and min(lengths) < CONTEXT
    assert max(len(text) for text in pair.generate("abc", 60, length=2, seed=2)) == 2


def test_what_is_scored_in_windows_is_counted_with_what_is_given(pair: Pair) -> None:
    assert pair.longer_than_context(["abcdab", "abcdabc"]) == 1
    assert pair.longer_than_context(["abcd"] * 2, ["ab", "abc"]) == 1
    settings = config.Tokenizer(kind="char", min_frequency=1)
    labelled = dataclasses.replace(pair, tokenizer=tokenizers.train(["abcd"], settings, labels=("x", "y")))
    assert labelled.longer_than_context(["abcda", "abcdab"], ["x", "y"]) == 1
    filled = dataclasses.replace(pair, tokenizer=tokenizers.train(["abcd"], settings, blanks=0.5))
    assert filled.longer_than_context(["ab", "abc"]) == 1


def test_a_prompt_that_leaves_no_room_is_one_sentence(pair: Pair) -> None:
    with pytest.raises(UserError, match=r"7 tokens.*generator\.context=8.*6"):
        pair.generate("abcdabc", 1)


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0}, {"rerank": 0}, {"temperature": 0.0}, {"temperature": -1.0}, {"temperature": float("nan")},
        {"temperature": 0.009},
        {"temperature": float("inf")}, {"top_k": -1}, {"seed": -1}, {"seed": 2**70}, {"top_p": 0.0}, {"top_p": 1.1},
        {"min_p": -0.1}, {"min_p": 1.1}, {"min_p": float("nan")}, {"length": 0}, {"length": 20, "rerank": 2},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_sampled_is_one_sentence(pair: Pair, options: dict[str, float]) -> None:
    with pytest.raises(UserError):
        pair.generate(**options)  # type: ignore[arg-type]


def test_min_p_leaves_the_likeliest_tokens(pair: Pair) -> None:
    with torch.no_grad():
        cast(LSTMGenerator, pair.generator).output.bias[TOKENIZER.encode("b")[0]] = 4
    assert set("".join(pair.generate(n=200, min_p=0.5))) == {"b"} < set("".join(pair.generate(n=200)))


def test_a_generator_of_nothing_is_one_sentence(pair: Pair) -> None:
    with torch.no_grad():
        cast(LSTMGenerator, pair.generator).output.bias[TOKENIZER.eos] = 100
    with pytest.raises(UserError, match="empty"):
        pair.generate(n=3)


def test_the_likeliest_text_is_asked_for_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        cast(LSTMGenerator, pair.generator).output.bias[TOKENIZER.eos] = 100
    asked: list[str] = []

    def counted(name: str, drawn: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*given: Any, **more: Any) -> Any:
            asked.append(name)
            return drawn(*given, **more)

        return draw

    monkeypatch.setattr("mgan.sampling.pair.sample", counted("generate", sample))
    monkeypatch.setattr(streaming, "tokens", counted("stream", streaming.tokens))
    with pytest.raises(UserError, match="the likeliest text is an empty one"):
        pair.generate(n=3, top_k=1)
    with pytest.raises(UserError, match="the likeliest text is an empty one"):
        list(pair.stream(top_k=1))
    assert asked == ["generate", "stream"]


def test_reranking_among_many_approaches_the_pairs_own_distribution() -> None:
    """The share of texts that begin with a: under P, and under P exp(d) over its sum."""
    pair = Pair(generator(), cast(Discriminator, LikesA()), TOKENIZER, 3, 1.0, 1.0, False, False)
    plain, reranked = (pair.generate(n=count, rerank=k) for count, k in ((4000, 1), (1000, 16)))
    weight = np.array([3.0 ** text.count("a") for text in plain])
    begins = np.array([text[0] == "a" for text in plain])
    expected = (weight * begins).sum() / weight.sum()
    assert begins.mean() < expected - 0.1
    assert np.mean([text[0] == "a" for text in reranked]) == pytest.approx(expected, abs=0.05)


def test_an_undecided_discriminator_reranks_nothing(pair: Pair) -> None:
    nn.init.zeros_(cast(LSTMDiscriminator, pair.discriminator).head.weight)
    shares = [Counter("".join(pair.generate(n=1000, rerank=k)))["a"] / 1000 for k in (1, 4)]
    assert shares[0] == pytest.approx(shares[1], abs=0.08)


def test_a_score_is_the_probability_of_the_whole_text_whatever_it_stands_beside(pair: Pair) -> None:
    texts = ["abc", "", "dddd", "a\nb"] * 80
    scores = pair.score(texts)
    assert len(scores) == len(texts) and all(0 < score < 1 for score in scores)
    for text, score in list(zip(texts, scores, strict=True))[-4:]:
        tokens = torch.tensor([[TOKENIZER.bos, *TOKENIZER.encode(text), TOKENIZER.eos]])
        expected = torch.sigmoid(pair.discriminator(tokens)[0, -1])
        assert score == pytest.approx(float(expected.detach()), abs=1e-5)
        assert pair.score([text])[0] == pytest.approx(score, abs=1e-5)


def test_a_long_text_is_scored_by_the_mean_of_its_windows() -> None:
    likes = Pair(generator(), cast(Discriminator, LikesA()), TOKENIZER, CONTEXT, 1.0, 1.0, False, False)
    score = likes.score(["a" * 5 + "b" * 9])[0]
    # Three windows of seven tokens after BOS, the last two given two tokens again: aaaaabb, bbbbbbb, bbbb and EOS.
    assert np.log(score / (1 - score)) / np.log(3) == pytest.approx((5 + 0 + 0) / 3, abs=1e-4)


def test_a_reranked_text_is_written_at_the_discriminators_own_temperature(pair: Pair) -> None:
    with torch.no_grad():
        cast(LSTMGenerator, pair.generator).output.bias[TOKENIZER.encode("b")[0]] = 0.7
    cold = dataclasses.replace(pair, temperature=0.01)
    assert len(set(cold.generate("a", n=30))) == 1
    assert len(set(cold.generate("a", n=30, rerank=2))) > 5
    assert cold.generate("a", n=30, rerank=2, temperature=0.01) == cold.generate("a", n=30)


def test_a_text_is_scored_as_the_completion_of_its_prompt(pair: Pair) -> None:
    texts, prompts = ["abc", "abc", "d"], ["d", "", "ab"]
    scores = pair.score(texts, prompts)
    assert scores[0] != scores[1] == pair.score(["abc"])[0]
    for prompt, text, score in zip(prompts, texts, scores, strict=True):
        tokens = [TOKENIZER.bos, *TOKENIZER.encode(prompt), *TOKENIZER.encode(text), TOKENIZER.eos]
        expected = torch.sigmoid(pair.discriminator(torch.tensor([tokens]))[0, -1])
        assert score == pytest.approx(float(expected.detach()), abs=1e-5)


def test_a_lower_cased_run_lower_cases_what_it_is_given(pair: Pair) -> None:
    lower = dataclasses.replace(pair, lowercase=True)
    assert pair.unknown(["ABd"]) == (2, 3) and lower.unknown(["ABd"]) == (0, 3)
    assert lower.score(["ABC"], ["D"]) == pair.score(["abc"], ["d"]) != pair.score(["ABC"], ["D"])
    assert lower.generate("ABC", 20) == pair.generate("abc", 20) != pair.generate("ABC", 20)
