"""Write what was measured into docs/distillation.md: python docs/make_distillation.py

It reads benchmarks/results/gad.json, as benchmarks/gad.py writes it, makes what stands between the page's markers, and
draws docs/assets/distillation.svg. Without a record the page says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mgan.evaluation.tables import DASH, markdown, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path(__file__).with_name("distillation.md")
PICTURE = Path(__file__).parent / "assets" / "distillation.svg"
RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "gad.json"
BLOCK = re.compile(r"(<!-- measured: made by docs/make_distillation.py -->\n).*?(<!-- measured: end -->)", re.DOTALL)
SYSTEMS = {"start": "student that both start from", "seqkd": "`seqkd`, equal compute", "gad": "`gad`"}
SHOWN = 2
Record = dict[str, Any]


def read(path: Path = RESULT) -> Record | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def page(text: str, path: Path = RESULT) -> str:
    """The page with what stands between its markers made anew."""
    record = read(path)
    made = "\n".join(_measured(record)) if record else "Not measured yet.\n"
    return BLOCK.sub(lambda block: f"{block[1]}\n{made}\n{block[2]}", text)


def _measured(record: Record) -> Iterator[str]:
    yield _table(record)
    yield _sentence(record)
    yield "![Likelihood under the teacher over distinct-2](assets/distillation.svg)\n"
    yield _chosen(record)
    yield _cost(record)
    yield _examples(record)


def _table(record: Record) -> str:
    systems = record["summary"]["systems"]
    rows = [
        [
            title,
            number(record["teacher"][measure]),
            *(_interval(systems[name].get(measure)) for name in SYSTEMS),
            _signed(record["summary"]["farther"][measure]),
        ]
        for measure, title in record["measures"].items()
    ]
    head = ["on held-out prompts", "the teacher itself", *SYSTEMS.values(), "`gad` farther from the teacher by"]
    seeds, confidence = len(record["seeds"]), record["summary"]["confidence"]
    return (
        f"{markdown(head, rows)}\n{record['prompts']['held out']:,} held-out prompts, {seeds} seeds; in brackets "
        f"Student's {confidence:.0%} intervals over seeds, each by itself. Last column: by how much `gad` lies farther "
        "from the teacher's own value than `seqkd`, seed by seed; below 0 is nearer. MAUVE with the embedder "
        f"{record['embedder']}.\n"
    )


def _sentence(record: Record) -> str:
    """What the intervals show, and what they do not."""
    said: dict[str, list[str]] = {"nearer to the teacher in": [], "farther from it in": [], "undecided in": []}
    for measure, (_, low, high) in record["summary"]["farther"].items():
        outcome = "nearer to the teacher in" if high < 0 else "farther from it in" if low > 0 else "undecided in"
        said[outcome].append(record["measures"][measure].partition(",")[0])
    return "`gad` against `seqkd`: " + "; ".join(f"{k} {', '.join(v) or 'none'}" for k, v in said.items()) + ".\n"


def _chosen(record: Record) -> str:
    """The trials, and which of them either side took."""
    rows = [
        [f"{trial['rate']:g}", f"{trial['gad']:.4f}", f"{trial['baseline_rate']:g}", f"{trial['seqkd']:.4f}"]
        for trial in record["trials"]
    ]
    head = ["`gad`, student's learning rate", "validation score", "`seqkd`, learning rate", "validation score "]
    chosen, seeds = record["chosen"], record["seeds"].values()
    warm = {name: ", ".join(f"{tree[name]['temperatures']['sampling']:g}" for tree in seeds) for name in SYSTEMS}
    return (
        f"The trials of either side, on seed {next(iter(record['seeds']))} and validation text, lower is better:\n\n"
        f"{markdown(head, rows)}\nChosen: {chosen['rate']:g} and {chosen['baseline_rate']:g}. Temperatures chosen, "
        f"seed by seed: start {warm['start']}; `seqkd` {warm['seqkd']}; `gad` {warm['gad']}.\n"
    )


def _cost(record: Record) -> str:
    spent = [tree["gad"]["flops"] for tree in record["seeds"].values()]
    game = [1e-12 * (of["warmup"] + of["adversarial"]) for of in spent]
    baseline = [1e-12 * tree["seqkd"]["flops"]["baseline"] for tree in record["seeds"].values()]
    seconds = ", ".join(f"{tree['gad']['seconds']:,}" for tree in record["seeds"].values())
    ends = "; ".join(
        dict.fromkeys(tree["gad"]["outcomes"]["adversarial"]["sentence"] for tree in record["seeds"].values())
    )
    versions, machine = record["versions"], record["machine"]
    return (
        f"Cost after the start, warm-up of the discriminator included: `gad` {_list(game)} TFLOP, `seqkd` "
        f"{_list(baseline)} TFLOP. How the games ended: {ends}. Seconds a run with game, baseline and verdict, on a "
        f"machine that others used too: {seconds} ({machine['threads']} of {machine['cores']} cores, torch "
        f"{versions['torch']}).\n"
    )


def _examples(record: Record) -> str:
    """What the teacher and the first seed's students write."""
    first = next(iter(record["seeds"].values()))
    rows = [
        [asked["prompt"], asked["answer"], first["seqkd"]["answers"][k], first["gad"]["answers"][k]]
        for k, asked in enumerate(record["teacher"]["answers"][:SHOWN])
    ]
    plain = [[cell.replace("|", "\\|").replace("\n", " ") or DASH for cell in row] for row in rows]
    return markdown(["prompt", "teacher", "`seqkd`", "`gad`"], plain).replace("--:", "---")


def _interval(found: list[float] | None) -> str:
    return DASH if found is None else f"{number(found[0])} [{number(found[1])}, {number(found[2])}]"


def _signed(found: list[float]) -> str:
    return f"{found[0]:+.3g} [{found[1]:+.3g}, {found[2]:+.3g}]"


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def figure(record: Record) -> Figure:
    """A line a system over the sampling temperatures, mean of the seeds; a thin one a seed; the teacher's own point."""
    from matplotlib.figure import Figure

    from mgan.evaluation.curves import BLUE, GREY, INK, ORANGE

    drawn = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = drawn.add_subplot()
    for name, colour in zip(SYSTEMS, (GREY, ORANGE, BLUE), strict=True):
        sweeps = [tree[name]["sweep"] for tree in record["seeds"].values()]
        for sweep in sweeps:
            axes.plot(*_line([sweep]), color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(*_line(sweeps), "o-", color=colour, markersize=4, label=SYSTEMS[name].replace("`", ""))
    teacher = record["teacher"]
    axes.plot(
        teacher["distinct_2"], teacher["teacher_logprob_token"], "*", color=INK, markersize=12, label="teacher, T 1"
    )
    axes.set(xlabel="distinct-2", ylabel="log-likelihood under the teacher\nnats a token")
    axes.legend(frameon=False)
    return drawn


def _line(sweeps: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """The mean of the sweeps at every temperature: distinct-2, likelihood."""
    labels = sorted(sweeps[0], key=float)
    across, up = (
        [fmean(sweep[label][measure] for sweep in sweeps) for label in labels]
        for measure in ("distinct_2", "teacher_logprob_token")
    )
    return across, up


def draw(record: Record, path: Path = PICTURE) -> None:
    """The picture that the page names, the same bytes every time."""
    import matplotlib

    from mgan.evaluation.plots import STYLE

    style: Any = STYLE | {"svg.hashsalt": "mgan"}
    with matplotlib.rc_context(style):
        figure(record).savefig(path, format="svg", facecolor="white", metadata={"Date": None})


def main() -> None:
    record = read()
    if record:
        draw(record)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
