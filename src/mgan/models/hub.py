"""Where a pretrained discriminator comes from: a folder or a name on the hub; nothing of it is executed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgan.data.pretrained import quiet
from mgan.types import UserError


@dataclass(frozen=True)
class Source:
    """name: what to call it in a sentence. location: a folder, or a name on the hub.

    precision: of the weights, as torch names it; auto: as they are stored.
    """

    name: str
    location: str
    precision: str = "float32"

    @classmethod
    def of(cls, pretrained: str, precision: str = "float32") -> Source:
        return cls(f"discriminator.pretrained={pretrained}", pretrained, precision)

    @property
    def place(self) -> str:
        """What transformers opens; of a sentence-transformers folder the transformer inside."""
        folder = Path(self.location).expanduser()
        if self._is_gguf:
            return str(folder.parent)
        if not folder.is_dir():
            return self.location
        modules = folder / "modules.json"
        inside = json.loads(modules.read_text(encoding="utf-8"))[0]["path"] if modules.is_file() else ""
        return str(folder / inside)

    @property
    def _is_gguf(self) -> bool:
        return self.location.endswith(".gguf")

    @property
    def file(self) -> dict[str, str]:
        """Which file of the place, if not the usual ones."""
        return {"gguf_file": Path(self.location).name} if self._is_gguf else {}

    @property
    def safely(self) -> dict[str, Any]:
        """How any weights are loaded: no pickle and no code."""
        return {"use_safetensors": True, "trust_remote_code": False, "dtype": self.precision, **self.file}

    def tokenizer(self) -> Any:
        """Its tokenizer, with a padding token."""
        from transformers import AutoTokenizer

        with loading(self):
            tokenizer = AutoTokenizer.from_pretrained(self.place, trust_remote_code=False, **self.file)
            if not tokenizer.is_fast:
                raise ValueError("its tokenizer gives no character offsets")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        # Padding rows that were encoded one by one is meant.
        tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
        return tokenizer


@contextmanager
def loading(source: Source) -> Iterator[None]:
    """Silent, and what goes wrong is one sentence."""
    from safetensors import SafetensorError

    try:
        # Of a .gguf file's progress bar there is no switch.
        with quiet(), redirect_stderr(io.StringIO()) if source.file else nullcontext():
            yield
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as e:
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise UserError(
            f"{source.name} could not be loaded ({reason}): it must be a folder with config.json, model.safetensors "
            "and tokenizer.json, or a name on the Hugging Face hub"
        ) from e
