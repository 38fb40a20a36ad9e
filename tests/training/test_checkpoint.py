"""Checkpoints: whole or not at all, and exactly what was saved."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mgan.training import checkpoint
from mgan.types import UserError

DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    source = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    values = (8 * torch.rand(shape, generator=source)).to(draw(st.sampled_from(DTYPES)))
    if values.ndim == 2 and draw(st.booleans()):
        values = values.T
    return values


keys = st.one_of(
    st.text(max_size=6), st.sampled_from(["tensor", "list", "dict", "a", "b", "a/b", "0"]), st.integers(0, 3)
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8), tensors()
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


@given(st.dictionaries(keys, trees, max_size=4))
@settings(max_examples=120, deadline=None)
def test_what_is_saved_comes_back(tmp_path_factory: pytest.TempPathFactory, tree: dict[Any, Any]) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoint.save(folder, 3, tree, keep=1)
    assert same(tree, checkpoint.load(folder, 3))


def test_places_that_are_spelled_alike_are_two_places(tmp_path: Path) -> None:
    tree = {"a/b": torch.ones(1), "a": {"b": torch.zeros(1)}, "1": torch.ones(2), 1: torch.zeros(2)}
    checkpoint.save(tmp_path, 1, tree, keep=1)
    assert same(tree, checkpoint.load(tmp_path, 1))


def test_numbers_that_json_does_not_know_and_values_that_only_floats_have(tmp_path: Path) -> None:
    values = [math.inf, -math.inf, 1e-320, 0.1, -0.0]
    checkpoint.save(tmp_path, 1, {"best": values, "nan": torch.tensor([math.nan])}, keep=1)
    found = checkpoint.load(tmp_path, 1)
    assert found["best"] == values and math.copysign(1, found["best"][-1]) == -1
    assert found["nan"].isnan().all()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_an_optimizer_goes_on_exactly(tmp_path: Path, kind: type[torch.optim.Optimizer]) -> None:
    def player() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = nn.Linear(4, 3)
        return layer, kind(layer.parameters(), lr=0.01)  # type: ignore[call-arg]

    def steps(layer: nn.Linear, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            layer(torch.rand(5, 4)).pow(2).sum().backward()
            optimizer.step()

    whole, optimizer = player()
    torch.manual_seed(1)
    steps(whole, optimizer, 3)
    state = {"layer": whole.state_dict(), "optimizer": optimizer.state_dict(), "random": checkpoint.random_state()}
    checkpoint.save(tmp_path, 3, state, keep=1)
    steps(whole, optimizer, 4)

    resumed, again = player()
    loaded = checkpoint.load(tmp_path, 3)
    resumed.load_state_dict(loaded["layer"])
    again.load_state_dict(loaded["optimizer"])
    checkpoint.set_random_state(loaded["random"])
    steps(resumed, again, 4)
    assert torch.equal(resumed.weight, whole.weight) and torch.equal(resumed.bias, whole.bias)
    assert same(optimizer.state_dict(), again.state_dict())


def test_a_checkpoint_is_of_the_moment_it_was_saved_and_tied_weights_stay_equal(tmp_path: Path) -> None:
    weight = torch.zeros(3)
    checkpoint.save(tmp_path, 1, {"a": weight, "b": weight, "view": weight[1:]}, keep=1)
    weight += 1
    found = checkpoint.load(tmp_path, 1)
    assert all((value == 0).all() for value in found.values())


# --- the newest few


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for number in range(7):
        checkpoint.save(tmp_path, number * 5, {"n": number}, keep=3)
    assert checkpoint.numbers(tmp_path) == [20, 25, 30]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000020", "00000025", "00000030"]
    assert checkpoint.load(tmp_path, 25) == {"n": 5}


def test_what_is_no_checkpoint_is_not_counted(tmp_path: Path) -> None:
    assert checkpoint.numbers(tmp_path / "none") == []
    checkpoint.save(tmp_path, 4, {"n": 4}, keep=2)
    (tmp_path / "00000009.tmp").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "00000007").write_text("a file")
    assert checkpoint.numbers(tmp_path) == [4]


def test_a_number_is_sorted_as_a_number(tmp_path: Path) -> None:
    for number in (99_999_999, 100_000_000):
        checkpoint.save(tmp_path, number, {"n": number}, keep=2)
    assert checkpoint.numbers(tmp_path) == [99_999_999, 100_000_000]


@pytest.mark.parametrize("moment", ["json.dumps", "_flatten", "flush", "rename"])
def test_a_kill_at_any_moment_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Also when the number is the same: a phase without steps saves the same number twice."""
    checkpoint.save(tmp_path, 4, {"n": "old", "x": torch.ones(2)}, keep=1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    place = {
        "json.dumps": (json, "dumps"), "_flatten": (checkpoint, "_flatten"), "flush": (checkpoint, "flush"),
        "rename": (Path, "rename"),
    }[moment]  # fmt: skip
    # Between dropping the old folder of the same number and the renaming there is no moment to be killed in but one.
    for number in (5,) if moment == "rename" else (4, 5):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(*place, killed)
            checkpoint.save(tmp_path, number, {"n": "new", "x": torch.zeros(2)}, keep=1)
        assert checkpoint.numbers(tmp_path) == [4]
        assert checkpoint.load(tmp_path, 4)["n"] == "old"
    checkpoint.save(tmp_path, 5, {"n": "new"}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["00000005"]
    assert checkpoint.load(tmp_path, 5) == {"n": "new"}


# --- damage


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tree = {"weights": {"a": torch.rand(5, 5)}, "step": 3, "optimizer": {0: {"exp_avg": torch.rand(5)}}}
    checkpoint.save(tmp_path, 7, tree, keep=2)
    return tmp_path / "00000007"


FILES = ["tensors.safetensors", "state.json", "manifest.json"]


def spoiled(content: bytes, name: str) -> Iterator[bytes]:
    for share in (0.0, 0.5, 0.99):
        yield content[: int(len(content) * share)]
    for place in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
        yield content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_a_byte_that_is_not_as_written_is_one_sentence(saved: Path, name: str) -> None:
    content = (saved / name).read_bytes()
    for damage in spoiled(content, name):
        (saved / name).write_bytes(damage)
        with pytest.raises(UserError) as caught:
            checkpoint.load(saved.parent, 7)
        assert "00000007" in str(caught.value) and "\n" not in str(caught.value)
    (saved / name).write_bytes(content)
    assert checkpoint.load(saved.parent, 7)["step"] == 3


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_one_sentence(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match="00000007"):
        checkpoint.load(saved.parent, 7)


@pytest.mark.parametrize(
    "manifest",
    [
        "{}",
        "[]",
        "null",
        '{"sha256": {}}',
        '{"format": 1, "sha256": {}}',
        '{"format": 1, "sha256": []}',
        '{"format": 1}',
    ],
)
def test_a_manifest_that_vouches_for_nothing_is_refused(saved: Path, manifest: str) -> None:
    (saved / "manifest.json").write_text(manifest)
    (saved / "state.json").write_text("{")
    with pytest.raises(UserError, match="00000007"):
        checkpoint.load(saved.parent, 7)


def test_another_format_is_named(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        checkpoint.load(saved.parent, 7)


def test_the_advice_names_the_checkpoint_before(saved: Path) -> None:
    checkpoint.save(saved.parent, 9, {"n": 9}, keep=2)
    for number, advice in ((9, "go on from 00000007"), (7, "start the run over")):
        (saved.parent / f"{number:08d}" / "state.json").write_text("{")
        with pytest.raises(UserError, match=advice):
            checkpoint.load(saved.parent, number)


def test_a_pickle_in_its_place_is_not_opened(saved: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.write_text, (witness, "boom")

    (saved / "tensors.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError):
        checkpoint.load(saved.parent, 7)
    assert not witness.exists()


def test_a_full_disk_is_one_sentence_and_the_old_checkpoint_stays(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the size of a file is how a full disk is made without one."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, hard))
    try:
        for tree in ({"x": torch.zeros(2 << 20)}, {"x": "a" * (5 << 20)}):
            with pytest.raises(UserError, match="disk is full"):
                checkpoint.save(saved.parent, 8, tree, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.numbers(saved.parent) == [7]
    assert checkpoint.load(saved.parent, 7)["step"] == 3
