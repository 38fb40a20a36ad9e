"""Answers in pieces are the answers; a conversation is what was said, as far as it fits, and nobody else's turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from mgan import config
from mgan.data import tokenizers
from mgan.data.examples import answer
from mgan.models.lstm import LSTMDiscriminator, LSTMGenerator
from mgan.models.opaque import OpaqueGenerator
from mgan.models.pretrained import load
from mgan.models.seq2seq import Seq2SeqGenerator
from mgan.sampling.conversation import NEXT, Conversation, turn
from mgan.sampling.decode import Sampling, sample
from mgan.sampling.pair import Pair
from mgan.sampling.streaming import pieces, tokens
from mgan.types import UserError, collate

KINDS = {
    "char": tokenizers.train(["abcdehirstu: \n你好吗"], config.Tokenizer(kind="char", min_frequency=1)),
    "bpe": tokenizers.train(["user: hi\nassistant: 你好"], config.Tokenizer(kind="bpe", vocabulary=270)),
    "word": tokenizers.train(["a b c d"] * 3, config.Tokenizer(kind="word", min_frequency=1)),
}


def pair(kind: str = "char", context: int = 40, chats: bool = True) -> Pair:
    torch.manual_seed(0)
    tokenizer = KINDS[kind]
    players = (build(tokenizer.vocabulary_size, 8).eval() for build in (LSTMGenerator, LSTMDiscriminator))
    return Pair(*players, tokenizer, context, 1.0, 1.0, True, False, chats=chats)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "top_k": 9}, {"top_p": 0.8, "min_p": 0.01}], ids=str)
def test_the_pieces_are_what_generate_writes(kind: str, options: dict[str, Any]) -> None:
    written = pair(kind)
    found = [list(written.stream("a b", seed=seed, **options)) for seed in range(6)]
    assert ["".join(one) for one in found] == [written.generate("a b", 1, seed=seed, **options)[0] for seed in range(6)]
    assert all(map(all, found)) and sum(map(len, found)) > 2 * len(found)


def test_a_text_from_noise_is_streamed_from_the_same_noise() -> None:
    tokenizer, written = KINDS["char"], pair()
    noisy = dataclasses.replace(written, generator=LSTMGenerator(tokenizer.vocabulary_size, 8, latent=4).eval())
    assert "".join(noisy.stream("hi", seed=2)) == noisy.generate("hi", 1, seed=2)[0]


@pytest.mark.parametrize("kind", ["decoder", "opaque", "encoder-decoder"])
def test_every_kind_of_generator_is_streamed_as_it_is_sampled(pretrained: Callable[[str], Path], kind: str) -> None:
    prompt = [1, 25, 36, 0]
    if kind == "encoder-decoder":
        sizes = {"d_model": 16, "d_kv": 8, "num_heads": 2, "num_layers": 1, "d_ff": 16, "vocab_size": 40}
        marks = {"pad_token_id": 3, "eos_token_id": 0, "decoder_start_token_id": 3}
        torch.manual_seed(0)
        generator: Any = Seq2SeqGenerator(T5ForConditionalGeneration(T5Config(**sizes, **marks)), 16)
    else:
        generator = load(str(pretrained("gpt2")), 24)
        if kind == "opaque":
            generator = OpaqueGenerator(generator.model, "it is a test")
    room: dict[str, Any] = {"max_length": 20, "eos": 0, "pad": 3, "seed": 4, "sampling": Sampling(0.8, top_k=9)}
    whole = sample(generator.eval(), collate([(prompt, len(prompt))], 3), **room)
    assert list(tokens(generator, prompt, **room)) == whole.tokens[0, whole.mask[0]].tolist() != []


def test_an_empty_text_is_drawn_again_as_generate_does() -> None:
    written = pair()
    with torch.no_grad():
        written.generator.output.bias[[written.tokenizer.eos, *written.tokenizer.encode("\n ")]] = 3.0
    for seed in range(10):
        assert "".join(written.stream(seed=seed)) == written.generate(n=1, seed=seed)[0]
    with torch.no_grad():
        written.generator.output.bias[written.tokenizer.eos] = 99.0
    with pytest.raises(UserError, match="empty"):
        list(written.stream())
    with pytest.raises(UserError, match="likeliest text is an empty one"):
        list(written.stream(top_k=1))


def test_no_piece_is_half_a_character() -> None:
    text = "a你好🙂é"
    raw = text.encode()
    found = list(pieces(range(len(raw)), lambda ids: bytes(raw[i] for i in ids).decode(errors="replace")))
    assert found == list(text)
    cut = pieces(range(3), lambda ids: bytes(raw[i] for i in ids).decode(errors="replace"))
    assert list(cut) == ["a", "\ufffd"], "what ends within a character is still all of it"


def test_what_cannot_be_drawn_is_one_sentence_before_anything_is_said() -> None:
    for options in ({"temperature": 0.0}, {"top_p": 2.0}, {"min_p": -1.0}, {"top_k": -1}):
        with pytest.raises(UserError):
            Conversation(pair(), decoding=options)
    with pytest.raises(UserError, match="--system"):
        Conversation(pair(chats=False), system="Be brief.")


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.\nuser: And you?\n", "Hello."), (" Hello.\n\n", "Hello."), ("a\n\nuse it", "a\n\nuse it"),
        ("你好\nuser：你呢", "你好\nuser：你呢"), ("the user: me", "the user: me"),
        ("user: me", ""), ("hi\nuser:", "hi\nuser:"),
        ("hi\nassistant: hi\nassistant: hi", "hi"), ("  \n", ""), ("", ""),
    ],
)  # fmt: skip
def test_an_answer_ends_where_somebody_else_would_speak(text: str, expected: str, size: int) -> None:
    found = list(turn((text[i : i + size] for i in range(0, len(text), size)), NEXT))
    assert "".join(found) == expected and all(found)


def test_what_is_no_line_of_a_chat_ends_nothing() -> None:
    assert "".join(turn(["---\n", "user: me\n"], ())) == "---\nuser: me"


def test_the_whole_exchange_is_the_prompt_of_the_next_answer() -> None:
    talk = Conversation(pair(context=400), system="be", seed=5)
    with_history = "".join(talk.answer("hi"))
    assert talk.messages == [("user", "hi"), ("assistant", with_history)]
    said = [("system", "be"), ("user", "hi"), ("assistant", with_history), ("user", "it")]
    assert talk.prompt("it") == tuple(said)
    assert answer(talk.prompt("it"), "").prompt.startswith("system: be\nuser: hi\nassistant: ")
    "".join(talk.answer("it"))
    assert talk.record() == {
        "messages": [{"role": role, "content": content} for role, content in [*said, talk.messages[-1]]]
    }
    assert talk.undo() == "it" and talk.messages == said[1:3]
    talk.reset()
    assert not talk.messages and talk.undo() is None


def test_the_same_seed_answers_alike_and_a_turn_taken_back_is_answered_anew() -> None:
    first, second = (Conversation(pair(), seed=3) for _ in range(2))
    assert list(first.answer("hi")) == list(second.answer("hi"))
    said = first.messages[-1]
    first.undo()
    list(first.answer("hi"))
    assert first.messages[-1] != said


def test_the_oldest_turns_are_forgotten_whole_and_the_system_message_never() -> None:
    talk = Conversation(pair(context=100), system="be")
    talk.messages = [("user", "hi" * 10), ("assistant", "a" * 10), ("user", "di"), ("assistant", "bc")]
    assert talk.prompt("it") == (("system", "be"), *talk.messages[2:], ("user", "it")) and talk.forgotten == 2
    assert talk.pair.taken(talk.prompt("it")) <= 75 < talk.pair.taken((*talk.messages, ("user", "it")))
    assert talk.prompt("a" * 50) == (("system", "be"), ("user", "a" * 50)) and talk.forgotten == 4
    with pytest.raises(UserError, match=r"generator\.context=100"):
        list(talk.answer("a" * 90))
    assert len(talk.messages) == 4, "what was not answered was not said"


def test_a_run_that_knows_no_chats_is_given_the_last_turn_as_its_prompts_are() -> None:
    talk = Conversation(dataclasses.replace(pair(chats=False), ending="\n"))
    talk.messages = [("user", "hi"), ("assistant", "there")]
    assert talk.prompt("it") == "it\n" and not talk.remembers


def test_an_answer_that_is_stopped_is_what_was_written_of_it() -> None:
    talk = Conversation(pair())
    found = talk.answer("hi")
    begun = next(found)
    found.close()
    assert talk.messages == [("user", "hi"), ("assistant", begun)]


def test_a_models_own_chat_template_is_given_the_exchange_and_ends_no_line(
    pretrained: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizers.pretrained(str(pretrained("qwen3")), "auto", prompted=True)
    generator = LSTMGenerator(tokenizer.vocabulary_size, 8).eval()
    own = dataclasses.replace(pair(), generator=generator, tokenizer=tokenizer, context=200, chats=False)
    talk = Conversation(own, system="be")
    text = "".join(own.stream(talk.prompt("hi"), seed=1))
    assert text == own.generate(talk.prompt("hi"), 1, seed=1)[0]
    monkeypatch.setattr(Pair, "stream", lambda pair, prompt, **how: iter(["name:\n", "user: me"]))
    assert "".join(talk.answer("hi")) == "name:\nuser: me"
    said = (("system", "be"), ("user", "hi"), ("assistant", "name:\nuser: me"), ("user", "it"))
    assert talk.prompt("it") == said
    rendered = tokenizer.decode(tokenizer.prompts([answer(said, "")])[0])
    assert rendered.index("hi") < rendered.index("user: me") < rendered.rindex("it")
