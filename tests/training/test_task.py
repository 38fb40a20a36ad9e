"""What is asked of every system at the end: each held-out prompt once, with all its real texts."""

from __future__ import annotations

import pytest

from mgan.data.readers import Example
from mgan.errors import UserError
from mgan.evaluation.tasks import Asked
from mgan.settings import load_config
from mgan.training.task import held_out

TEXTS = [Example("p", "one"), Example("q", "two"), Example("p", "three"), Example("r", "four")]


def test_a_prompt_is_asked_once_with_all_its_texts() -> None:
    asked, first = held_out(TEXTS, labelled=False, most=10)
    assert asked == [Asked("p", ("one", "three")), Asked("q", ("two",)), Asked("r", ("four",))]
    assert first == [0, 1, 3]


def test_the_most_that_is_asked_cuts_prompts_and_not_their_texts() -> None:
    asked, first = held_out(TEXTS, labelled=False, most=1)
    assert asked == [Asked("p", ("one", "three"))] and first == [0]


def test_a_label_or_no_prompt_is_asked_once_a_text() -> None:
    assert held_out(TEXTS, labelled=True, most=3)[0] == [
        Asked("", ("one",), "p"), Asked("", ("two",), "q"), Asked("", ("three",), "p"),
    ]  # fmt: skip
    alone = [Example("", "one"), Example("", "two")]
    assert held_out(alone, labelled=False, most=9) == ([Asked("", ("one",)), Asked("", ("two",))], [0, 1])


@pytest.mark.parametrize(
    ("overrides", "fix"),
    [
        (["evaluation.task=verse", "data.path=oracle", "generator.context=21"], "data.path=oracle"),
        (["evaluation.task=answering", "prompt.source=label"], "prompt.source=data"),
    ],
)
def test_a_task_that_does_not_go_with_the_texts_is_refused(overrides: list[str], fix: str) -> None:
    with pytest.raises(UserError, match=f"evaluation.task=.*{fix}"):
        load_config("mgan", overrides)
