"""Studies: what is tried and chosen, and small ones played through the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mgan.bench.study
from mgan.bench.study import Study, compare_methods, write
from mgan.bench.suite import load_suite, suite_names
from mgan.bench.tables import chosen, table
from mgan.cli.main import app
from mgan.config import Config
from mgan.errors import UserError
from mgan.evaluation.sweep import Sweeper
from mgan.types import Silent


@dataclass
class Played:
    """Stands in for a run: its validation score is ``score``."""

    score: float

    @property
    def results(self) -> dict[str, Any]:
        return {"systems": {"it": {"validation": {"score": self.score, "nll": self.score / 2}}}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Config]]:
    """The configuration of every run a study asks for, none of which is trained: the third is the best."""
    seen: dict[str, Config] = {}

    def run(self: Study, name: str, method: str, settings: Any, seed: int) -> Played:
        seen[name] = self._config(method, settings, seed)
        return Played(1.0 if name.endswith("trial2") else 2.0 + len(seen))

    monkeypatch.setattr(Study, "_run", run)
    yield seen


def study(name: str, tmp_path: Path, smoke: bool) -> Study:
    loaded = load_suite(name)
    for file in loaded.files.values():
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Study(name, loaded, tmp_path / "runs", tmp_path / "data", smoke, Silent())


@pytest.mark.parametrize("smoke", [False, True], ids=["whole", "smoke"])
@pytest.mark.parametrize("name", suite_names())
def test_every_candidate_of_every_method_is_a_configuration(
    name: str, smoke: bool, tmp_path: Path, asked: dict[str, Config]
) -> None:
    played = study(name, tmp_path, smoke)
    for method in played.suite.methods:
        chosen, tried = played.tuned(method)
        config = played._config(method, chosen, played.seeds(method)[0])
        assert config.recipe == played.suite.method(method).recipe
        known = played.suite.method(method)
        own = played.suite.trials - known.inherits if known.search and not smoke else 0
        assert len(tried) == (own if own > 1 else 0), "all methods have one budget"
        if method == "mgan":
            assert list(config.evaluation.controls) == ["constant", "random", "frozen"]
            assert config.discriminator.hidden == config.generator.hidden
    if asked:
        assert {config.seed for config in asked.values()} == {played.suite.seeds[0]}, "trials see the first seed alone"
        assert all(not config.evaluation.controls for config in asked.values())
        texts = {config.model_copy().data.model_dump_json() for config in asked.values()}
        assert len(texts) == 1, "every method reads the same text"


def test_the_lowest_validation_score_is_chosen_and_built_upon(tmp_path: Path, asked: dict[str, Config]) -> None:
    played = study("tang", tmp_path, smoke=False)
    mle, tried = played.tuned("mle")
    best = tried[2]
    assert best["score"] == min(trial["score"] for trial in tried) and best["settings"].items() <= mle.items()
    assert "evaluation.discriminator_steps" not in mle, "what makes trials cheap is not taken over"
    assert len({json.dumps(trial["settings"]) for trial in tried}) == 4
    inherits = played.suite.method("mgan").inherits
    inherited, _ = played.tuned("mle", inherits)
    game, own = played.tuned("mgan")
    assert {name: game[name] for name in best["settings"]} == {name: inherited[name] for name in best["settings"]}
    assert len(own) + inherits == len(tried)
    assert asked["mgan-trial0"].pretrain.learning_rate == inherited["pretrain.learning_rate"]
    assert asked["mgan-trial0"].game.kl == 0.05


@pytest.mark.parametrize("score", [math.nan, -math.inf])
def test_a_trial_that_diverged_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float) -> None:
    scores = iter([score, 3.0, 2.0, score])
    monkeypatch.setattr(Study, "_run", lambda *_: Played(next(scores)))
    chosen, tried = study("tang", tmp_path, smoke=False).tuned("mle")
    assert tried[2]["settings"].items() <= chosen.items()


def test_a_smoke_study_is_small(tmp_path: Path) -> None:
    played = study("coco", tmp_path, smoke=True)
    config = played._config("mle", played.suite.settings | {"generator.hidden": 256}, 0)
    assert config.generator.hidden == 32 and config.pretrain.max_steps == 6 and played.seeds("mle") == (0,)
    assert config.data.lowercase and config.data.test == 0.45, "what does not make it large stays"


def record(target: float, quality: float) -> dict[str, Any]:
    """A method's, of one system and one seed."""

    def points(*values: tuple[float, float]) -> list[dict[str, Any]]:
        return [
            {"label": f"T {t:g}", "temperature": t, "top_k": 0, "top_p": 1.0,
             "measures": {"bleu_5": {"value": q, "error": 0.01}, "self_bleu_5": {"value": d, "error": 0.01}}}
            for t, (q, d) in zip((0.8, 1.2), values, strict=True)
        ]  # fmt: skip

    real = {"bleu_5": {"value": target, "error": 0.01}, "self_bleu_5": {"value": 0.3, "error": 0.01}}
    systems = {"pretrained": {"points": points((quality, 0.6), (quality - 0.2, 0.4)), "trained": []}}
    return {"seeds": {"0": {"texts": {"real": 9}, "embedder": None, "real": real, "systems": systems}}}


