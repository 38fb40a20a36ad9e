"""The main job as a user does it: train on a file, then use what came out."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

import mgan

QUICK = ["evaluation.discriminator_steps=4", "evaluation.samples=12"]
ENOUGH = ["evaluation.discriminator_steps=4", "data.max_texts=1000", "evaluation.samples=60"]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, sentences: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    mgan.train(sentences, run=folder, smoke=True, overrides=QUICK)
    return folder


def test_a_run_is_a_folder_that_a_person_can_read(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.yaml", "metrics.jsonl", "samples.jsonl", "results.json", "report.html",
        "generator", "discriminator", "checkpoints",
    }  # fmt: skip
    chosen = mgan.training.run.Run.open(trained).results["systems"]["adversarial"]["temperatures"]
    pair = mgan.load(trained)
    assert (pair.temperature, pair.pair_temperature) == (chosen["sampling"], chosen["likelihood"])
    assert (pair.prompted, pair.lowercase) == (False, False)
    files = [path for path in trained.rglob("*") if path.is_file()]
    assert not [f for f in files if f.suffix in {".bin", ".pt", ".pth", ".pkl"} or f.name.endswith(".tmp")]
    assert "Verdict:" in re.sub(r"<style.*?</style>|<[^>]+>", "", (trained / "report.html").read_text(), flags=re.S)


def test_every_round_is_logged_with_what_it_is_watched_by(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    rounds = [line for line in lines if line["phase"] == "adversarial" and line["step"] > 0]
    assert [line["step"] for line in rounds] == [1, 2, 3]
    expected = {
        "d_loss", "g_loss", "mle_loss", "d_real", "d_fake", "heldout_accuracy", "train_accuracy", "entropy", "kl",
        "distinct_2", "throughput", "time",
    }  # fmt: skip
    assert all(expected <= line.keys() for line in rounds)
    start = next(line for line in lines if line["phase"] == "adversarial")
    watched = {"validation_nll", "validation_gap", "validation_score", "entropy_floor", "distinct_2_floor"}
    assert start["step"] == 0 and watched <= start.keys()
    assert {line["phase"] for line in lines} == {"pretrain", "warmup", "adversarial", "baseline", "verdict"}


def test_equal_compute_is_what_the_baseline_gets(trained: Path) -> None:
    cost = {name: value["flops"] for name, value in mgan.training.run.Run.open(trained).results["compute"].items()}
    game = cost["warmup"] + cost["adversarial"]
    assert cost["baseline"] == pytest.approx(game, rel=0.25)  # whole updates of uneven length
    assert cost["pretrain"] > 0


def test_generate_score_evaluate_report(trained: Path, tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = command("generate", trained, "--n", 7, "--seed", 3)
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 7
    assert all(line.strip() for line in lines)
    assert command("generate", trained, "--n", 7, "--seed", 3)[1] == out
    assert command("generate", trained, "--n", 7, "--seed", 4)[1] != out
    assert len(command("generate", trained, "--n", 2, "--rerank", 3)[1].splitlines()) == 2

    file = tmp_path / "texts.txt"
    file.write_text("the old cat sees the river.\nzzzz qqqq 鳥\n" + "the old cat " * 40 + "\n", encoding="utf-8")
    code, out, _ = command("score", trained, file)
    assert code == 0
    scores = [float(line) for line in out.splitlines()]
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores)

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = contents(run)
    code, out, _ = command(
        "evaluate", run, "--json", "--no-trained", "--temperatures", "1", "--top-k", "", "--top-p", ""
    )
    assert code == 0
    assert list(json.loads(out)["systems"]) == ["adversarial", "mle"]
    changed = {path.relative_to(run) for path, state in contents(run).items() if before.get(path) != state}
    cards = {Path(player, "README.md") for player in ("generator", "discriminator")}
    assert {path.parts[0] for path in changed - cards} == {
        "evaluation.json",
        "evaluation.md",
        "frontier",
        "report.html",
    }

    page = (trained / "report.html").read_text()
    (trained / "report.html").unlink()
    assert command("report", trained)[0] == 0
    assert (trained / "report.html").read_text() == page


def test_prompts_are_continued(tmp_path: Path, questions: Path, command) -> None:  # type: ignore[no-untyped-def]
    run = tmp_path / "answers"
    code, out, _ = command(
        "train", "--data", questions, "--smoke", "--run", run, "adversarial.samples_per_prompt=2",
        "game.baseline=leave_one_out", *QUICK,
    )  # fmt: skip
    assert code == 0
    assert out.splitlines()[-1].startswith("Verdict:")
    assert len(mgan.load(run).generate("2 plus 3? ", n=3)) == 3
    code, _, error = command("generate", run, "--prompt", "9 " * 200)
    assert code == 2
    assert "generator.context=32" in error


@pytest.mark.parametrize(
    "choices",
    [
        ["generator.architecture=transformer", "discriminator.architecture=transformer", "game.value=minimax"],
        ["discriminator.architecture=cnn", "game.value=nonsaturating", "game.signal=sequence", "prompt.source=prefix"],
        ["adversarial.order=generator_first", "evaluation.controls=[constant]", "game.mle=0.1", "game.baseline=none",
         "tensorboard=true"],
    ],
)  # fmt: skip
def test_every_choice_runs_whole(choices: list[str], tmp_path: Path, sentences: Path) -> None:
    run = mgan.train(sentences, run=tmp_path / "run", smoke=True, overrides=[*choices, *QUICK])
    verdict = run.results["verdict"]
    assert verdict["outcome"] == "none" and "test texts are too few" in verdict["sentence"]
    assert verdict["sentence"] in html.unescape((run.path / "report.html").read_text())
    assert len(verdict["comparisons"]) == 2
    played = {"constant"} if "evaluation.controls=[constant]" in choices else set()
    assert set(verdict["controls"]) == played
    assert len(run.load().generate(n=2)) == 2
    assert set(run.results["systems"]) == {"adversarial", "mle"} | played
    assert any((run.path / "tensorboard").glob("events*")) == ("tensorboard=true" in choices)


def test_maximum_likelihood_alone_has_no_verdict_but_its_figures(tmp_path: Path) -> None:
    run = mgan.train("tang", "mle", run=tmp_path / "mle", smoke=True, overrides=QUICK)
    assert run.results["verdict"]["sentence"].startswith("Verdict: none")
    assert set(run.results["systems"]) == {"pretrained"}
    assert 0 <= run.load().score(["白日依山盡，黃河入海流。"])[0] <= 1


def test_two_runs_of_a_seed_are_one(tmp_path: Path, sentences: Path, trained: Path) -> None:
    again = mgan.train(sentences, run=tmp_path / "again", smoke=True, overrides=QUICK)
    name = "generator/model.safetensors"
    assert (again.path / name).read_bytes() == (trained / name).read_bytes()
    assert again.results == mgan.training.run.Run.open(trained).results


def test_accumulation_changes_nothing(tmp_path: Path, sentences: Path) -> None:
    def losses(pieces: int) -> list[tuple[float, float]]:
        run = mgan.train(
            sentences, run=tmp_path / str(pieces), smoke=True,
            overrides=[*QUICK, "discriminator.dropout=0", "generator.dropout=0", f"adversarial.micro_batches={pieces}"],
        )  # fmt: skip
        return [(r["d_loss"], r["g_loss"]) for r in run.metrics.read() if r["phase"] == "adversarial" and r["step"]]

    assert losses(4) == [pytest.approx(pair, rel=1e-4, abs=1e-5) for pair in losses(1)]


def test_a_name_that_is_taken_is_not_written_over(trained: Path, sentences: Path, command) -> None:  # type: ignore[no-untyped-def]
    before = (trained / "results.json").read_bytes()
    code, out, error = command("train", "--data", sentences, "--smoke", "--run", trained)
    assert (code, out) == (2, "")
    assert "is a run already" in error
    assert (trained / "results.json").read_bytes() == before


def test_a_run_cannot_lie_in_a_file(tmp_path: Path, sentences: Path, command) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "file"
    file.write_text("mine")
    code, out, error = command("train", "--data", sentences, "--smoke", "--run", file / "run")
    assert (code, out) == (2, "")
    assert str(file) in error.splitlines()[-1] and "Traceback" not in error
    assert file.read_text() == "mine"


def test_bad_data_leaves_no_run_behind(tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"fine\n\xff\xfe broken\n")
    code, _, error = command("train", "--data", bad, "--smoke", "--run", tmp_path / "run")
    assert code == 2
    assert "2" in error
    assert "UTF-8" in error
    assert not (tmp_path / "run").exists()


def test_long_texts_are_windowed_and_said_once(tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    long = tmp_path / "long.txt"
    long.write_text("".join(f"{'a b c ' * 30}{i}\n" for i in range(30)), encoding="utf-8")
    code, _, error = command("train", "--data", long, "--smoke", "--run", tmp_path / "run", *QUICK)
    assert code == 0
    assert error.count("cut into windows") == 1


def test_runs_of_several_seeds_are_compared(tmp_path: Path, many_sentences: Path, command) -> None:  # type: ignore[no-untyped-def]
    def trained(name: str, seed: int, *overrides: str) -> Path:
        path = tmp_path / name
        mgan.train(many_sentences, run=path, smoke=True, overrides=[*ENOUGH, *overrides], seed=seed)
        return path

    runs = [trained(str(seed), seed) for seed in range(3)]
    for run in runs:
        verdict = mgan.training.run.Run.open(run).results["verdict"]
        assert verdict["outcome"] in {"better", "worse", "not distinguishable"}
        assert "60 test texts, one seed" in verdict["sentence"]
    code, out, _ = command("compare", *runs, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["seeds"], found["against_controls"]) == (3, {})
    assert "adversarial training helped" not in found["sentence"]
    assert mgan.compare(runs) == found
    assert command("compare", *runs)[1].splitlines()[-1].startswith("Verdict:")

    code, _, error = command("compare", runs[0], runs[1], runs[1])
    assert code == 2
    assert "same seed" in error
    paid_noise = [trained(f"noise{seed}", seed, "adversarial.reward=random") for seed in range(2)]
    code, _, error = command("compare", *paid_noise)
    assert code == 2
    assert f"{paid_noise[0].name} has no verdict to compare" in error
    code, _, error = command("compare", runs[0], paid_noise[0])
    assert code == 2
    assert f"{runs[0].name} has no frontier to compare: type mgan evaluate {runs[0].name} first" in error
    for run in paid_noise:
        assert command("evaluate", run, "--temperatures", "0.8,1.2", "--samples", 20, "--no-trained", "--quiet")[0] == 0
    code, out, _ = command("compare", *paid_noise, "--json")
    # Without a verdict their frontiers are left to compare.
    assert code == 0 and json.loads(out)["frontiers"] and "sentence" not in json.loads(out)


CONTROLS = ("constant", "random", "frozen")


def test_three_controls_in_one_run(tmp_path: Path, many_sentences: Path, command) -> None:  # type: ignore[no-untyped-def]
    runs = [tmp_path / str(seed) for seed in range(2)]
    for seed, run in enumerate(runs):
        code, out, error = command(
            "train", "--data", many_sentences, "--smoke", "--quiet", "--seed", seed, "--run", run, *ENOUGH,
            f"evaluation.controls=[{', '.join(CONTROLS)}]",
        )  # fmt: skip
        assert code == 0, error
        assert out.splitlines()[-1].startswith("Verdict:")
    results = json.loads((runs[0] / "results.json").read_text())
    assert list(results["systems"]) == ["adversarial", "mle", *CONTROLS]
    assert list(results["verdict"]["controls"]) == list(CONTROLS)
    assert {outcome["rounds"] for outcome in results["outcomes"].values()} == {"3"}
    assert all(len(against["comparisons"]) == 2 for against in results["verdict"]["controls"].values())
    assert set(CONTROLS) < results["compute"].keys() and set(CONTROLS) < results["samples"].keys()
    # A frozen discriminator costs nothing but its looking.
    assert results["compute"]["frozen"]["flops"] < results["compute"]["random"]["flops"]
    lines = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    phases = list(dict.fromkeys(line["phase"] for line in lines))
    assert phases == ["pretrain", "warmup", "adversarial", "baseline", *CONTROLS, "verdict"]
    starts = [
        {name: value for name, value in line.items() if name.startswith("validation_")}
        for line in lines
        if line["phase"] in ("adversarial", *CONTROLS) and not line["step"]
    ]
    assert len(starts) == 4 and all(start == starts[0] for start in starts)

    page = (runs[0] / "report.html").read_text()
    for title in ("constant reward", "random reward", "frozen discriminator"):
        assert f"Control: {title}, round by round" in page and f"Against the control ({title})" in page

    code, out, _ = command("compare", *runs, "--json")
    assert code == 0
    assert list(json.loads(out)["against_controls"]) == list(CONTROLS)
