"""Embedding models from a folder on this disk: never from a hub, never by running or unpickling what lies there."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mgan.errors import UserError

_BATCH = 64


class SentenceTransformer:
    """[N, E] sentence embeddings of a sentence-transformers folder (Reimers & Gurevych 2019), as the model gives them.

    Trap: a text longer than the model's ``max_seq_length`` (256 tokens for MiniLM) is cut there without a word.
    """

    def __init__(self, folder: str | Path, name: str | None = None):
        path = Path(folder)
        _require(path, "modules.json", "sentence-transformers")
        _refuse_code_and_pickles(path)
        _need("sentence_transformers", "sentence-transformers")
        from sentence_transformers import SentenceTransformer as Model

        with _readable(path, "sentence-transformers"), _no_progress_bar():
            self._model = Model(
                str(path),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        self._model.eval()
        self.name = name or f"sentence-transformers:{path.resolve().name}"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        # encode() sorts by length and holds its own no_grad, but gives no texts no width.
        vectors = self._model.encode(list(texts) or [""], batch_size=_BATCH, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)[: len(texts)]


class Model2Vec:
    """[N, E] means of static token vectors from a model2vec folder; no Transformer is run, so it is fast on a CPU."""

    def __init__(self, folder: str | Path, name: str | None = None):
        path = Path(folder)
        _require(path, "model.safetensors", "model2vec")
        _need("model2vec", "model2vec")
        from model2vec import StaticModel

        with _readable(path, "model2vec"):
            self._model = StaticModel.from_pretrained(path, force_download=False)
        self.name = name or f"model2vec:{path.resolve().name}"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self._model.dim), dtype=np.float32)
        vectors = self._model.encode(list(texts), show_progress_bar=False, use_multiprocessing=False)
        return np.asarray(vectors, dtype=np.float32)


def is_model2vec(folder: Path) -> bool:
    """Whether the folder's weights are a table named ``embeddings``, as model2vec writes it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as weights:
            return "embeddings" in set(weights.keys())
    except (OSError, SafetensorError):
        return False


def _require(folder: Path, file: str, kind: str) -> None:
    if not folder.is_dir():
        raise UserError(f"There is no embedder {str(folder)!r}: say characters, minilm or the path of a model's folder")
    if not (folder / file).is_file():
        raise UserError(f"{folder} is not a {kind} folder: it has no {file}")


def _refuse_code_and_pickles(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".py":
            raise UserError(f"{path} is code, and nothing in an embedder's folder is executed: take it out")
        # The one name that sentence-transformers unpickles, and only where these are missing.
        if path.name == "pytorch_model.bin" and not list(path.parent.glob("model*.safetensors")):
            raise UserError(f"{path} is pickled and is not opened: save the model as model.safetensors")
    try:
        kinds = [str(module["type"]) for module in json.loads((folder / "modules.json").read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder / 'modules.json'} is not a list of sentence-transformers modules") from error
    foreign = [kind for kind in kinds if not kind.startswith("sentence_transformers.")]
    if foreign:
        raise UserError(f"{folder / 'modules.json'} names {foreign[0]}, which is not part of sentence-transformers")


@contextmanager
def _readable(folder: Path, kind: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder} could not be read as a {kind} folder: {reason}") from error


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    switch: Any = logging  # its switches carry no types
    shown = switch.is_progress_bar_enabled()
    switch.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            switch.enable_progress_bar()


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UserError(f'This embedder needs {package}: pip install "mgan[metrics]"')
