"""Players in a folder: what is saved comes back bit by bit, and what is not a player is refused, not executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from mgan.models.build import Architecture, load_player, save_player
from mgan.types import UserError

PLAYERS = [
    ("generator", "lstm", True),
    ("generator", "lstm", False),
    ("generator", "transformer", True),
    ("generator", "transformer", False),
    ("discriminator", "lstm", True),
    ("discriminator", "cnn", True),
    ("discriminator", "transformer", True),
]
TOKENS = torch.randint(1, 11, (3, 9), generator=torch.Generator().manual_seed(0))


def player(role: str, architecture: str, tied: bool = True) -> tuple[Any, Architecture]:
    """Moved away from the weights that a new player of this shape would have."""
    shape = Architecture(role, architecture, 11, 8, 2, 2, 0.1, tied, 10)  # type: ignore[arg-type]
    torch.manual_seed(0)
    built = shape.build()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter))
    return built.eval(), shape


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built, shape = player("generator", "lstm")
    save_player(tmp_path / "generator", built, shape, temperature=0.9)
    return tmp_path / "generator"


@pytest.mark.parametrize(("role", "architecture", "tied"), PLAYERS)
def test_a_saved_player_comes_back_bit_by_bit(tmp_path: Path, role: str, architecture: str, tied: bool) -> None:
    built, shape = player(role, architecture, tied)
    save_player(tmp_path, built, shape, temperature=0.7)
    loaded, found, facts = load_player(tmp_path)
    assert found == shape and facts == {"temperature": 0.7}
    assert not loaded.training
    ours, theirs = built.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert [k for k in ours if not torch.equal(ours[k], theirs[k])] == []
    assert torch.equal(loaded(TOKENS), built(TOKENS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("architecture", ["lstm", "transformer"])
def test_tied_weights_are_still_tied_after_loading(tmp_path: Path, architecture: str) -> None:
    built, shape = player("generator", architecture)
    save_player(tmp_path, built, shape)
    loaded, _, _ = load_player(tmp_path)
    assert len(list(loaded.parameters())) == len(list(built.parameters()))


@pytest.mark.parametrize("tied", [True, False])
def test_a_transformer_generator_opens_in_plain_transformers(tmp_path: Path, tied: bool) -> None:
    from transformers import AutoModelForCausalLM

    built, shape = player("generator", "transformer", tied)
    save_player(tmp_path, built, shape)
    plain, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    plain.eval()
    with torch.no_grad():
        assert torch.allclose(plain(TOKENS).logits, built(TOKENS), atol=1e-6)


def test_saving_again_replaces_what_was_there(folder: Path) -> None:
    built, shape = player("discriminator", "cnn")
    save_player(folder, built, shape)
    loaded, found, facts = load_player(folder)
    assert found.architecture == "cnn" and facts == {}
    assert torch.equal(loaded(TOKENS), built(TOKENS))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_cut_short_is_one_sentence(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes().rstrip()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="cut short or altered"):
        load_player(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        load_player(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 16},
        {"layers": 1},
        {"vocabulary": 12},
        {"hidden": -8},
        {"hidden": "8"},
        {"vocabulary": 1.5},
        {"dropout": 7},
        {"dropout": "half"},
        {"role": "discriminator"},
        {"role": "judge"},
        {"architecture": "cnn"},
        {"architecture": "transformer"},
        {"architecture": "transformer", "heads": 0},
        {"architecture": "transformer", "heads": 3},
        {"architecture": "os.system"},
        {"architecture": None},
    ],
    ids=str,
)
def test_an_altered_description_is_one_sentence(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "config.json"
    description = json.loads(path.read_text())
    description["mgan"] |= change
    path.write_text(json.dumps(description))
    with pytest.raises(UserError, match="cut short or altered"):
        load_player(folder)


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"mgan": []}', '{"mgan": {}}', '{"mgan": "x"}', "\x00"])
def test_a_file_that_describes_no_player_is_one_sentence(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match="cut short or altered"):
        load_player(folder)


def test_bytes_that_are_no_text_are_one_sentence(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(UserError, match="cut short or altered"):
        load_player(folder)


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.witness, "boom")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "config.json"])
def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path, name: str) -> None:
    witness = tmp_path / "witness"
    pickle.loads(pickle.dumps(Bomb(witness)))
    assert witness.exists(), "the bomb works"
    witness.unlink()
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(witness)))
    with pytest.raises(UserError):
        load_player(folder)
    assert not witness.exists()


def test_a_kill_while_saving_leaves_the_old_player(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr("os.replace", killed)
    built, shape = player("discriminator", "cnn")
    with pytest.raises(KeyboardInterrupt):
        save_player(folder, built, shape)
    monkeypatch.undo()
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert load_player(folder)[1].architecture == "lstm"
