"""What is added to a saved player's files for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mgan import config
from mgan.data import tokenizers
from mgan.models import serving
from mgan.models.build import Architecture, save_player

TEXTS = ["the cat sees the house", "a dog"] * 20


def saved(folder: Path, architecture: str, before: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
    """generation_config.json (empty if there is none) and the tokenizer of a finished generator's folder."""
    tokenizer = tokenizers.train(TEXTS, config.Tokenizer(kind="char"), sources=architecture == "encoder_decoder")
    shape = Architecture("generator", architecture, tokenizer.vocabulary_size, 8, 1, 2, 0.0, True, 16)
    generator: Any = shape.build()
    save_player(folder, generator, shape)
    path = folder / "generation_config.json"
    if before is not None:
        path.write_text(json.dumps(before))
    serving.finish_generator(folder, generator, tokenizer, 0.8)
    return json.loads(path.read_text()) if path.exists() else {}, tokenizer


@pytest.mark.parametrize(
    ("architecture", "name", "task"),
    [
        ("transformer", "GPT2LMHeadModel", "text-generation"),
        ("encoder_decoder", "T5ForConditionalGeneration", "text2text-generation"),
    ],
)
def test_a_network_from_scratch_is_named_and_ends_its_texts(
    tmp_path: Path, architecture: str, name: str, task: str
) -> None:
    generation, tokenizer = saved(tmp_path, architecture)
    model = json.loads((tmp_path / "config.json").read_text())
    assert model["architectures"] == [name] and serving.task(tmp_path) == task
    assert model["eos_token_id"] == tokenizer.eos and model["pad_token_id"] == tokenizer.pad
    assert generation["eos_token_id"] == [tokenizer.eos]
    assert (generation["do_sample"], generation["temperature"], generation["top_k"]) == (True, 0.8, 0)
    assert generation.get("decoder_start_token_id") == model.get("decoder_start_token_id")


def test_what_a_model_knew_of_its_ends_stays(tmp_path: Path) -> None:
    for known, expected in ((7, [2, 7]), ([9, 7], [2, 7, 9]), (None, [2])):
        before = {"eos_token_id": known, "temperature": 0.1, "pad_token_id": 5, "forced_bos_token_id": 4}
        before |= {"repetition_penalty": 1.1, "num_beams": 4, "min_p": 0.1, "no_repeat_ngram_size": 3}
        generation, tokenizer = saved(tmp_path, "transformer", before)
        assert tokenizer.eos == 2 and generation["eos_token_id"] == expected
        assert (generation["temperature"], generation["pad_token_id"], generation["forced_bos_token_id"]) == (0.8, 5, 4)
        assert not {"repetition_penalty", "num_beams", "min_p", "no_repeat_ngram_size"} & generation.keys()


def test_nobody_is_told_of_a_network_that_only_mgan_knows(tmp_path: Path) -> None:
    assert saved(tmp_path, "lstm")[0] == {} and serving.task(tmp_path) is None
