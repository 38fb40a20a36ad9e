from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import mgan
from mgan.cli.main import app
from mgan.config import Config
from mgan.errors import UserError
from mgan.evaluation.sweep import Sweep

Mgan = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mgan:
    """Runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return invoke


@dataclass
class FakePair:
    texts: list[str] = field(default_factory=lambda: ["月\n夜", "a\tb\\", ""])
    asked: dict[str, Any] = field(default_factory=dict)
    scored: list[str] = field(default_factory=list)
    prompts: list[str] | None = None
    probabilities: list[float] | None = None

    def generate(self, **options: Any) -> list[str]:
        self.asked = options
        return self.texts

    context = 8
    prompted = chats = False
    ending = ""
    tokenizer = SimpleNamespace(labels=(), blanks=None)

    def unknown(self, texts: list[str]) -> tuple[int, int]:
        return 0, 1

    def longer_than_context(self, texts: list[str], prompts: list[str] | None = None) -> int:
        given = prompts or [""] * len(texts)
        return sum(len(prompt + text) > 8 for prompt, text in zip(given, texts, strict=True))

    def score(self, texts: list[str], prompts: list[str] | None = None) -> list[float]:
        self.scored, self.prompts = texts, prompts
        return self.probabilities or [0.25] * len(texts)


@dataclass
class FakeRun:
    path: Path
    config: Config = field(default_factory=Config)
    results: dict[str, Any] = field(
        default_factory=lambda: {
            "verdict": {"sentence": "the pair wins.", "outcome": "better"},
            "systems": {"adversarial": {}, "mle": {}},
            "samples": {"adversarial": ["月\n夜", "a\tb\\", " "], "mle": ["x"], "real": ["y"]},
        }
    )


class FakeTraining(ModuleType):
    """Stands in for mgan.training: remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("mgan.training")
        self.error: BaseException | None = None
        self.config: Config | None = None
        self.path: Path | None = None
        self.sweep: Sweep | None = None
        self.found: dict[str, Any] = {}

    def train(self, config: Config, run: Path, progress: Any) -> FakeRun:
        self.config = config
        return self.resume(run, progress)

    def resume(self, path: Path, progress: Any) -> FakeRun:
        make_run(path)
        self.path = path
        progress.start("pretrain", 2)
        progress.advance("pretrain", 2, {"nll": 3.0})
        if self.error:
            raise self.error
        return FakeRun(path, self.config or Config(), **self.found)

    def evaluate(self, path: Path, sweep: Sweep, progress: Any) -> dict[str, Any]:
        self.path, self.sweep = path, sweep
        (path / "evaluation.md").write_text("# elsewhere\n\n| measure | 诗 |\n", encoding="utf-8")
        return {"run": path.name, "systems": {"诗": 3.21456}}

    def report(self, path: Path) -> Path:
        return path / "report.html"


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    fake = FakeTraining()
    monkeypatch.setitem(sys.modules, "mgan.training", fake)
    return fake


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> FakePair:
    fake = FakePair()
    monkeypatch.setattr(mgan, "load", lambda run: fake)
    return fake


def make_run(folder: Path, recipe: str = "mgan", verdict: dict[str, str] | None = None, metrics: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"recipe: {recipe}\n")
    if verdict:
        (folder / "results.json").write_text(json.dumps({"verdict": verdict}))
    if metrics:
        (folder / "metrics.jsonl").write_text(metrics)
    return folder


def test_train_builds_the_configuration_and_ends_with_samples_and_the_verdict(
    command: Mgan, training: FakeTraining, tmp_path: Path
) -> None:
    (tmp_path / "poems.txt").write_text("a\n")
    done = command(
        *("train", "mle", "game.kl=0.5", "--data", "poems.txt", "--run", "first", "--smoke"),
        *("--seed", "7", "--device", "cpu", "--keep", "5", "--tensorboard"),
    )
    assert done.exit_code == 0, done.output
    config = training.config
    assert config is not None
    assert (config.recipe, config.game.kl, config.seed, config.device) == ("mle", 0.5, 7, "cpu")
    assert (config.checkpoint.keep, config.tensorboard, config.data.max_texts) == (5, True, 200)
    assert config.data.path == str(tmp_path / "poems.txt")
    assert training.path == tmp_path / "runs" / "first"
    assert done.stdout.splitlines() == ["月\\n夜", "a\\tb\\\\", "Verdict: the pair wins."]
    assert "8 texts an update; no game" in done.stderr and "report.html" in done.stderr
    assert "pretrain 2/2" in done.stderr and "nll 3" in done.stderr


