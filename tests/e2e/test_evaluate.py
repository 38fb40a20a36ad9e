"""``mgan evaluate`` and ``mgan compare`` as a user types them, on small runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mgan
from mgan.cli.main import app
from mgan.evaluation.metrics.language_model import Budget, LanguageModel
from mgan.evaluation.metrics.two_sample import MLP
from mgan.evaluation.sweep import Decoding, Sweeper
from mgan.training.run import Run
from mgan.types import Silent

ENOUGH = ["evaluation.discriminator_steps=2", "data.max_texts=1000", "data.test=0.2", "evaluation.samples=16"]
FEW: dict[str, Any] = {
    "temperatures": (0.8, 1.2), "top_k": (), "top_p": (0.9,), "samples": 20, "embedder": "none", "trained": False
}  # fmt: skip
TYPED = [
    "--temperatures", "0.8,1.2", "--top-k", "", "--top-p", "0.9", "--samples", "20", "--embedder", "none",
    "--no-trained", "--quiet",
]  # fmt: skip


def command(*arguments: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def small_run(folder: Path, data: Path, recipe: str = "mgan", *overrides: str, seed: int = 0) -> Path:
    return mgan.train(data, recipe, folder, [*ENOUGH, *overrides], smoke=True, seed=seed).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, many_sentences: Path) -> Path:
    return small_run(tmp_path_factory.mktemp("evaluate") / "game", many_sentences)


@pytest.fixture(scope="module")
def likelihood(tmp_path_factory: pytest.TempPathFactory, many_sentences: Path) -> Path:
    return small_run(tmp_path_factory.mktemp("evaluate") / "likelihood", many_sentences, "mle")


@pytest.fixture(scope="module")
def measured(run: Path) -> dict[str, Any]:
    """What the whole evaluation of ``run`` says."""
    code, out, error = command("evaluate", run, *TYPED, "--json")
    assert code == 0, error
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture
def fresh(run: Path, tmp_path: Path) -> Path:
    """The run before anybody evaluated it."""
    folder = tmp_path / "game"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("evaluation.*", "frontier"))
    return folder


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The settings that are measured while the test runs."""
    seen: list[str] = []
    measure = Sweeper.point

    def counted(self: Sweeper, generator: Any, decoding: Decoding, seed: int) -> Any:
        seen.append(decoding.label)
        return measure(self, generator, decoding, seed)

    monkeypatch.setattr(Sweeper, "point", counted)
    yield seen


def saved(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    return tree


LABELS = ["T 0.8", "T 1.2", "top-p 0.9"]


def test_everything_is_written(run: Path, measured: dict[str, Any]) -> None:
    assert {name: measured[name] for name in saved(run)} == saved(run)
    assert measured["run"] == "game" and measured["verdict"].startswith("Verdict:")
    assert list(measured["systems"]) == ["adversarial", "mle"]
    for system in measured["systems"].values():
        assert [point["label"] for point in system["points"]] == LABELS and system["trained"] == []
        cold, _, cut = (point["measures"] for point in system["points"])
        assert "nll" in cold and "nll" not in cut and len(cold["nll"]["replicates"]) == 10
    assert measured["texts"]["real"] == 20 and measured["embedder"] is None
    assert {tuple(found["measures"]) for found in measured["comparisons"]} >= {("n-gram score", "held-out NLL")}
    page = (run / "evaluation.md").read_text(encoding="utf-8")
    assert page.startswith("# game\n") and "## adversarial" in page and "## MLE, equal compute" in page
    assert all(found["sentence"] in page for found in measured["comparisons"])
    pictures = {path.name for path in (run / "frontier").iterdir()}
    assert {"ngram_score-nll.svg", "ngram_score-nll.png", "bleu_5-self_bleu_5.svg"} <= pictures
    assert "Quality against diversity" in (run / "report.html").read_text(encoding="utf-8")
    assert not list(run.glob("*.tmp"))


def test_asked_again_it_is_read(run: Path, measured: dict[str, Any], points: list[str]) -> None:
    assert mgan.evaluate(run, **FEW) == measured
    assert points == []
    code, out, _ = command("evaluate", run, *TYPED)
    assert code == 0 and out == (run / "evaluation.md").read_text(encoding="utf-8")


class Stop(Silent):
    """Interrupts after so many points."""

    def __init__(self, after: int) -> None:
        self.after = after

    def advance(self, phase: str, step: int, metrics: Any) -> None:
        if phase == "evaluate" and step == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(6, marks=pytest.mark.slow)])
