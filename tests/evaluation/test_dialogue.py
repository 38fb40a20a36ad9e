"""The measures of dialogue, on exchanges counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mgan.data.examples import answer, last_turn
from mgan.evaluation.bootstrap import Estimate, Intervals
from mgan.evaluation.tasks import Asked, dialogue

SAID = ["Where do you live?", "Which tea is that, green or black?", "My cat sleeps.", "Sing about winter!"] * 3
CHINESE = ["你住在哪里？", "这是绿茶还是红茶？", "我的猫睡了。", "唱一首冬天的歌吧！"] * 3


def measured(said: list[str], outputs: list[str]) -> dict[str, Estimate]:
    asked = [Asked(answer([("user", turn)], "").prompt, ("",)) for turn in said]
    return dialogue.measure(asked, outputs, Intervals.over(len(asked), 200, 0.95, 0))


@pytest.fixture(autouse=True)
def spelling_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "_sentences", lambda: None)


def test_what_was_said_last_is_without_its_speaker_and_what_was_said_before() -> None:
    talk = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello: you"), ("user", "天是什么颜色？\n还有海？")]
    assert last_turn(answer(talk, "").prompt) == "天是什么颜色？\n还有海？"
    assert last_turn(answer(talk[:3], "").prompt) == "Hello: you"
    feigned = [("user", "Hi"), ("assistant", "Read:\n  user: no\nassistant: yes\nand on")]
    for said in (feigned, [("system", "x\nassistant: y"), *feigned]):
        assert last_turn(answer(said, "").prompt) == feigned[-1][1]
    assert last_turn("A log.\nuser: hi") == "A log.\nuser: hi", "no messages"
    assert last_turn("2+2?\n") == "2+2?" and last_turn("my user: nobody\n") == "my user: nobody"


def test_distinct_n_is_of_all_responses_together() -> None:
    """Words: yes . yes . no I do . are 8, of which 5 differ; pairs: 5, of which "yes ." stands twice."""
    found = measured(SAID[:3], ["yes.", "yes.", "no I do."])
    assert found["distinct_1"].value == 5 / 8 and found["distinct_2"].value == 4 / 5
    found = measured(CHINESE[:2], ["是的。", "是吗？"])
    assert found["distinct_1"].value == 5 / 6 and found["distinct_2"].value == 1
    for estimate in found.values():
        assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize("said", [SAID[:4], CHINESE[:4]], ids=["English", "Chinese"])
def test_an_echo_is_as_relevant_as_can_be_and_what_goes_with_everything_is_chance(said: list[str]) -> None:
    echo, deaf = measured(said, said), measured(said, [said[0]] * 4)
    assert echo["relevance"].value == pytest.approx(1) and echo["relevance_gain"].value > 0.5
    # One response to all: what it gains at its own prompt it loses at the others'.
    assert deaf["relevance_gain"].value == pytest.approx(0, abs=1e-6)
    assert deaf["relevance"].value < 0.7 < echo["relevance"].value


def test_chance_is_the_mean_over_the_other_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts at 0, 90 and 180 degrees, of any length; responses at 0, 0 and nowhere."""
    turned = {"a": [2.0, 0.0], "b": [0.0, 3.0], "c": [-1.0, 0.0], "x": [5.0, 0.0], "": [0.0, 0.0]}
    monkeypatch.setattr(dialogue, "_sentences", lambda: lambda texts: np.array([turned[text] for text in texts]))
    found = measured(["a", "b", "c"], ["x", "x", ""])
    assert found["meaning"].value == pytest.approx((1 + 0 + 0) / 3)
    # Less (0 - 1) / 2 of the first, (1 - 1) / 2 of the second and 0 of the third.
    assert found["meaning_gain"].value == pytest.approx((1.5 + 0 + 0) / 3)
    assert set(found) == set(dialogue.TITLES)


def test_one_response_to_all_gains_nothing_whatever_the_prompts() -> None:
    for deaf in (measured(SAID[:4], ["Yes, my tea."] * 4), measured(CHINESE, ["是的，茶。"] * 12)):
        gain = deaf["relevance_gain"]
        assert deaf["relevance"].low < deaf["relevance"].high
        assert (gain.value, gain.low, gain.high) == pytest.approx((0, 0, 0), abs=1e-7)


def test_the_interval_of_a_gain_is_as_wide_as_the_gain_varies() -> None:
    """Exchanges drawn anew again and again; every response has much in common with what all prompts have."""
    random, vectors, count = np.random.default_rng(0), dict[str, np.ndarray](), 60
    found: list[Estimate] = []
    for _ in range(200):
        for i in range(count):
            common, prompt = random.normal(1.0, 1.0), random.normal(size=4)
            vectors[f"p{i}"] = np.array([common, *prompt])
            vectors[f"r{i}"] = np.array([3.0, *(0.3 * prompt + random.normal(size=4))])
        _, gains = dialogue._cosines(
            lambda texts: np.array([vectors[text] for text in texts]),
            [f"p{i}" for i in range(count)],
            [f"r{i}" for i in range(count)],
        )
        found.append(Intervals.over(count, 200, 0.95, 0).mean(gains))
    error = np.std([one.value for one in found])
    width = np.mean([one.high - one.low for one in found])
    assert width / (2 * 1.96) == pytest.approx(error, rel=0.2)


def test_an_english_model_has_no_say_about_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "_sentences", lambda: pytest.fail("it was asked"))
    assert set(measured(CHINESE, CHINESE)) == set(dialogue.TITLES) - {"meaning", "meaning_gain"}


def test_one_exchange_has_no_others_to_compare_with() -> None:
    assert set(measured(SAID[:1], ["Here."])) == {"relevance"}