def test_train_defaults(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    assert command("train", "--quiet").exit_code == 0
    assert training.config == Config()
    assert training.path is not None and training.path.parent == tmp_path / "runs"
    assert training.path.name.startswith("mgan-20")


def test_a_smoke_run_says_that_its_texts_are_noise(command: Mgan, training: FakeTraining) -> None:
    said = "its networks learn next to nothing, and their texts are noise"
    assert said in command("train", "--smoke", "--run", "a").stderr
    assert said not in command("train", "--run", "b").stderr


def test_samples_of_labels_are_shown_with_them(command: Mgan, training: FakeTraining) -> None:
    results = FakeRun(Path()).results | {"labels": {"samples": ["good", "坏", "good"]}}
    training.found = {"results": results}
    lines = command("train", "--quiet", "--run", "a").stdout.splitlines()
    assert lines[:2] == ["[good] 月\\n夜", "[坏] a\\tb\\\\"] and lines[2].startswith("Verdict:")


def test_quiet_is_quiet(command: Mgan, training: FakeTraining) -> None:
    done = command("train", "--quiet", "--run", "x")
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "report" in line]


def test_an_embedded_corpus_wins_over_a_folder_of_its_name(
    command: Mgan, training: FakeTraining, tmp_path: Path
) -> None:
    (tmp_path / "tang").mkdir()
    assert command("train", "--data", "tang").exit_code == 0
    assert training.config is not None and training.config.data.path == "tang"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "mgna"], "there is no recipe 'mgna': did you mean 'mgan'?"),
        (["train", "mle", "other"], "'other' is one argument too many"),
        (["train", "game.kll=1"], "there is no field 'game.kll': did you mean game.kl?"),
        (["train", "game.kl=x"], "game.kl: expected a number of at least 0"),
        (["train", "--device", "gpu"], "device: expected one of auto, cpu, cuda, mps"),
        (["train", "--seed", "-1"], "seed: expected a whole number of at least 0 and at most 9007199254740992, got -1"),
        (["train", "--run", "taken"], "runs/taken is a run already: go on with 'mgan resume taken'"),
        (["train", "--run", "./full"], "full is not empty"),
        (["train", "--run", "full/file"], "full/file is a file"),
        (["train", "--run", ".."], "a run needs a name"),
        (["resume", "takn"], "there is no run 'takn'"),
        (["generate", "full"], "full is not a run folder: it has no config.yaml"),
        (["report", "nowhere"], "there is no run 'nowhere'"),
        (["evaluate", "nowhere"], "there is no run 'nowhere'"),
        (["runs", "nowhere"], "there is no folder nowhere"),
        (["recipes", "show", "mgna"], "there is no recipe 'mgna'"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence_and_exit_2(
    command: Mgan, training: FakeTraining, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    make_run(tmp_path / "runs" / "taken")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    done = command(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mgan: ") and done.stderr.count("\n") == 1
    assert sentence in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["tran"], ["train", "--dat", "x"], ["generate"], ["generate", "x", "--n", "few"], ["resume"]],
)
def test_usage_errors_exit_2(command: Mgan, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.exit_code == 2
    assert done.stdout == "" and "Usage" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UserError("data.path: nothing\nthere"), 2, "mgan: data.path: nothing there\n"),
        (
            KeyboardInterrupt(),
            130,
            "mgan: stopped; go on from the last checkpoint with: mgan resume 'my run'\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "w"), 2, "mgan: the disk is full at w: free some"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 2, "mgan: the disk is full: free"),
    ],
)
def test_foreseeable_failures(
    command: Mgan, training: FakeTraining, error: BaseException, code: int, sentence: str
) -> None:
    training.error = error
    done = command("train", "--run", "my run")
    assert done.exit_code == code
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bug_keeps_its_traceback(command: Mgan, training: FakeTraining) -> None:
    training.error = ZeroDivisionError("bug")
    done = command("train")
    assert done.exit_code == 1 and isinstance(done.exception, ZeroDivisionError)


def test_resume(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "half")
    done = command("resume", "half")
    assert done.exit_code == 0 and training.path == folder
    assert done.stdout.splitlines()[-1] == "Verdict: the pair wins."


def test_resuming_a_finished_run_says_so(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "done", verdict={"sentence": "Verdict: it tied.", "outcome": "tie"})
    done = command("resume", "done")
    assert done.exit_code == 0 and training.path is None
    assert done.stdout == "Verdict: it tied.\n"
    assert "done is finished" in done.stderr


