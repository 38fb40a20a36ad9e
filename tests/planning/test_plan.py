"""``mgan plan``: what it counts, against closed forms and against runs; what it says, and when it exits with 1."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mgan
from mgan.cli.main import main
from mgan.planning.estimate import GIB, MemoryPlan
from mgan.planning.live import Live, size, without_memory

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GPT = ["generator.architecture=transformer", "generator.hidden=64", "generator.layers=2", "generator.context=64"]
ROWS = ["generator.context=32", "pretrain.batch_size=64", "evaluation.samples=8"]
WITHOUT_A_GAME = [*GPT, "pretrain.batch_size=8", "evaluation.samples=8"]


def planned(*overrides: str, recipe: str = "mle", **more: Any) -> MemoryPlan:
    return mgan.plan("tang", recipe, [*WITHOUT_A_GAME, *overrides], **{"device": "cpu"} | more)


def phases(plan: MemoryPlan) -> dict[str, dict[str, int]]:
    return {phase.name: phase.rows for phase in plan.phases}


def test_what_is_alive_is_counted_and_what_is_freed_is_not() -> None:
    with without_memory():
        layer = nn.Linear(100, 50, bias=False)
        with Live(layer) as live:
            x = torch.zeros(10, 100)
            assert live.now == 4000
            weight_seen_from_the_side = layer.weight.t()
            assert live.now == 4000 and weight_seen_from_the_side.shape == (100, 50)
            y = x @ layer.weight.t()
            y.sum().backward()
            del x, y
            # The gradient is what is left, and the peak held input, output and gradient at least.
            assert live.now == size(layer.parameters()) == 20_000
            assert 4000 + 2000 + 20_000 <= live.peak <= 4000 + 4 * 2000 + 20_000 + 100


def test_nothing_is_really_there() -> None:
    with without_memory():
        assert nn.Linear(10**6, 10**6).weight.numel() == 10**12


def test_the_fit_by_likelihood_holds_its_weights_gradients_moments_and_the_best() -> None:
    rows = phases(planned("generator.tied=false"))["pretrain"]
    hidden, layers, vocabulary = 64, 2, 8000
    body = layers * (12 * hidden**2 + 13 * hidden) + 2 * hidden + 64 * hidden
    weights = 4 * (body + 2 * vocabulary * hidden)
    assert rows["generator"] == rows["best so far"] == weights
    assert rows["optimizers"] == 2 * weights
    assert rows["gradients"] == weights


def test_tied_weights_are_one_for_the_optimizer_and_two_where_they_are_remembered() -> None:
    rows = phases(planned())["pretrain"]
    assert rows["best so far"] - rows["generator"] == 4 * 8000 * 64
    assert rows["optimizers"] == 2 * rows["generator"]


def test_activations_grow_with_the_batch_and_micro_batches_save_them() -> None:
    little, much = (planned(f"pretrain.batch_size={size}").phases[0].besides["activations"] for size in (8, 32))
    assert 3.5 * little < much < 4.1 * little
    at_once, in_pieces = (
        planned(f"adversarial.micro_batches={count}", "adversarial.prompts_per_step=64", recipe="mgan").peak
        for count in (1, 8)
    )
    assert in_pieces < 0.7 * at_once


def test_the_game_holds_a_reference_a_moving_average_and_the_best() -> None:
    found = phases(planned("evaluation.controls=[constant]", recipe="mgan"))
    assert list(found) == ["pretrain", "warmup", "adversarial", "baseline", "constant", "verdict"]
    game = found["adversarial"]
    assert game["reference"] == game["moving average"] == game["generator"]
    assert found["constant"]["kept weights"] > game["kept weights"]


def test_rollouts_have_the_budget_of_a_wave() -> None:
    pays = ("game.signal=rollout", "adversarial.prompts_per_step=2", "pretrain.batch_size=1")
    game = planned(*pays, recipe="mgan").phases[2]
    assert game.moment == "rollouts" and game.rows["rollouts"] >= 2**28


def test_soft_texts_are_held_twice_and_values_of_tokens_by_the_block() -> None:
    few = ["adversarial.prompts_per_step=64", "data.oracle.vocabulary=2000", "data.oracle.length=20"]
    sized = [*few, "generator.context=21", "data.path=oracle", "pretrain.batch_size=1", "evaluation.samples=8"]
    game = mgan.plan(recipe="gsgan", overrides=sized, device="cpu").phases[2]
    assert game.moment == "a discriminator update" and game.rows["soft tokens"] == 2 * 4 * 64 * 20 * 2000
    little, much = (
        mgan.plan(recipe="taylorgan", overrides=[*sized, f"data.oracle.vocabulary={v}"], device="cpu").phases[2]
        for v in (2000, 20_000)
    )
    assert much.moment == "a generator update"
    assert much.rows["activations"] > 4 * 8 * 512 * 20_000 > 8 * little.rows["activations"] / 2


@pytest.mark.parametrize(("memory", "fits"), [(1000.0, True), (0.7, False)])
def test_it_fits_or_advice_is_given_the_best_first(memory: float, fits: bool) -> None:
    plan = planned("pretrain.batch_size=256", "generator.dropout=0.1", memory=memory)
    assert plan.fits == fits == (plan.peak <= plan.memory)
    assert bool(plan.advice) != fits
    peaks = [advice.peak for advice in plan.advice]
    assert peaks == sorted(peaks) and all(peak < plan.peak for peak in peaks)
    if not fits:
        # What it says of a field is what it says once the field is set.
        assert planned("generator.dropout=0.1", plan.advice[0].change).peak <= plan.advice[0].peak


def test_of_a_pretrained_model_only_its_configuration_is_opened(
    pretrained: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((pretrained("llama") / "config.json").read_bytes())
    judged = ["discriminator.architecture=causal", f"discriminator.pretrained={tmp_path}"]
    overrides = [f"generator.pretrained={tmp_path}", "generator.context=32", "data.max_texts=500", *judged]
    whole, adapted, offloaded = (
        mgan.plan("tang", "mgan", [*overrides, *more], device=device)
        for more, device in (
            ([], "cpu"),
            (["generator.lora.rank=2", "discriminator.lora.rank=2"], "cpu"),
            (["memory.offload=true"], "cuda"),
        )
    )
    full, small = (phases(plan)["adversarial"] for plan in (whole, adapted))
    for kind in ("optimizers", "reference", "best so far", "gradients"):
        assert small[kind] < full[kind] / 2
    assert small["generator"] > full["generator"]
    assert {phase.name: phase.waiting > 0 for phase in offloaded.phases}["adversarial"]
    assert not any(phase.waiting for phase in whole.phases)


def test_checkpointing_keeps_less(pretrained: Callable[[str], Path]) -> None:
    plain, again = (
        mgan.plan(
            "tang", "mle", device="cpu", generator={"pretrained": str(pretrained("llama"))}, memory=1000,
            overrides=[*ROWS, f"memory.checkpointing={on}"],
        ).phases[0].besides["activations"]
        for on in ("false", "true")
    )  # fmt: skip
    assert again < 0.8 * plain


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mgan", "plan", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().out

    return run


def test_the_command_says_whether_it_fits_and_exits_accordingly(command: Callable[..., tuple[int, str]]) -> None:
    code, page = command("mle", *WITHOUT_A_GAME, "--device", "cpu", "--memory", "64")
    assert code == 0 and "It fits: " in page and "of 63.40 GiB on the cpu" in page
    code, page = command("mle", *WITHOUT_A_GAME, "--device", "cpu", "--memory", "0.601", "--json")
    record = json.loads(page)
    assert code == 1 and not record["fits"] and record["peak"] > record["memory"] == int(0.001 * GIB)
    assert record["peak"] == max(phase["total"] for phase in record["phases"])
    assert all(phase["total"] == sum(phase["rows"].values()) for phase in record["phases"])
    assert all(one["saves"] == record["peak"] - one["peak"] > 0 for one in record["advice"])


def test_what_it_cannot_tell_is_one_sentence() -> None:
    with pytest.raises(mgan.UserError, match="relgan"):
        planned("discriminator.architecture=relgan", "game.signal=sequence", recipe="mgan")


@pytest.mark.parametrize("recipe", ["dpgan", "relgan", "sentigan", "maskgan"])
def test_what_it_says_to_type_instead_can_be_planned(recipe: str) -> None:
    with pytest.raises(mgan.UserError, match="mgan plan ") as said:
        mgan.plan(recipe=recipe)
    typed = re.findall(r"(?:generator|discriminator|game)\.\w+=\w+", str(said.value).partition(": plan for ")[2])
    assert typed and mgan.plan(recipe=recipe, overrides=typed).phases


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights", "activations", "llama", "game", "pieces", "relaxed", "expanded"])
def test_the_plan_is_within_a_fifth_of_what_a_run_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    # By name: the processes that plan and measure import it again.
    found = importlib.import_module("memory").compared(name)
    assert 0.8 <= found["ratio"] <= 1.2, found


def test_the_page_has_the_figures_of_the_record() -> None:
    cases = json.loads((BENCHMARKS / "results" / "memory.json").read_text("utf-8"))["cases"]
    page = (BENCHMARKS.parent / "docs" / "memory.md").read_text("utf-8")
    for name, case in cases.items():
        most = (max(case[side].values()) for side in ("planned", "measured"))
        figures = " | ".join(f"{mb:.0f}" for mb in most)
        assert f"| {name} | {case['what']} | {figures} | {case['ratio']:.2f} |" in page
        assert 0.8 <= case["ratio"] <= 1.2
