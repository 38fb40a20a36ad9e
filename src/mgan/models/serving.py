"""What a saved player needs so that other programs open it: transformers, vLLM, TRL's ``reward_funcs``.

Said in the files they look for: which class the weights are of, where a text ends, how it is sampled, what a label
means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mgan import files
from mgan.data.tokenizers import Tokenizer

KEPT = ("bos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id")
"""What of a model's own generation_config.json says how text begins; the rest is how others would draw it."""
UNKNOWN = "mgan"
"""model_type of a network that no other program knows."""
LABEL = "real"


def finish_generator(folder: Path, generator: Any, tokenizer: Tokenizer, temperature: float) -> None:
    """Complete config.json, and write generation_config.json: sampling as it was judged, every token that ends a text.

    Of what a pretrained model said itself the ends that it knew and the marks that text begins with stay. Nothing is
    done where only mgan knows the network.
    """
    config = _read(folder / "config.json")
    if config["model_type"] == UNKNOWN or tokenizer.eos is None:
        return
    marks = {"bos_token_id": tokenizer.bos, "eos_token_id": tokenizer.eos, "pad_token_id": tokenizer.pad}
    if not config.get("architectures"):
        config["architectures"] = [type(generator.model).__name__]
        config |= {name: mark for name, mark in marks.items() if config.get(name) is None}
        files.write_json(folder / "config.json", config)
    path = folder / "generation_config.json"
    before = _read(path) if path.exists() else {"decoder_start_token_id": config.get("decoder_start_token_id")}
    kept = {name: before[name] for name in KEPT if before.get(name) is not None}
    known = before.get("eos_token_id")
    known = known if isinstance(known, list) else [] if known is None else [known]
    # transformers would otherwise keep to the 50 likeliest tokens.
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    ending = {"eos_token_id": sorted({tokenizer.eos, *known})}
    files.write_json(path, marks | kept | ending | sampling)


def finish_discriminator(folder: Path, judge: Any) -> None:
    """Complete the config.json of a judge that is a sequence classifier, and of each of an ensemble's."""
    members = list(getattr(judge, "members", ()))
    for number, member in enumerate(members):
        finish_discriminator(folder / str(number), member)
    if members or not hasattr(judge, "tokenizer"):
        return
    one_label = {
        "id2label": {"0": LABEL},
        "label2id": {LABEL: 0},
        # A logit of its own for the one label: pipelines put a sigmoid on it, not a softmax.
        "problem_type": "multi_label_classification",
        "pad_token_id": judge.tokenizer.pad_token_id,
    }
    files.write_json(folder / "config.json", _read(folder / "config.json") | one_label)


def _read(path: Path) -> dict[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return dict(content)


def task(folder: Path) -> str | None:
    """What the hub calls the work of a saved generator; None if only mgan opens it."""
    config = _read(folder / "config.json")
    if config["model_type"] == UNKNOWN:
        return None
    return "text2text-generation" if config.get("is_encoder_decoder") else "text-generation"
