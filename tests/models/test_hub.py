"""Where a pretrained discriminator comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

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