def test_methods_are_compared_if_measured_against_the_same_texts(tmp_path: Path) -> None:
    suite = load_suite("tang")
    for method, one in (("mle", record(0.3, 0.25)), ("mgan", record(0.3, 0.29))):
        (tmp_path / f"tang-{method}.json").write_text(json.dumps(one), "utf-8")
    (found,) = compare_methods(tmp_path, "tang", suite)
    assert (found["ours"], found["theirs"]) == ("mgan", "mle")
    assert json.loads((tmp_path / "tang-comparisons.json").read_text("utf-8")) == [found]
    (tmp_path / "tang-mle.json").write_text(json.dumps(record(0.31, 0.25)), "utf-8")
    assert compare_methods(tmp_path, "tang", suite) == []


def test_the_table_of_trials_marks_the_one_that_was_chosen() -> None:
    trials = [{"settings": {"x": i}, "nll": 1.0, "score": score} for i, score in enumerate((math.nan, 3.0, 2.0))]
    assert [("(chosen)" in line) for line in chosen({"trials": trials}).splitlines()[2:]] == [False, False, True]


# --- played


@dataclass(frozen=True)
class Done:
    folder: Path
    output: str


def command(folder: Path, *arguments: str) -> Done:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, ["bench", *arguments])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return Done(folder, done.stdout)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return command(tmp_path_factory.mktemp("oracle"), "oracle", "--smoke", "--method", "mle", "--json", "--quiet")


