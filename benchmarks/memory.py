"""What ``mgan plan`` says of a run's memory, and what the run then takes.

    python benchmarks/memory.py [--case NAME ...] [--save FILE]

Every case is a whole short run in a process of its own, of random models in a temporary folder. Measured is what the
process held at most beyond what it held after a tiny run of the same kind, which imports all there is to import; phase
by phase where the system lets a process reset its peak (Linux). A phase begins with what the allocator has kept of the
ones before. Beside it stands what the plan said. Texts are as long as the context, as the plan takes them to be.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch, and before any process of ours is started.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

from pairing import peak_mb, surroundings

MB = 2**20
SHORT = [
    "data.oracle.texts=64", "data.oracle.held_out=16", "pretrain.max_steps=2",
    "adversarial.prompts_per_step=8", "adversarial.evaluate_every=1", "evaluation.samples=8",
    "evaluation.temperatures=[1.0]", "evaluation.candidates=2", "evaluation.discriminator_steps=1",
    "evaluation.bootstrap=100", "checkpoint.every=1000", "threads=1",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """what: in words. pretrained: which players begin with a model of ours. length: tokens of a text."""

    what: str
    recipe: str
    overrides: tuple[str, ...]
    length: int
    pretrained: tuple[str, ...] = ()


GAME = ("warmup.steps=1", "adversarial.steps=1", "adversarial.discriminator_steps=1", "pretrain.batch_size=8")
GPT = ("generator.architecture=transformer", "generator.hidden=384", "generator.layers=3", "generator.heads=6")
JUDGE = (
    "discriminator.architecture=transformer", "discriminator.hidden=256", "discriminator.layers=2",
    "discriminator.heads=4", "discriminator.from_generator=false",
)  # fmt: skip
TINY = (
    "generator.hidden=24", "generator.layers=1", "discriminator.hidden=16", "discriminator.layers=1",
    "generator.context=9", "data.oracle.length=8", "data.oracle.vocabulary=50", "adversarial.prompts_per_step=4",
)  # fmt: skip
CASES = {
    "weights": Case(
        "maximum likelihood, GPT-2 of 3 x 384 from scratch, 4 texts of 64 tokens",
        "mle", (*GPT, "pretrain.batch_size=4"), 64,
    ),
    "activations": Case(
        "maximum likelihood, GPT-2 of 3 x 384 from scratch, 24 texts of 128 tokens",
        "mle", (*GPT, "generator.dropout=0.1", "pretrain.batch_size=24"), 128,
    ),
    "llama": Case(
        "maximum likelihood, a Llama's folder of 4 x 384, 8 texts of 128 tokens",
        "mle", ("pretrain.batch_size=8",), 128, ("generator",),
    ),
    "game": Case(
        "the game, GPT-2 of 3 x 384 and of 2 x 256, 8 texts of 128 tokens",
        "mgan", (*GPT, *JUDGE, *GAME), 128,
    ),
    "pieces": Case(
        "the same in 4 micro-batches",
        "mgan", (*GPT, *JUDGE, *GAME, "adversarial.micro_batches=4"), 128,
    ),
    "relaxed": Case(
        "the game through soft texts, LSTMs of 128, 48 texts of 64 tokens",
        "gsgan", (*GAME, "adversarial.prompts_per_step=48"), 64,
    ),
    "expanded": Case(
        "the game by D's slope, LSTM of 128 and CNN, 16 texts of 64 tokens",
        "taylorgan", (*GAME, "adversarial.prompts_per_step=16"), 64,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES), help="only these")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON here too")
    given = parser.parse_args()
    record = {"cases": {name: compared(name) for name in given.case}} | surroundings()
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if given.save:
        given.save.write_text(text, "utf-8")
    print(text, end="")


def compared(name: str) -> dict[str, Any]:
    """MB of the case: ``planned`` and ``measured``, by phase and at most."""
    found = {}
    for side in (planned, measured):
        with multiprocessing.get_context("spawn").Pool(1) as process, tempfile.TemporaryDirectory() as folder:
            found[side.__name__] = process.apply(side, (name, folder))
    ratio = max(found["planned"].values()) / max(found["measured"].values())
    return {"what": CASES[name].what, "ratio": round(ratio, 3)} | found


def planned(name: str, folder: str) -> dict[str, float]:
    import mgan

    found = mgan.plan(**_arguments(CASES[name], Path(folder)))
    return {phase.name: round(phase.total / MB, 1) for phase in found.phases}


def measured(name: str, folder: str) -> dict[str, float]:
    os.environ["MGAN_CACHE"] = str(Path(folder) / "cache")
    import mgan

    arguments = _arguments(CASES[name], Path(folder))
    mgan.train(**_arguments(CASES[name], Path(folder) / "small", TINY), run=Path(folder) / "tiny")
    gc.collect()
    peaks = Peaks()
    mgan.train(**arguments, run=Path(folder) / "run", progress=peaks)
    return peaks.ended()


class Peaks:
    """Who is told when a phase begins, and looks what the process has held since the last one began."""

    def __init__(self) -> None:
        self.before, self.phase, self.found = _status("VmRSS"), "setup", dict[str, float]()
        _forget()

    def start(self, phase: str, total: int, done: int = 0) -> None:
        self._note()
        self.phase = phase

    def advance(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def say(self, sentence: str) -> None:
        pass

    def ended(self) -> dict[str, float]:
        self._note()
        return self.found

    def _note(self) -> None:
        self.found[self.phase] = round(_status("VmHWM") - self.before, 1)
        _forget()


def _status(field: str) -> float:
    """MiB: VmRSS is what the process holds now, VmHWM what it has held at most since ``_forget``."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return peak_mb()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(field))


def _forget() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _arguments(case: Case, folder: Path, further: tuple[str, ...] = ()) -> dict[str, Any]:
    """What ``mgan.train`` and ``mgan.plan`` are called with."""
    context = case.length + 1
    common = [*SHORT, f"generator.context={context}", *case.overrides]
    if not case.pretrained:
        oracle = ["data.oracle.hidden=8", f"data.oracle.length={case.length}", "data.oracle.vocabulary=8000"]
        return {"data": "oracle", "recipe": case.recipe, "overrides": [*common, *oracle, *further]}
    model = _llama(folder / "llama", context, 24 if further else 384)
    text = folder / "texts.txt"
    text.write_text("".join(" ".join(f"w{(i * j) % 500}" for j in range(2 * context)) + "\n" for i in range(80)))
    models = [f"{player}.pretrained={model}" for player in case.pretrained]
    return {"data": str(text), "recipe": case.recipe, "overrides": [*common, *models]}


def _llama(folder: Path, context: int, hidden: int = 384) -> Path:
    """A small Llama with random weights and a tokenizer of 500 words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(500))]
    cut = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    cut.pre_tokenizer = Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=cut, **special).save_pretrained(folder)
    shape = LlamaConfig(
        vocab_size=8000 if hidden > 100 else 504, hidden_size=hidden, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=max(256, context), bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
