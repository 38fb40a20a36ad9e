"""Samples drawn beside the moves that learn from them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from mgan import threads
from mgan.sampling.ahead import Move, in_turn

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(threads, "machine", lambda: {"CPUs of this process": count})
    return count


class Game:
    """The generator is a number that its own moves raise; samples remember what it was."""

    def __init__(self) -> None:
        self.generator, self.taken = 0, 0
        self.threads: set[int] = set()

    def draw(self, number: int) -> Callable[[], tuple[int, int]]:
        self.threads.add(threading.get_ident())
        drawn = (number, self.generator)

        def take() -> tuple[int, int]:
            self.taken += 1
            return drawn

        return take

    def learn(self, drawn: tuple[int, int]) -> str:
        return f"D{drawn}"

    def write(self, drawn: tuple[int, int]) -> str:
        self.generator += 1
        return f"G{drawn}"


def test_every_move_has_the_samples_of_the_generator_as_it_is_then(cores: int) -> None:
    game = Game()
    learns, writes = Move(game.learn, still=True), Move(game.write, still=False)
    found = list(in_turn([learns, learns, writes, writes, learns], game.draw, 7, CPU))
    assert found == ["D(7, 0)", "D(8, 0)", "G(9, 0)", "G(10, 1)", "D(11, 2)"]
    assert game.taken == 5, "nothing is drawn that nobody takes"
    assert (threading.get_ident() in game.threads) == (cores == 1)


def test_the_next_samples_are_drawn_beside_a_move_that_leaves_the_generator_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "machine", lambda: {"CPUs of this process": 2})
    drawn_again = threading.Event()

    def draw(number: int) -> Callable[[], int]:
        if number == 1:
            drawn_again.set()
        return lambda: number

    def learn(number: int) -> bool:
        return drawn_again.wait(20) if number == 0 else True

    assert list(in_turn([Move(learn, True), Move(learn, True)], draw, 0, CPU)) == [True, True]


def test_what_goes_wrong_beside_is_raised_where_the_samples_are_taken(cores: int) -> None:
    def draw(number: int) -> Callable[[], int]:
        if number == 1:
            raise ArithmeticError("no samples")
        return lambda: number

    found = in_turn([Move(int, True), Move(int, True)], draw, 0, CPU)
    with pytest.raises(ArithmeticError, match="no samples"):
        list(found)


def test_nothing_to_do_draws_nothing_that_counts() -> None:
    assert list(in_turn([], lambda number: lambda: number, 0, CPU)) == []
