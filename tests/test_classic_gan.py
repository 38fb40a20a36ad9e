"""The textbook GAN with the library's value functions: every one of its games finds the modes of the data."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "examples" / "classic_gan.py"


@pytest.fixture(scope="module")
def classic() -> Any:
    spec = importlib.util.spec_from_file_location("classic_gan", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_is_short() -> None:
    assert len(PATH.read_text(encoding="utf-8").splitlines()) <= 100


def test_the_games_find_the_modes(classic: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two thirds of the rounds. Who has learned nothing has none of the modes, who collapsed has one."""
    picture = tmp_path / "plane.png"
    measured = classic.main(str(picture), rounds=1000)
    assert measured.pop("data")[0] == classic.MODES
    assert set(measured) == set(classic.GAMES)
    for name, (modes, near) in measured.items():
        assert modes >= 7 and near > 0.5, (name, modes, near)
    assert classic.measure(classic.play(*classic.GAMES["hinge, R1"], 0))[0] <= 1
    assert "of 8 modes" in capsys.readouterr().out
    assert 2_000 < picture.stat().st_size < 60_000


def test_the_same_seed_makes_the_same_points(classic: Any) -> None:
    game = classic.GAMES["nonsaturating, R1"]
    assert classic.play(*game, 5).equal(classic.play(*game, 5))
