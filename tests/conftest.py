"""Shared by all tests: no hub, an own cache, small corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SENTENCES = [
    f"the {adjective} {animal} {verb} the {thing}."
    for adjective in ("old", "small", "grey", "quick")
    for animal in ("cat", "dog", "fox", "hen")
    for verb in ("sees", "likes", "takes", "leaves")
    for thing in ("house", "river", "bread", "garden")
]

MORE = [
    f"a {adjective} {person} {verb} some {thing}."
    for adjective in ("young", "tired", "happy", "poor")
    for person in ("baker", "farmer", "sailor", "queen")
    for verb in ("finds", "brings", "buys", "wants")
    for thing in ("wood", "paper", "water", "salt", "wool", "fruit", "milk", "cloth", "iron", "grain")
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 English sentences, one a line."""
    path = tmp_path_factory.mktemp("data") / "sentences.txt"
    path.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def many_sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """896 English sentences, one a line: with data.max_texts=1000, enough test texts for a verdict."""
    path = tmp_path_factory.mktemp("data") / "many.txt"
    path.write_text("\n".join(SENTENCES + MORE) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 prompts with their answers."""
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    rows = [{"prompt": f"{a} plus {b}? ", "completion": str(a + b)} for a in range(1, 11) for b in range(1, 7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
