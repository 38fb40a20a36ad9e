"""Where a pretrained discriminator comes from."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mgan.config import Generator
from mgan.models import pretrained as models
from mgan.models.build import Architecture, load_player, save_player
from mgan.models.hub import Source
from mgan.types import UserError


def test_a_gguf_file_is_opened_in_its_folder(tmp_path: Path) -> None:
    source = Source.of(str(tmp_path / "small.gguf"))
    assert source.place == str(tmp_path) and source.file == {"gguf_file": "small.gguf"}
    assert source.safely["gguf_file"] == "small.gguf" and not source.safely["trust_remote_code"]
    with pytest.raises(UserError, match=r"discriminator\.pretrained=.*small\.gguf could not be loaded"):
        source.tokenizer()


def test_a_folder_or_a_name_on_the_hub_needs_no_file(tmp_path: Path) -> None:
    assert Source.of(str(tmp_path)).place == str(tmp_path) and not Source.of(str(tmp_path)).file
    assert Source.of("owner/model").place == "owner/model" and "gguf_file" not in Source.of("owner/model").safely


def test_a_saved_player_brings_no_code_along(
    pretrained: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = Generator(pretrained=str(pretrained("llama")), context=24)
    folder = tmp_path / "generator"
    save_player(folder, models.load(section.pretrained or "", 24), Architecture.of("generator", section, 300, section))
    config = json.loads((folder / "config.json").read_text())
    named = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": named}))
    witness = tmp_path / "witness"
    (folder / "evil.py").write_text(f"open({str(witness)!r}, 'w')\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(UserError):
        load_player(folder)
    assert not witness.exists()
    shutil.rmtree(folder)
