"""Discriminators that start from a pretrained model: which kinds there are, and how each lives in a folder.

A folder holds, beside the description and weights that every player has, the judge's own tokenizer, in ``reads/`` the
generator's, with which it reads, and of frozen features in ``backbone/`` the model that computes them: whole, so that
the folder can be moved. Of an ensemble every member has such a folder of its own.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from mgan import config, files
from mgan.data.tokenizers import Tokenizer
from mgan.models import adapters
from mgan.models.ensemble import Ensemble
from mgan.models.features import FeatureJudge
from mgan.models.hub import Source
from mgan.models.recompute import recompute
from mgan.models.text_judge import CausalJudge, ClassifierJudge

KINDS = config.PRETRAINED_JUDGES
WHOLE: dict[str, Any] = {"classifier": ClassifierJudge, "causal": CausalJudge}
"""Those that are trained themselves."""
READS, BACKBONE = "reads", "backbone"


def build(section: config.Discriminator, tokenizer: Tokenizer, memory: config.Memory = config.Memory()) -> nn.Module:
    """A new one. tokenizer: the generator's. Raises UserError if the pretrained model cannot be had."""
    if section.architecture == "features":
        source = Source.of(section.pretrained or "", "bfloat16" if memory.base == "bf16" else "float32")
        return FeatureJudge(source, tokenizer, section.hidden, section.dropout, section.ensemble)
    members = [_member(section, tokenizer, memory) for _ in range(section.ensemble)]
    for other in members[1:]:
        adapters.share(other, members[0])
    return members[0] if len(members) == 1 else Ensemble(members)


def _member(section: config.Discriminator, tokenizer: Tokenizer, memory: config.Memory) -> nn.Module:
    """One that is trained, whole or by an adapter; its head is in either case."""
    judge = WHOLE[section.architecture](Source.of(section.pretrained or ""), tokenizer)
    if section.lora.rank:
        whole = judge.new | adapters.outside_the_base(judge.model)
        adapters.adapt(judge, "discriminator", section.lora, memory.base, whole)
    if memory.checkpointing:
        recompute(judge.model)
    return judge


def save_beside(folder: Path, judge: Any) -> None:
    """What a saved judge needs beside its description and weights."""
    judge.reader.tokenizer.save(folder / READS)
    if not isinstance(judge, FeatureJudge):
        return _save_tokenizer(folder, judge.tokenizer)
    inside, backbone = folder / BACKBONE, judge.backbone
    inside.mkdir(exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in backbone.model.state_dict().items()}
    files.replace(inside / "model.safetensors", lambda path: save_file(weights, path, metadata={"format": "pt"}))
    files.write_json(inside / "config.json", backbone.model.config.to_dict())
    return _save_tokenizer(inside, backbone.encoder.tokenizer)


def load(folder: Path, architecture: str, hidden: int, dropout: float, members: int) -> nn.Module:
    """The judge of a folder; of ``features`` the weights of its heads are not read yet."""
    tokenizer = Tokenizer.load(folder / READS)
    if architecture == "features":
        inside = folder / BACKBONE
        return FeatureJudge(Source(str(inside), str(inside), "auto"), tokenizer, hidden, dropout, members)
    judge: nn.Module = WHOLE[architecture](Source(str(folder), str(folder)), tokenizer)
    return judge


def _save_tokenizer(folder: Path, tokenizer: Any) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for name in tokenizer.save_pretrained(temporary):
            if Path(name).is_file():
                files.replace(folder / Path(name).name, lambda path, name=name: shutil.copyfile(name, path))  # type: ignore[misc]
