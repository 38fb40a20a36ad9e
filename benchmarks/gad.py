"""Does a game against the teacher's answers beat imitating them? Adversarial distillation at equal compute.

    python benchmarks/gad.py                      about an hour on one CPU thread; resumable
    python benchmarks/gad.py --smoke              the same in seconds; measures nothing
    python benchmarks/gad.py --device cuda --teacher FOLDER --student FOLDER --data prompts.jsonl --embedder minilm

1. A teacher, a transformer of three layers, learns to answer the first half of a poem with the second half.
2. It answers every prompt once. From here on it is a black box: the students see its texts, not its probabilities.
3. For each seed a smaller student imitates the answers by maximum likelihood (recipe seqkd).
4. From that student's folder, ``mgan train gad``: the game, and beside it more maximum likelihood at the game's cost.
   On the first seed one run a trial, each with a rate of the game's and a rate of the baseline's; validation text
   chooses one of either, by the same rule. The other seeds are played once, with what was chosen.
5. On prompts that nobody was trained on, the teacher says how likely the students' answers are, exactly.

With --teacher and --student, folders of causal language models, 1. falls away and 3. starts from the student's
weights. Writes benchmarks/results/gad.json; docs/make_distillation.py makes the page of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gad_measures as measures
import mgan
from mgan import presets, threads
from mgan.cli.display import display
from mgan.config import Data
from mgan.data import corpus, readers
from mgan.data.readers import Example
from mgan.data.tokenizers import Tokenizer
from mgan.evaluation import embedder
from mgan.files import write_json, write_text
from mgan.fit.hardware import Hardware
from mgan.training import checkpoint
from mgan.training.run import Run
from mgan.training.setup import set_up
from mgan.types import Silent

RESULT = Path(__file__).parent / "results" / "gad.json"
HALF = "。"
"""The first half of a poem ends with the first of these."""
NAMES = {"adversarial": "gad", "mle": "seqkd"}
SHOWN = 5
ASKED, AGAIN, MEASURED = 1, 2, 3
Rates = tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """What is done. teacher, student, both, game: fields of the runs; both: of every run that a student is in.

    rates, baseline_rates: learning rates of the game and of the baseline, one of either a trial.
    held_out: prompts that the measures are taken on, at most.
    """

    corpora: tuple[str, ...] = ("tang", "tang7")
    seeds: tuple[int, ...] = (0, 1, 2)
    held_out: int = 1000
    temperatures: Rates = (0.7, 0.8, 0.9, 1.0, 1.1)
    context: int = 40
    teacher: tuple[str, ...] = (
        "generator.architecture=transformer", "generator.layers=3", "generator.hidden=192", "generator.heads=4",
        "generator.dropout=0.2", "pretrain.epochs=10", "pretrain.learning_rate=1e-3", "pretrain.evaluate_every=180",
        "evaluation.temperatures=[1.0]", "evaluation.discriminator_steps=10",
    )  # fmt: skip
    student: tuple[str, ...] = (
        "generator.architecture=transformer", "generator.layers=2", "generator.hidden=64", "generator.heads=4",
        "generator.dropout=0.1", "tokenizer.min_frequency=1", "pretrain.epochs=6", "pretrain.learning_rate=3e-3",
    )  # fmt: skip
    both: tuple[str, ...] = ("pretrain.batch_size=32", "pretrain.evaluate_every=100")
    game: tuple[str, ...] = (
        "warmup.steps=80", "adversarial.steps=60", "adversarial.temperature=1.0", "adversarial.discriminator_rate=1e-3",
    )  # fmt: skip
    rates: Rates = (1e-4, 3e-4, 1e-3)
    baseline_rates: Rates = (5e-4, 1.5e-3, 4e-3)


SMALL = Study()
PRETRAINED = replace(
    SMALL, context=256, student=("pretrain.epochs=1",), both=("precision=bf16",), game=("adversarial.temperature=1.0",),
    rates=(3e-7, 1e-6, 3e-6), baseline_rates=(1e-5, 3e-5, 1e-4),
)  # fmt: skip
"""For --teacher and --student; nobody has run it yet."""
SMOKE: dict[str, Any] = {
    "corpora": ("tang",), "seeds": (0, 1), "held_out": 20, "temperatures": (0.9, 1.0), "context": 32,
    "rates": (1e-3,), "baseline_rates": (1e-3,),
}  # fmt: skip


def pairs(sources: Iterable[str]) -> list[Example]:
    """Prompt and completion of every text: those of the file, or of a poem its two halves; each prompt once."""
    found: dict[Any, Example] = {}
    for source in sources:
        for example in readers.read(Data(path=source)):
            if not example.prompt:
                first, stop, second = example.text.partition(HALF)
                example = Example(first + stop, second)
            if example.text.strip():
                found.setdefault(example.given, example)
    return list(found.values())


def write_pairs(path: Path, examples: Iterable[Example]) -> None:
    """As JSON lines; a conversation stays one."""
    lines = []
    for example in examples:
        if example.chat is None:
            record: dict[str, Any] = {"prompt": example.prompt, "completion": example.text}
        else:
            turns = [*example.chat, ("assistant", example.text)]
            record = {"messages": [{"role": role, "content": content} for role, content in turns]}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


class Laboratory:
    """The study's folder: every run is found again, finished ones as they are."""

    def __init__(self, study: Study, folder: Path, options: argparse.Namespace):
        self.study, self.folder, self.options = study, folder, options
        self.hardware = Hardware(options.device)
        folder.mkdir(parents=True, exist_ok=True)

    def record(self) -> dict[str, Any]:
        """Everything, from the prompts to the intervals."""
        study = self.study
        splits = self._prompts()
        folder = Path(self.options.teacher) if self.options.teacher else self._teacher()
        self.teacher = measures.Writer.open(folder, study.context, self.hardware)
        self._ask("answers.jsonl", [*splits.train, *splits.validation], ASKED)
        held_out = self._ask("held-out.jsonl", list(splits.test), AGAIN)[: study.held_out]
        self.measurer = measures.Measurer(self.teacher, held_out, embedder(self.options.embedder))
        first, *others = study.seeds
        students = {seed: self._student(seed) for seed in study.seeds}
        tried = [self._game(first, *rates) for rates in zip(study.rates, study.baseline_rates, strict=True)]
        best = {name: min(range(len(tried)), key=lambda k: _score(tried[k], name)) for name in NAMES}
        rates = study.rates[best["adversarial"]], study.baseline_rates[best["mle"]]
        played = {seed: dict.fromkeys(NAMES, self._game(seed, *rates)) for seed in others}
        played = {first: {name: tried[k] for name, k in best.items()}} | played
        seeds = {str(seed): self._seed(students[seed], played[seed]) for seed in study.seeds}
        teacher = self._teacher_itself()
        return {
            "settings": {name: getattr(study, name) for name in Study.__dataclass_fields__},
            "prompts": {"answered": len(splits.train) + len(splits.validation), "held out": len(held_out)},
            "embedder": self.measurer.embedder.name,
            "measures": measures.MEASURES,
            "teacher": teacher,
            "trials": [
                {"rate": rate, "baseline_rate": other, **{NAMES[name]: _score(run, name) for name in NAMES}}
                for run, rate, other in zip(tried, study.rates, study.baseline_rates, strict=True)
            ],
            "chosen": {"rate": rates[0], "baseline_rate": rates[1]},
            "seeds": seeds,
            "summary": measures.summary(seeds, teacher),
        }

    def _prompts(self) -> corpus.Corpus:
        path = self.folder / "pairs.jsonl"
        if not path.exists():
            write_pairs(path, pairs(self.options.data or self.study.corpora))
        return corpus.build(Data(path=str(path), max_texts=200 if self.options.smoke else None))

    def _teacher(self) -> Path:
        fields = [*self.study.teacher, f"generator.context={self.study.context}"]
        return self._run("teacher", "mle", "pairs.jsonl", fields, 0).generator

    def _ask(self, name: str, prompts: Sequence[Example], purpose: int) -> list[Example]:
        """The teacher's answers, as they stand in the file; empty ones are none."""
        path = self.folder / name
        if not path.exists():
            answers, _ = self.teacher.answers(prompts, 1.0, purpose)
            write_pairs(path, (answer for answer in answers if answer.text.strip()))
        return list(readers.read(Data(path=str(path))))

    def _student(self, seed: int) -> Run:
        study = self.study
        start = [f"generator.pretrained={self.options.student}"] if self.options.student else []
        fields = [*start, *study.student, *self._shared()]
        return self._run(f"student-seed{seed}", "seqkd", "answers.jsonl", fields, seed)

    def _game(self, seed: int, rate: float, baseline_rate: float) -> Run:
        """``mgan train gad --model STUDENT --data answers.jsonl``; the student has imitated enough when it begins."""
        student = self.folder / f"student-seed{seed}" / "generator"
        fields = [
            f"generator.pretrained={student}", "pretrain.max_steps=0", *self.study.game, *self._shared(),
            f"adversarial.generator_rate={rate:g}", f"pretrain.learning_rate={baseline_rate:g}",
        ]  # fmt: skip
        name = f"gad-seed{seed}-{rate:g}-{baseline_rate:g}"
        return self._run(name, "gad", "answers.jsonl", fields, seed)

    def _shared(self) -> list[str]:
        """Fields of every run with a student."""
        temperatures = ",".join(f"{t:g}" for t in self.study.temperatures)
        return [
            *self.study.both, f"generator.context={self.study.context}", f"evaluation.temperatures=[{temperatures}]",
            f"data.test_path={self.folder / 'held-out.jsonl'}",
        ]  # fmt: skip

    def _run(self, name: str, recipe: str, data: str, fields: list[str], seed: int) -> Run:
        folder, smoke = self.folder / name, self.options.smoke
        if smoke:
            # What makes a run small wins over what the study asks for.
            small = {*presets.SMOKE_VALUES, *presets.SMOKE_LIMITS} - {"evaluation.temperatures", "pretrain.max_steps"}
            fields = [field for field in fields if field.partition("=")[0] not in small]
        with display(self.options.quiet) as progress:
            if (folder / "config.yaml").exists():
                return mgan.resume(folder, progress=progress)
            progress.say(f"{name}: recipe {recipe}")
            return mgan.train(
                self.folder / data, recipe, folder, fields,
                smoke=smoke, seed=seed, device=self.options.device, progress=progress,
            )  # fmt: skip

    def _seed(self, student: Run, played: dict[str, Run]) -> dict[str, Any]:
        """One seed's systems: the student as imitation left it, after the game, and after more imitation."""
        found = {"start": self._measured(student, "pretrained")}
        # Its run had another kind of discriminator: an accuracy that cannot stand beside the others'.
        del found["start"]["two_sample"]
        return found | {NAMES[name]: self._measured(run, name) for name, run in played.items()}

    def _measured(self, run: Run, system: str) -> dict[str, Any]:
        path = run.path / f"distillation-{system}.json"
        if not path.exists():
            # Its own tokenizer: texts, not tokens, go to the teacher.
            tokenizer = Tokenizer.load(run.generator)
            world = set_up(run, Silent(), tokenizer).world
            newest = checkpoint.numbers(run.checkpoints)[-1]
            world.load_state_dict(checkpoint.load(run.checkpoints, newest)["world"])
            writer = measures.Writer(world.restored(system), tokenizer, self.study.context, self.hardware)
            figures = run.results["systems"][system]
            found = self.measurer.system(writer, figures, self.study.temperatures, MEASURED)
            compute = {phase: spent["flops"] for phase, spent in run.results["compute"].items()}
            shown = [answer.text for answer in writer.answers(self.measurer.held_out[:SHOWN], 1.0, MEASURED)[0]]
            logged = run.metrics.read()
            seconds = round(logged[-1]["time"] - logged[0]["time"])
            write_json(path, found | {"flops": compute, "seconds": seconds, "outcomes": run.results["outcomes"],
                                      "answers": shown})  # fmt: skip
        return json.loads(path.read_text(encoding="utf-8"))

    def _teacher_itself(self) -> dict[str, Any]:
        """A second set of its answers in the place of a student's: what there is to reach."""
        again = self.measurer.sampled(self.teacher, 1.0, MEASURED)
        nll = self.measurer.likelihood(self.teacher, 1.0)
        shown = [{"prompt": e.prompt, "answer": e.text} for e in self.measurer.held_out[:SHOWN]]
        return again | {"nll": nll, "two_sample": 0.5, "answers": shown}


