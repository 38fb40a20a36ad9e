"""What is asked of every system at the end: each held-out prompt once, with all its real texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import mgan
from mgan.data.readers import Example
from mgan.errors import UserError
from mgan.evaluation.report_task import section
from mgan.evaluation.tasks import Asked
from mgan.sampling import sliding
from mgan.sampling.decode import Sampling
from mgan.settings import load_config
from mgan.training.run import Run
from mgan.training.setup import Setup, set_up
from mgan.training.task import answers, held_out, measured
from mgan.training.trial import texts as shown
from mgan.types import Silent

TEXTS = [Example("p", "one"), Example("q", "two"), Example("p", "three"), Example("r", "four")]
ALL = [True] * 4


def test_a_prompt_is_asked_once_with_all_its_texts() -> None:
    asked, first, left_out = held_out(TEXTS, False, 10, ALL)
    assert asked == [Asked("p", ("one", "three")), Asked("q", ("two",)), Asked("r", ("four",))]
    assert (first, left_out) == ([0, 1, 3], 0)


def test_the_most_that_is_asked_cuts_prompts_and_not_their_texts() -> None:
    assert held_out(TEXTS, False, 1, ALL) == ([Asked("p", ("one", "three"))], [0], 0)


def test_a_prompt_with_a_text_that_does_not_fit_is_left_out_and_another_asked() -> None:
    found = held_out(TEXTS, False, 1, [True, True, False, True])
    assert found == ([Asked("q", ("two",))], [1], 1)


def test_a_label_or_no_prompt_is_asked_once_a_text() -> None:
    assert held_out(TEXTS, True, 3, ALL)[0] == [
        Asked("", ("one",), "p"), Asked("", ("two",), "q"), Asked("", ("three",), "p"),
    ]  # fmt: skip
    alone = [Example("", "one"), Example("", "two")]
    assert held_out(alone, False, 9, ALL) == ([Asked("", ("one",)), Asked("", ("two",))], [0, 1], 0)


@pytest.mark.parametrize(
    ("overrides", "fix"),
    [
        (["evaluation.task=verse", "data.path=oracle", "generator.context=21"], "data.path=oracle"),
        (["evaluation.task=answering", "prompt.source=label"], "prompt.source=data"),
        (["evaluation.task=verse", "adversarial.steps=0"], "warmup.steps=0"),
    ],
)
def test_a_task_that_does_not_go_with_the_texts_is_refused(overrides: list[str], fix: str) -> None:
    with pytest.raises(UserError, match=f"evaluation.task=.*{fix}"):
        load_config("mgan", overrides)


Prepare = Callable[..., Setup]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """A set-up run of these records with a context of 32 characters, its first weights kept as ``pretrained``."""

    def prepared(records: list[dict[str, Any]], *overrides: str) -> Setup:
        data = tmp_path / "data.jsonl"
        data.write_text("".join(json.dumps(record) + "\n" for record in records))
        fields = [f"data.path={data}", "tokenizer.kind=char", "tokenizer.min_frequency=1", "data.test=0.4", *overrides]
        setup = set_up(Run.create(tmp_path / "run", mgan.load_config(overrides=fields, smoke=True)), Silent())
        setup.world.keep("pretrained", setup.world.generator)
        return setup

    return prepared


def poem(number: int, length: int) -> str:
    return "".join(random.Random(number).choices("abcd ", k=length - 2)).join("xy")


def never_ending(setup: Setup) -> Any:
    generator = setup.world.restored("pretrained")
    with torch.no_grad():
        generator.output.bias[setup.tokenizer.eos] = -1e4
    return generator


@pytest.mark.parametrize("source", ["data", "label"])
def test_texts_go_on_beyond_the_context_as_far_as_real_ones_do(prepare: Prepare, source: str) -> None:
    records = [{"text": poem(i, 20 + 2 * i), "label": "mn"[i % 2]} for i in range(30)]
    setup = prepare(records, f"prompt.source={source}", "evaluation.task=verse", "discriminator.from_generator=false")
    asked, texts, left_out = held_out(setup.corpus.test, source == "label", 10, [True] * 30)
    longest = max(len(one.references[0]) for one in asked)
    generator, tokenizer = never_ending(setup), setup.tokenizer
    written = answers(setup, generator, texts, "sample", 1.0, seed=3)
    assert left_out == 0 and longest > setup.world.settings.generator.context
    # EOS is a token of the longest text too.
    assert {len(text) for text in written} == {longest + 1}
    for place, (text, example) in enumerate(zip(written, texts, strict=True)):
        head = tokenizer.prompts([setup.corpus.test[example]])[0]
        assert len(head) == (2 if source == "label" else 1)
        (alone,) = sliding.write(
            generator, head, [], places=[place], length=longest + 1, context=32, eos=tokenizer.eos, pad=tokenizer.pad,
            seed=3, sampling=Sampling(1.0, suppress=tokenizer.never),
        )  # fmt: skip
        assert text == tokenizer.completion([*head, *alone], len(head))


def answering(lengths: list[int]) -> list[dict[str, Any]]:
    return [{"prompt": f"{poem(i, 10)}?\n", "completion": poem(i + 500, length)} for i, length in enumerate(lengths)]


def test_prompts_whose_real_text_does_not_fit_are_left_out_and_counted(prepare: Prepare) -> None:
    # BOS, 12 of the prompt, EOS: 18 fit the context of 32 and 19 do not.
    setup = prepare(answering([18, 19] * 20), "evaluation.task=answering", "prompt.source=data", "generator.context=32")
    found = measured(setup, {"pretrained": 1.0})["task"]
    fit = [len(example.text) == 18 for example in setup.corpus.test]
    assert (found["prompts"], found["left_out"]) == (fit.count(True), fit.count(False)) and len(set(fit)) == 2
    assert {len(one["references"][0]) for one in found["examples"]} == {18}
    page = section({"task": found}, {}, 0.95, str)
    assert f"Left out: {fit.count(False)} prompts" in page and "the likeliest token each time" in page
    assert "Left out" not in section({"task": found | {"left_out": 0}}, {}, 0.95, str)


def test_a_task_of_which_nothing_fits_is_not_measured_and_that_is_said_at_the_beginning(prepare: Prepare) -> None:
    said: list[str] = []
    setup = prepare(answering([40] * 20), "evaluation.task=answering", "generator.context=32")
    assert measured(setup, {"pretrained": 1.0}) == {}

    class Listener(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    set_up(Run.create(Path(setup.world.settings.data.path).parent / "again", setup.world.settings), Listener())
    assert any("evaluation.task=answering will not be measured" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("latent", "decoding", "said"), [(0, "beam", "a beam search finds"), (4, "greedy", "the likeliest token each time")]
)
def test_the_decoding_is_that_of_the_answers(prepare: Prepare, latent: int, decoding: str, said: str) -> None:
    """Of a generator that writes from noise no beam is searched."""
    pytest.importorskip("sacrebleu")
    overrides = [f"generator.latent={latent}", "discriminator.from_generator=false", "evaluation.task=translation"]
    found = measured(prepare(answering([10] * 20), *overrides), {"pretrained": 1.0})["task"]
    assert found["decoding"] == decoding and said in section({"task": found}, {}, 0.95, str)


def test_a_sample_whose_prompt_was_cut_begins_with_an_ellipsis(prepare: Prepare) -> None:
    setup = prepare(answering([10, 30] * 20), "evaluation.task=answering", "prompt.source=data", "generator.context=32")
    found = shown(setup, setup.world.test.batch(range(6)))
    owners = [setup.corpus.test[i] for i in setup.world.test.text_index[:6].tolist()]
    cut = [not text.startswith(one.prompt) for text, one in zip(found, owners, strict=True)]
    assert [text.startswith("…") for text in found] == cut and len(set(cut)) == 2