@pytest.fixture(scope="module")
def tang(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Both methods, as a person reads them."""
    return command(tmp_path_factory.mktemp("tang"), "tang", "--smoke", "--quiet")


@pytest.fixture
def nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("this was done before")

    monkeypatch.setattr(mgan.bench.study, "train", work)
    monkeypatch.setattr(Sweeper, "point", work)
    monkeypatch.setattr(Sweeper, "real", work)


def test_an_oracle_study_says_everything_in_json(oracle: Done) -> None:
    records = [json.loads(line) for line in oracle.output.splitlines()]
    assert [record["suite"] for record in records] == ["oracle-20", "oracle-40"]
    for record in records:
        assert (record["method"], record["smoke"], record["trials"]) == ("mle", True, [])
        (seed,) = record["seeds"].values()
        assert seed["real"]["nll_oracle"]["value"] == seed["real"]["nll_gen"]["value"] and seed["texts"]["real"] == 20
        points = {point["label"]: point["measures"] for point in seed["systems"]["pretrained"]["points"]}
        assert list(points) == ["T 0.9", "T 1.1", "top-p 0.9"]
        for measures in points.values():
            assert measures["nll_oracle"]["error"] > 0 and measures["self_bleu_2"]["error"] >= 0
        assert points["T 0.9"]["nll_gen"]["value"] > 0
        assert "replicates" not in json.dumps(record)


def test_it_writes_where_the_runs_are_and_never_among_the_results(oracle: Done) -> None:
    assert {path.name for path in oracle.folder.iterdir()} == {"runs"}
    for suite in ("oracle-20", "oracle-40"):
        written = json.loads((oracle.folder / f"runs/bench/{suite}-smoke/{suite}-mle.json").read_text())
        assert {"command", "versions", "machine", "suite", "seeds"} <= written.keys()
        assert written["command"] == f"mgan bench {suite} --method mle --smoke"
        assert str(oracle.folder) not in json.dumps(written), "no place of this computer"


@pytest.mark.slow
def test_a_study_with_controls_is_read_by_people_and_machines(tang: Done, nothing_new: None) -> None:
    """And the second time everything is found again."""
    assert "### tang: mle" in tang.output and "### tang: mgan" in tang.output
    assert "**adversarial** (1 seed, ± over texts)" in tang.output and "control: frozen discriminator" in tang.output
    assert "| measure | real text | T 0.9 | T 1.1 | top-p 0.9 |" in tang.output
    again = command(tang.folder, "tang", "--smoke", "--method", "mgan", "--json", "--quiet")
    (record,) = map(json.loads, again.output.splitlines())
    (seed,) = record["seeds"].values()
    assert list(seed["systems"]) == ["adversarial", "mle", "constant", "random", "frozen"]
    for system in seed["systems"].values():
        assert all(point["measures"]["bleu_2"]["error"] > 0 for point in system["points"])
    assert seed["real"]["bleu_2"]["value"] > 0 and seed["embedder"].startswith("characters")
    assert {found["ours"] for found in record["comparisons"]} == {"mgan"}
    assert len({found["theirs"] for found in record["comparisons"]}) == 4
    assert table(record, load_suite("tang")) in tang.output
    last = [line for line in tang.output.splitlines() if line.startswith("- ")]
    assert any("mle" in line for line in last), "methods against each other"


@pytest.mark.parametrize(("phase", "step"), [("pretrain", 4), ("evaluate", 2)])
def test_a_study_that_was_stopped_goes_on(oracle: Done, tmp_path: Path, phase: str, step: int) -> None:
    class Stop(Silent):
        def advance(self, now: str, done: int, metrics: Any) -> None:
            if (now, done) == (phase, step):
                raise KeyboardInterrupt

    def played(progress: Silent) -> dict[str, Any]:
        return Study("oracle-20", load_suite("oracle-20"), tmp_path, None, True, progress).play("mle")

    with pytest.raises(KeyboardInterrupt):
        played(Stop())
    assert (tmp_path / "mle-seed0" / "config.yaml").exists()
    (found,), (whole,) = (
        record["seeds"].values() for record in (played(Silent()), json.loads(oracle.output.splitlines()[0]))
    )
    found = json.loads(json.dumps(found))
    for name in ("real", "systems", "validation", "texts"):
        assert found[name] == whole[name], name


def test_runs_of_other_settings_are_not_taken_for_ones_own(oracle: Done, nothing_new: None) -> None:
    suite = load_suite("oracle-20")
    other = suite.model_copy(update={"smoke": suite.smoke | {"data.oracle.seed": 5}})
    folder = oracle.folder / "runs/bench/oracle-20-smoke"
    with pytest.raises(UserError, match="holds a run with other settings"):
        Study("oracle-20", other, folder, None, True, Silent()).play("mle")


def test_a_whole_study_is_written_among_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"suite": "tang", "method": "mle", "smoke": False, "seeds": {}}
    monkeypatch.setattr(Study, "play", lambda self, method: record)
    command(tmp_path, "tang", "--method", "mle", "--json", "--quiet")
    assert json.loads((tmp_path / "benchmarks/results/tang-mle.json").read_text())["suite"] == "tang"
    command(tmp_path, "tang", "--method", "mle", "--json", "--quiet", "--results", "mine")
    assert (tmp_path / "mine/tang-mle.json").exists()


def test_a_result_file_says_what_it_was_made_with(tmp_path: Path) -> None:
    write({"suite": "s", "seeds": {}}, tmp_path / "a" / "b.json", "mgan bench s")
    found = json.loads((tmp_path / "a" / "b.json").read_text())
    assert {"mgan", "torch", "numpy", "python"} <= found["versions"].keys() and found["machine"]["cores"] >= 1