def test_stopped_it_goes_on(fresh: Path, measured: dict[str, Any], points: list[str], after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        mgan.evaluate(fresh, **FEW, progress=Stop(after))
    assert len(points) == after
    assert "comparisons" not in saved(fresh) and not (fresh / "evaluation.md").exists()
    assert "Quality against diversity" not in mgan.report(fresh).read_text(encoding="utf-8")
    assert mgan.evaluate(fresh, **FEW) == measured
    assert len(points) == 6, "nothing is measured twice"


def test_a_part_that_is_lost_is_measured_again(fresh: Path, measured: dict[str, Any], points: list[str]) -> None:
    tree = {
        name: measured[name] for name in ("format", "sweep", "data", "tokens", "systems", "texts", "embedder", "real")
    }
    tree = json.loads(json.dumps(tree))
    del tree["systems"]["mle"]["points"][-1]
    (fresh / "evaluation.json").write_text(json.dumps(tree))
    assert mgan.evaluate(fresh, **FEW) == measured and points == ["top-p 0.9"]


def test_asked_for_further_settings_it_adds_them(fresh: Path, measured: dict[str, Any], points: list[str]) -> None:
    shutil.copy(_written(fresh, measured), fresh / "evaluation.json")
    with pytest.raises(KeyboardInterrupt):
        mgan.evaluate(fresh, **FEW | {"temperatures": (1.0,), "top_p": ()}, progress=Stop(1))
    assert Run.open(fresh).evaluation is None, "half of it is not to be compared"
    found = mgan.evaluate(fresh, **FEW | {"temperatures": (1.0,), "top_p": ()})
    assert points == ["T 1"] * 2
    for name, system in found["systems"].items():
        assert [point["label"] for point in system["points"]] == ["T 0.8", "T 1", "T 1.2", "top-p 0.9"]
        assert [p for p in system["points"] if p["label"] != "T 1"] == measured["systems"][name]["points"]


def test_asked_for_other_samples_it_begins_anew(fresh: Path, measured: dict[str, Any], points: list[str]) -> None:
    shutil.copy(_written(fresh, measured), fresh / "evaluation.json")
    found = mgan.evaluate(fresh, **FEW | {"samples": 21, "temperatures": (1.2,), "top_p": ()})
    assert points == ["T 1.2"] * 2
    assert [len(system["points"]) for system in found["systems"].values()] == [1, 1]
    assert found["texts"]["real"] == 21


def _written(folder: Path, tree: dict[str, Any]) -> Path:
    path = folder / "old.json"
    path.write_text(json.dumps({name: value for name, value in tree.items() if name not in ("run", "verdict")}))
    return path


def test_without_checkpoints_the_saved_generator_is_measured(fresh: Path, measured: dict[str, Any]) -> None:
    shutil.rmtree(fresh / "checkpoints")
    found = mgan.evaluate(fresh, **FEW)
    assert list(found["systems"]) == ["adversarial"] and found["comparisons"] == []
    assert found["systems"]["adversarial"] == measured["systems"]["adversarial"]


def test_an_evaluation_that_was_altered_is_one_sentence(fresh: Path) -> None:
    (fresh / "evaluation.json").write_text('{"sweep": ')
    code, _, error = command("evaluate", fresh, *TYPED)
    assert code == 2 and "cut short or altered" in error and error.count("\n") == 1


def test_trained_measures(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which there are, and where they are written; what they are worth is tested where they are made."""
    fit = LanguageModel.fit

    def briefly(*arguments: Any, **more: Any) -> LanguageModel:
        return fit(*arguments, **more | {"budget": Budget(updates=20)})

    monkeypatch.setattr(LanguageModel, "fit", briefly)
    monkeypatch.setattr(MLP, "__init__", partialmethod(MLP.__init__, updates=25))
    found = mgan.evaluate(fresh, **FEW | {"temperatures": (1.0,), "top_p": (), "samples": 40, "embedder": "characters",
                                          "trained": True})  # fmt: skip
    (trained,) = found["systems"]["adversarial"]["trained"]
    assert trained["label"] == "T 1"
    assert set(trained["measures"]) == {"two_sample", "kl_bound", "lm_score", "lm_distance", "reverse_lm_score"}
    assert 0 <= trained["measures"]["two_sample"]["p_value"] <= 1
    assert 0 <= found["real"]["two_sample"]["value"] <= 1
    assert "| trained measure | real text | T 1 |" in (fresh / "evaluation.md").read_text(encoding="utf-8")
    assert "LM score" in (fresh / "report.html").read_text(encoding="utf-8")


def test_prompts_are_completed(tmp_path: Path, questions: Path) -> None:
    run = tmp_path / "answers"
    mgan.train(questions, run=run, overrides=[ENOUGH[0], "data.test=0.45"], smoke=True)
    code, out, error = command("evaluate", run, *TYPED, "--json")
    assert code == 0, error
    found = json.loads(out)
    assert found["texts"]["real"] >= 10 and found["systems"]["adversarial"]["points"][0]["measures"]["nll"]["value"] > 0


def test_too_few_test_texts_are_one_sentence(tmp_path: Path, questions: Path) -> None:
    run = tmp_path / "few"
    mgan.train(questions, run=run, overrides=[ENOUGH[0]], smoke=True)
    code, _, error = command("evaluate", run, *TYPED)
    assert code == 2 and "needs 14 test texts or more" in error and error.count("\n") == 1
    assert not (run / "evaluation.json").exists()


def test_too_few_training_texts_are_one_sentence(tmp_path: Path, many_sentences: Path) -> None:
    shares = ("data.max_texts=240", "data.test=0.45", "data.validation=0.3")
    few = small_run(tmp_path / "few", many_sentences, "mle", *shares)
    code, _, error = command("evaluate", few, "--quiet")
    assert code == 2 and "need 80 training texts or more" in error and error.count("\n") == 1
    assert not (few / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--temperatures", "a"], "--temperatures: expected numbers"),
        (["--top-p", "2"], "top-p between 0 and 1"),
        (["--samples", "3"], "samples must be 20 or more"),
        (["--embedder", "nowhere", "--no-trained"], "nowhere"),
        (["--samples", "20"], "ask for --no-trained"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(fresh: Path, options: list[str], sentence: str) -> None:
    code, out, error = command("evaluate", fresh, *options, "--quiet")
    assert (code, out) == (2, "") and sentence in error and error.count("\n") == 1
    assert not (fresh / "evaluation.json").exists()


def test_an_unfinished_run_is_not_evaluated(fresh: Path) -> None:
    (fresh / "results.json").unlink()
    code, _, error = command("evaluate", fresh, *TYPED)
    assert code == 2 and "is not finished: type mgan resume game" in error


# --- compared


def test_runs_that_nobody_evaluated_have_no_frontier(fresh: Path, likelihood: Path) -> None:
    code, _, error = command("compare", fresh, likelihood)
    assert code == 2 and "game has no frontier to compare: type mgan evaluate game first" in error


def test_two_configurations_are_compared(run: Path, measured: dict[str, Any], likelihood: Path, tmp_path: Path) -> None:
    mgan.evaluate(likelihood, **FEW)
    code, out, error = command("compare", run, likelihood)
    assert code == 0, error
    lines = out.splitlines()
    assert lines[0].startswith("seed 0 (game): ") and lines[1] == "seed 0 (likelihood): none"
    said = [line for line in lines if line.startswith("n-gram score against held-out NLL: ")]
    assert len(said) == 2 and any("MLE, equal compute of mgan" in line for line in said)
    assert any("mgan and mle" in line or "by mle" in line or "dominates mle" in line for line in said)
    assert "Verdict:" not in out

    plots = tmp_path / "plots"
    found = json.loads(command("compare", run, likelihood, "--plots", plots, "--published", "coco", "--json")[1])
    assert found == mgan.compare([run, likelihood], plots=plots, published="coco")
    assert found["plots"] and all(Path(path).exists() for path in found["plots"])
    assert {Path(path).suffix for path in found["plots"]} == {".svg", ".png"}
    assert [about["run"] for about in found["runs"]] == ["game", "likelihood"]

    for wrong in (["--published", "coco"], ["--plots", plots, "--published", "nothing"]):
        code, _, error = command("compare", run, likelihood, *wrong)
        assert code == 2 and "it is drawn into plots, a folder, and must be one of coco, emnlp_news, oracle_20" in error


def test_what_was_evaluated_otherwise_is_not_compared(
    run: Path, measured: dict[str, Any], likelihood: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(likelihood, other, ignore=shutil.ignore_patterns("evaluation.*", "frontier"))
    mgan.evaluate(other, **FEW | {"samples": 22, "temperatures": (1.0,), "top_p": ()})
    code, _, error = command("compare", run, other)
    assert code == 2 and "other and game were evaluated with other settings, texts or embeddings" in error


def test_one_run_alone_is_no_comparison(run: Path) -> None:
    code, _, error = command("compare", run)
    assert code == 2 and "cannot be compared with itself" in error