def test_generate_prints_one_line_a_sample(command: Mgan, pair: FakePair) -> None:
    done = command("generate", "r", "--prompt", "月", "--n", "3", "--temperature", "0.5", "--rerank", "4")
    assert done.exit_code == 0 and done.stderr == ""
    assert done.stdout.splitlines() == ["月\\n夜", "a\\tb\\\\", '""']
    given = {"prompt": "月", "n": 3, "temperature": 0.5, "rerank": 4}
    assert pair.asked == given | {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 0, "length": None}


def test_generated_lines_are_lines_whatever_is_in_them(command: Mgan, pair: FakePair) -> None:
    pair.texts = ["a\rb", "c\u2028d", "e\x1b[2Jf", "全　角", "\n"]
    lines = command("generate", "r").stdout.splitlines()
    assert lines == ["a\\rb", "c\\u2028d", "e\\x1b[2Jf", "全　角", "\\n"]


def test_score_prints_a_number_a_line(command: Mgan, pair: FakePair, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes("﻿春眠\r\na b \n\u2028c".encode())
    done = command("score", "r", "texts.txt")
    assert done.exit_code == 0
    assert done.stdout == "0.250000\n" * 3
    assert pair.scored == ["春眠", "a b ", "\u2028c"]


def test_score_says_why_all_texts_get_the_same_number(command: Mgan, pair: FakePair) -> None:
    said = command("score", "r", "-", stdin=b"one\ntwo\n").stderr
    assert said.startswith("all texts get the same number: no update of this discriminator")
    for lines, numbers in ((b"one\none\n", [0.25, 0.25]), (b"one\ntwo\n", [0.25, 0.5])):
        pair.probabilities = numbers
        assert command("score", "r", "-", stdin=lines).stderr == ""


def test_generate_lists_the_labels_of_a_labelled_run(command: Mgan, pair: FakePair) -> None:
    pair.tokenizer = SimpleNamespace(labels=("bad one", "好"), blanks=None)
    done = command("generate", "r")
    assert done.exit_code == 2 and "--prompt 'bad one' (its labels: bad one, 好)" in done.stderr
    assert command("generate", "r", "--prompt", "好").exit_code == 0


def test_score_reads_stdin(command: Mgan, pair: FakePair) -> None:
    assert command("score", "r", "-", stdin=b"one\ntwo\n").stdout == "0.250000\n" * 2
    assert pair.scored == ["one", "two"]


def test_what_generate_prints_score_reads_back(command: Mgan, pair: FakePair, tmp_path: Path) -> None:
    pair.texts = ["a\rb", "c\u2028d", "e\x1b[2Jf", "\\n", "two\nlines\t\\", "\\x41", "全　角"]
    (tmp_path / "texts.txt").write_text(command("generate", "r").stdout, encoding="utf-8")
    assert command("score", "r", "texts.txt", "--escaped").exit_code == 0
    assert pair.scored == pair.texts
    command("score", "r", "texts.txt")
    assert pair.scored[4] == "two\\nlines\\t\\\\"


def test_an_escaped_prompt_is_unescaped(command: Mgan, pair: FakePair) -> None:
    command("generate", "r", "--prompt", r"one\ntwo\q")
    assert pair.asked["prompt"] == "one\ntwo\\q"


def test_score_reads_prompts_and_completions(command: Mgan, pair: FakePair, tmp_path: Path) -> None:
    rows = [{"prompt": "1 plus 1? ", "completion": "2"}, {"prompt": "2 plus 1? ", "completion": "3"}]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("score", "r", "pairs.jsonl").stdout == "0.250000\n" * 2
    assert (pair.prompts, pair.scored) == (["1 plus 1? ", "2 plus 1? "], ["2", "3"])
    assert "2 texts with what is given before them are longer" in command("score", "r", "pairs.jsonl").stderr
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    assert command("score", "r", "texts.jsonl").stdout == "0.250000\n" * 2
    assert (pair.prompts, pair.scored) == (None, ["a", "b"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\n \nb\n", "line 2 is blank"),
        (b"a\n\n", "line 2 is blank"),
        (b"a\nb\xff\n", "line 2 is not UTF-8 text"),
    ],
)
def test_score_names_the_wrong_line(
    command: Mgan, pair: FakePair, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    for arguments, stdin in ((["texts.txt"], None), (["-"], content)):
        done = command("score", "r", *arguments, stdin=stdin)
        assert done.exit_code == 2 and sentence in done.stderr and done.stdout == ""
    assert command("score", "r", "missing.txt").exit_code == 2
    assert command("score", "r", ".").exit_code == 2


def test_evaluate_prints_the_page_or_json(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "elsewhere")
    done = command("evaluate", str(folder), "--quiet")
    assert (done.exit_code, done.stdout) == (0, "# elsewhere\n\n| measure | 诗 |\n")
    assert training.path == folder and training.sweep == Sweep()
    assert "report.html" in done.stderr
    as_json = command("evaluate", "elsewhere", "--json").stdout
    assert json.loads(as_json) == {"run": "elsewhere", "systems": {"诗": 3.21456}}


def test_evaluate_passes_on_what_was_asked(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    make_run(tmp_path / "elsewhere")
    asked = ("--temperatures", "1, 0.5", "--top-k", "", "--top-p", "0.9,", "--samples", "30")
    assert command("evaluate", "elsewhere", *asked, "--embedder", "none", "--no-trained").exit_code == 0
    assert training.sweep == Sweep((1.0, 0.5), (), (0.9,), 30, "none", False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--temperatures", "a"], "--temperatures: expected numbers parted by commas, got 'a'"),
        (["--top-k", "1.5"], "--top-k: expected numbers parted by commas, got '1.5'"),
        (["--temperatures", ""], "temperatures must be above 0, and one at least"),
        (["--temperatures", "0"], "temperatures must be above 0"),
        (["--temperatures", "nan"], "temperatures must be above 0"),
        (["--top-p", "2"], "top-p between 0 and 1"),
        (["--top-k", "0"], "top-k must be 1 or more"),
        (["--samples", "3"], "samples must be 20 or more, not 3"),
    ],
)
def test_evaluate_refuses_settings_that_are_none(
    command: Mgan, training: FakeTraining, tmp_path: Path, options: list[str], sentence: str
) -> None:
    make_run(tmp_path / "elsewhere")
    done = command("evaluate", "elsewhere", *options)
    assert (done.exit_code, done.stdout) == (2, "") and training.path is None
    assert sentence in done.stderr and done.stderr.count("\n") == 1


def test_report_prints_its_path(command: Mgan, training: FakeTraining, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a")
    assert command("report", "a").stdout == f"{tmp_path / 'runs' / 'a' / 'report.html'}\n"


def test_runs_lists_what_the_folders_say(command: Mgan, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    make_run(runs / "a", "mle", verdict={"sentence": "Better.", "outcome": "better"})
    make_run(runs / "b", metrics='{"phase": "warmup", "step": 3}\n{"phase": "adversarial", "step": 12}\n')
    make_run(runs / "c", metrics='{"phase": "warmup", "st')
    (make_run(runs / "d") / "config.yaml").write_text("recipe: [")
    (runs / "not-a-run").mkdir()
    lines = [line.split() for line in command("runs").stdout.splitlines()]
    assert lines == [
        ["run", "recipe", "state", "verdict"],
        ["a", "mle", "finished", "better"],
        ["b", "mgan", "unfinished", "(adversarial", "12)"],
        ["c", "mgan", "unfinished"],
        ["d", "?", "unfinished"],
    ]
    listed = json.loads(command("runs", str(runs), "--json").stdout)
    assert [run["finished"] for run in listed] == [True, False, False, False]
    assert (listed[0]["path"], listed[0]["verdict"]) == (str(runs / "a"), "Better.")


def test_no_runs_yet(command: Mgan) -> None:
    done = command("runs")
    assert (done.exit_code, done.stdout) == (0, "") and "no runs in" in done.stderr
    assert json.loads(command("runs", "--json").stdout) == []


def test_recipes_are_listed_with_their_summaries(command: Mgan) -> None:
    lines = command("recipes").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(names) and {"mgan", "mle", "reinforce", "gad", "spin"} <= set(names)
    assert all(len(line.split()) > 5 for line in lines)


def test_a_shown_recipe_is_a_recipe(command: Mgan, tmp_path: Path) -> None:
    shown = command("recipes", "show", "reinforce").stdout
    assert "Yu et al. 2017" in shown and "# gamma on later rewards" in shown
    (tmp_path / "mine.yaml").write_text(shown)
    assert mgan.load_config("mine.yaml") == mgan.load_config("reinforce")
    assert command("recipes", "show", "mine.yaml").exit_code == 0


def test_the_version_is_printed(command: Mgan) -> None:
    assert command("--version").stdout == f"{mgan.__version__}\n"