def _score(run: Run, system: str) -> float:
    """What validation text says of a system, at the temperature that it chose; lower is better."""
    return float(run.results["systems"][system]["validation"]["score"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--work", type=Path, default=Path("runs/gad"), help="where the runs are kept")
    parser.add_argument("--data", nargs="+", help="prompts: corpora that ship with mgan, or files")
    parser.add_argument("--teacher", metavar="FOLDER", help="a causal language model; default: one is trained")
    parser.add_argument("--student", metavar="FOLDER", help="likewise, with --teacher; default: a network from scratch")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--embedder", default="characters", help="of MAUVE: characters, minilm or a folder")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--save", type=Path, default=RESULT, help="the record")
    parser.add_argument("--smoke", action="store_true", help="in seconds, to see that it runs")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    if bool(options.teacher) != bool(options.student):
        parser.error("--teacher and --student belong together")
    study = PRETRAINED if options.teacher else SMALL
    study = replace(study, **SMOKE) if options.smoke else study
    study = replace(study, seeds=tuple(options.seeds)) if options.seeds else study
    threads.use()
    record = Laboratory(study, options.work.resolve(), options).record()
    versions = {name: version(name) for name in ("mgan", "torch", "transformers")}
    about = {
        "command": "python benchmarks/gad.py" + " --smoke" * options.smoke,
        "machine": {"cores": os.cpu_count(), "threads": threads.use().count, "device": options.device},
        "versions": versions | {"python": platform.python_version()},
    }
    write_json(options.save, about | record)
    print("How much farther from the teacher gad is than seqkd:")
    for name, (value, low, high) in record["summary"]["farther"].items():
        print(f"{name}: {value:+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main()
