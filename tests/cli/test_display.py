from __future__ import annotations

import io

import pytest
from rich.console import Console

from mgan.cli.display import Bars, Lines, display


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_long_quick_phase_is_eleven_lines(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.start("pretrain", 1000)
    for step in range(1, 1001):
        clock.now += 0.001
        lines.advance("pretrain", step, {"loss": 4.0, "nll": 3.5 - step / 1000})
    written = stream.getvalue().splitlines()
    assert len(written) == 11
    assert written[0] == "pretrain 0/1000"
    assert written[1].startswith("pretrain 100/1000  0:00 elapsed, 0:01 left  loss 4  nll 3.4")
    assert written[-1] == "pretrain 1000/1000  0:01 elapsed, 0:00 left  loss 4  nll 2.5"


def test_a_slow_phase_speaks_every_five_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.start("adversarial", 100_000, done=50)
    for step in range(51, 71):
        clock.now += 1
        lines.advance("adversarial", step, {})
    written = stream.getvalue().splitlines()
    assert written[0] == "adversarial 50/100000"
    assert [line.split()[1] for line in written[1:]] == [f"{step}/100000" for step in (55, 60, 65, 70)]
    assert "0:05 elapsed, 27:45:45 left" in written[1]


def test_a_phase_that_ends_early_still_says_its_last_step(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.start("pretrain", 100)
    lines.advance("pretrain", 3, {"nll": 2.0})
    lines.start("warmup", 0)
    lines.close()
    assert [line.split()[:2] for line in stream.getvalue().splitlines()] == [
        ["pretrain", "0/100"],
        ["pretrain", "3/100"],
        ["warmup", "0/0"],
    ]


def test_a_metric_measured_rarely_stays_on_show(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.start("adversarial", 2)
    lines.advance("adversarial", 1, {"d_real": 0.7, "heldout_accuracy": 0.61, "kl": 0.2})
    lines.advance("adversarial", 2, {"d_real": 0.6, "d_fake": 0.4})
    assert stream.getvalue().splitlines()[-1].endswith("D(x) 0.6  D(G(z)) 0.4  held-out accuracy 0.61")


def test_metrics_nobody_expected_are_shown_as_they_are(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.start("verdict", 1)
    lines.advance("verdict", 1, {"distinct_2": 0.25})
    assert stream.getvalue().endswith("left  distinct_2 0.25\n")


def test_without_a_terminal_there_are_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with display() as progress:
        progress.start("warmup", 2)
        progress.advance("warmup", 1, {"d_loss": 0.5})
        progress.say("a sentence [with brackets]")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err and "\r" not in captured.err
    assert "a sentence [with brackets]\n" in captured.err and "warmup 1/2" in captured.err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with display(quiet=True) as progress:
        progress.start("warmup", 2)
        progress.say("hush")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_bars_show_phase_steps_and_metrics() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bars = Bars(console)
    with bars.live:
        bars.start("pretrain", 10)
        bars.advance("pretrain", 4, {"nll": 3.25})
        bars.say("look [here]")
        bars.start("warmup", 0)
        bars.start("adversarial", 8, done=2)
        bars.advance("adversarial", 3, {"d_real": 0.75})
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for piece in ("pretrain", "4/10", "nll 3.25", "look [here]", "3/8", "D(x) 0.75"):
        assert piece in shown
