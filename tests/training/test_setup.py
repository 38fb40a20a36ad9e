"""What a run begins with, and what pre-training tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mgan
from mgan.training.phases import Likelihood
from mgan.training.run import Run
from mgan.training.setup import Setup, set_up
from mgan.types import Silent


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def prepared(path: Path, data: Path, *overrides: str) -> Setup:
    config = mgan.load_config(overrides=[f"data.path={data}", *overrides], smoke=True)
    return set_up(Run.create(path, config), Silent())


def test_a_word_tokenizer_knows_the_answers(tmp_path: Path) -> None:
    """Answers begin where their prompt ends, without a space before: that form must be known."""
    data = tmp_path / "capitals.jsonl"
    cities = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}
    rows: list[dict[str, Any]] = [
        {"prompt": f"{ask} the capital of {land}?", "completion": city}
        for ask in ("Name", "Say", "Write", "What is", "Tell me", "Give me", "Recall", "Spell")
        for land, city in cities.items()
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = prepared(tmp_path / "run", data, "tokenizer.kind=word").tokenizer
    for city in cities.values():
        assert tokenizer.unk not in tokenizer.encode(city)
        assert tokenizer.decode(tokenizer.encode(city)) == city
    assert tokenizer.unk in tokenizer.encode("London")


@pytest.mark.parametrize(
    ("prompt", "text", "ending", "expected"),
    [("春曉", "白日", "null", True), ("春曉", "白日", '"\\n"', False), ("Spring ", "Sun", "null", False),
     ("The sky is", " blue", "null", False)],
)  # fmt: skip
def test_prompts_that_run_into_their_texts_are_told_of(
    prompt: str, text: str, ending: str, expected: bool, tmp_path: Path
) -> None:
    data = tmp_path / "titles.jsonl"
    rows = [{"prompt": prompt, "completion": f"{text} {i}"} for i in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = mgan.load_config(overrides=[f"data.path={data}", f"data.prompt_ending={ending}"], smoke=True)
    heard = Heard()
    set_up(Run.create(tmp_path / "run", config), heard)
    assert any("type 'data.prompt_ending=" in said for said in heard.sentences) is expected


def test_a_network_of_a_label_that_no_training_text_has_is_refused(tmp_path: Path) -> None:
    data, test = tmp_path / "texts.jsonl", tmp_path / "test.jsonl"
    rows = [{"text": f"text {i}", "label": "often"} for i in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    test.write_text("".join(json.dumps(row) + "\n" for row in [{"text": "a", "label": "rare"}]))
    labelled = ["prompt.source=label", f"data.test_path={test}", "discriminator.from_generator=false"]
    assert prepared(tmp_path / "one", data, *labelled).corpus.labels == ("often", "rare")
    with pytest.raises(mgan.UserError, match="no training text has the label rare, whose own network"):
        prepared(tmp_path / "two", data, *labelled, "generator.per_label=true", "generator.tied=false")


def test_likelihood_that_was_still_improving_is_said(tmp_path: Path, sentences: Path) -> None:
    world = prepared(tmp_path / "run", sentences, "pretrain.max_steps=9").world
    short = Likelihood(world, "pretrain", "pretrained")
    short.begin()
    while not short.done:
        short.step()
    short.finish()
    (note,) = world.notes
    assert note.startswith("pretrained: held-out NLL was still improving, by ")
    assert "pretrain.epochs" in note


def test_likelihood_that_had_stopped_improving_is_not(tmp_path: Path, sentences: Path) -> None:
    """The rate is so large that nothing after the start is an improvement."""
    world = prepared(tmp_path / "run", sentences, "pretrain.max_steps=9", "pretrain.learning_rate=1000").world
    wild = Likelihood(world, "pretrain", "pretrained")
    wild.begin()
    while not wild.done:
        wild.step()
    wild.finish()
    assert world.notes == []


def test_the_note_of_the_last_phase_is_said_too(tmp_path: Path, sentences: Path) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    mgan.train(sentences, "mle", run=tmp_path / "run", smoke=True, progress=Listener())
    assert sum("still improving" in sentence for sentence in said) == 1
