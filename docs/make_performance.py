"""Write what was measured into docs/performance.md: python docs/make_performance.py

It reads benchmarks/results/NAME.json of the scripts in ``WORKS``, as ``--save`` writes them, makes what stands between
the page's markers, and draws docs/assets/performance/*.svg. What has no record is a row that says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgan.evaluation.tables import DASH, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path(__file__).with_name("performance.md")
PICTURES = Path(__file__).parent / "assets" / "performance"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- ([\w-]+): made by docs/make_performance.py -->\n).*?(<!-- \2: end -->)", re.DOTALL)
Record = dict[str, Any]

WORKS = {
    "seqgan-step": "SeqGAN generator step, 16 rollouts",
    "dense-step": "generator step with dense rewards, same batch and length",
    "relgan-step": "RelGAN generator step",
    "mle": "maximum likelihood, LSTM 32",
    "generate": "generation, GPT-2 of 4 x 256",
    "grpo-step": "GRPO step with a classifier's reward",
    "text-metrics": "BLEU-2..5 and Self-BLEU-2..5",
}
"""The paired scripts by their record's name, and what they do where nobody has measured it."""
LABELS = WORKS | {"relgan-step.discriminator": "RelGAN discriminator step"}
TARGETS = {
    "seqgan-step": 12.0,
    "dense-step": 500.0,
    "relgan-step": 2.0,
    "relgan-step.discriminator": 6.0,
    "mle": 1.5,
    "generate": 2.0,
    "grpo-step": 1.4,
    "text-metrics": 1.0,
}
"""The least ratio that was set out for. A record may hold further ones inside, named behind a dot."""


@dataclass(frozen=True)
class Paired:
    """Ours and a peer's, as benchmarks/pairing.py writes them."""

    name: str
    record: Record

    @property
    def work(self) -> str:
        return str(self.record["work"]["what"])

    @property
    def label(self) -> str:
        return LABELS.get(self.name, self.name)

    @property
    def row(self) -> list[str]:
        ours, peer, ratio = self.record["ours"], self.record["peer"], self.record["ratio"]
        return [
            f"**{self.label}**: {self.work}",
            _seconds(ours),
            _seconds(peer) if peer else DASH,
            f"{ratio['median']:g} [{ratio['low']:g}, {ratio['high']:g}]" if ratio else DASH,
            f"{TARGETS[self.name]:g}" if self.name in TARGETS else DASH,
            f"{100 * ours['of_limit']:.0f} %" if "of_limit" in ours else DASH,
            f"{ours['peak_mb']:,}; {peer['peak_mb']:,}" if peer else f"{ours['peak_mb']:,}",
        ]


def page(text: str, results: Path = RESULTS) -> str:
    """The page with every block between markers made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]](results)}\n{block[3]}", text)


def read(name: str, results: Path) -> Record:
    path = results / f"{name}.json"
    found: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def paired(name: str, results: Path) -> Iterator[Paired]:
    """A record, and those inside it."""
    record = read(name, results)
    if "ours" in record:
        yield Paired(name, record)
    for part, inside in record.items():
        if isinstance(inside, dict) and {"ours", "ratio", "work"} <= inside.keys():
            yield Paired(f"{name}.{part}", inside)


def _all(results: Path) -> list[Paired]:
    return [found for name in WORKS for found in paired(name, results)]


def _table(results: Path) -> str:
    rows = []
    for name, what in WORKS.items():
        found = [pair.row for pair in paired(name, results)]
        rows += found or [[what, "not measured", DASH, DASH, f"{TARGETS[name]:g}", DASH, DASH]]
    head = ["work", "ours, CPU s", "peer, CPU s", "ratio", "target", "of the limit", "peak MB, ours; peer"]
    slices = [_slice(nltk) for nltk in [(read("text-metrics", results).get("peer") or {}).get("nltk")] if nltk]
    drawn = any(pair.record["ratio"] for pair in _all(results))
    picture = "![How many times the peer's CPU seconds are ours](assets/performance/ratios.svg)\n"
    return "\n".join([markdown(head, rows), *slices, *([picture] if drawn else [])])


def _slice(nltk: Record) -> str:
    return f"nltk's BLEU-2..5 of {nltk['texts']} x {nltk['references']:,} texts alone: {nltk['cpu_seconds']} CPU s.\n"


def _changes(results: Path) -> str:
    said = [f"- {pair.label}: {pair.record['changes']}." for pair in _all(results) if pair.record.get("changes")]
    absent = [
        f"- {pair.label}: not timed. {pair.record['missing']}" for pair in _all(results) if pair.record.get("missing")
    ]
    return "\n".join([*said, *absent] or ["Nothing was."]) + "\n"


def _commands(results: Path) -> str:
    said = []
    for name in (*WORKS, "scaling", "gpu", "overlap"):
        record = read(name, results)
        if record:
            machine = record["machine"]
            versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
            threads = "1 thread" if record["threads"] == 1 else f"{record['threads']} threads"
            about = f"{machine['processor']}, {machine['cores']} cores, {threads}; {versions}"
            said.append(f"- `{record['command']}`: {about}.")
    return "\n".join(said or ["Nothing is measured yet."]) + "\n"


def _scaling(results: Path) -> str:
    record = read("scaling", results)
    if not record:
        return "Not measured yet.\n"
    rows = [
        [
            work,
            axis,
            *(f"{value:.3g}" for value in found["cpu_seconds"]),
            _power(found["time"]),
            _power(found["memory"]),
        ]
        for work, axes in record["ours"].items()
        for axis, found in axes.items()
    ]
    head = ["work", "grows", *(f"x{times}, CPU s" for times in record["times"]), "time grows as", "memory grows as"]
    sizes = {
        work: ", ".join(f"{name} {value:,}" for name, value in size.items()) for work, size in record["base"].items()
    }
    base = "; ".join(f"{work}: {size}" for work, size in sizes.items())
    picture = "![CPU seconds and memory over what grows](assets/performance/scaling.svg)\n"
    return f"LSTM players of {record['hidden']}; at x1: {base}.\n\n{markdown(head, rows)}\n{picture}"


def _gpu(results: Path) -> str:
    record = read("gpu", results)
    if not record or record["chip"] == "cpu":
        return "Not measured yet: no accelerator was at hand.\n"
    decoding = ["batch x tokens", "tokens/s", "Hugging Face", "of the bandwidth"]
    head = ["model", *decoding, "training tokens/s", "MFU", "peak GiB"]
    rows = [
        [
            f"{model['name']}, {model['parameters'] / 1e6:,.0f} M",
            f"{model['batch']} x {model['length']}",
            f"{model['tokens_per_second']:,.0f}",
            f"{model['hugging_face_tokens_per_second']:,.0f}",
            f"{100 * model['of_bandwidth']:.0f} %",
            f"{model['training_tokens_per_second']:,.0f}",
            f"{100 * model['mfu']:.0f} %",
            f"{model['peak_gib']:.1f}",
        ]
        for model in record["models"]
    ]
    checks = "".join(f"- {name}: {check['value']}\n" for name, check in record["checks"].items())
    rates = f"copies {record['copy_gb_per_second']:,.0f} GB/s, bf16 products {record['matrix_tflops']:,.0f} TFLOP/s"
    return f"{record['chip']}, {record['precision']}; measured here: {rates}.\n\n{markdown(head, rows)}\n{checks}"


def _overlap(results: Path) -> str:
    record = read("overlap", results)
    if not record:
        return "Not measured yet.\n"
    rows = [
        [
            found["what"],
            f"{found['serial']:.3g}",
            f"{found['ahead']:.3g}",
            _spread(found["ratio"]),
            _spread(found["cpu_ratio"]),
        ]
        for found in record["rows"]
    ]
    head = ["a round", "one after the other, s", "sampled ahead, s", "ratio of times", "of CPU seconds"]
    spare = f"Two matrix products, which share nothing, in two threads at that time: {_spread(record['spare'])}.\n"
    return f"{markdown(head, rows)}\n{spare}"


BLOCKS: dict[str, Callable[[Path], str]] = {
    "table": _table,
    "changes": _changes,
    "scaling": _scaling,
    "gpu": _gpu,
    "overlap": _overlap,
    "commands": _commands,
}


def _seconds(side: Record) -> str:
    return f"{side['cpu_seconds']['min']:.3g}"


def _spread(ratio: Record) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def _power(exponent: float | None) -> str:
    return DASH if exponent is None else f"n^{exponent:.2f}"


def ratios(pairs: list[Paired]) -> Figure:
    """A point a work with its spread, the target as a bar behind it."""
    from matplotlib.figure import Figure

    from mgan.evaluation.curves import BLUE, GREY

    figure = Figure(figsize=(7.2, 0.6 + 0.42 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    for height, pair in enumerate(reversed(pairs)):
        ratio = pair.record["ratio"]
        axes.plot([ratio["low"], ratio["high"]], [height, height], color=BLUE, linewidth=2)
        axes.plot(ratio["median"], height, "o", color=BLUE, label="measured" if not height else None)
        if pair.name in TARGETS:
            axes.plot(
                TARGETS[pair.name], height, "|", color=GREY, markersize=16, label="target" if not height else None
            )
    axes.set(xscale="log", xlabel="the peer's CPU seconds over ours")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(pairs)), [pair.label for pair in reversed(pairs)])
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.legend(frameon=False, loc="lower right")
    return figure


def curves(record: Record) -> Figure:
    """Time and memory of every work over every axis, both logarithmic; the dashes are linear growth."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    from mgan.evaluation.curves import GREY
    from mgan.evaluation.frontier_plots import COLOURS

    figure = Figure(figsize=(3.2 * len(record["ours"]), 5.2), layout="constrained")
    grid = figure.subplots(2, len(record["ours"]), sharex=True, squeeze=False)
    times = record["times"]
    for column, (work, axes) in enumerate(record["ours"].items()):
        for row, (measure, title) in enumerate((("cpu_seconds", "CPU s"), ("mb", "MB above the start"))):
            place = grid[row][column]
            for colour, (axis, found) in zip(COLOURS, axes.items(), strict=False):
                place.plot(times, found[measure], "o-", color=colour, label=axis, markersize=4)
            first = min(found[measure][0] for found in axes.values())
            place.plot(times, [first * n for n in times], "--", color=GREY, label="linear")
            place.set(xscale="log", yscale="log", ylabel=title, title=work if not row else "")
            place.set_xticks(times, [f"x{n}" for n in times])
            place.minorticks_off()
            place.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            place.yaxis.set_major_formatter("{x:g}")
        grid[0][column].legend(frameon=False, fontsize=7)
    return figure


def draw(results: Path = RESULTS, folder: Path = PICTURES) -> None:
    """The pictures that the page names, the same bytes every time."""
    import matplotlib

    from mgan.evaluation.plots import STYLE

    compared = [pair for pair in _all(results) if pair.record["ratio"]]
    scaling = read("scaling", results)
    folder.mkdir(parents=True, exist_ok=True)
    style: Any = STYLE | {"svg.hashsalt": "mgan"}
    with matplotlib.rc_context(style):
        drawn = {"ratios": ratios(compared)} if compared else {}
        drawn |= {"scaling": curves(scaling)} if scaling else {}
        for name, figure in drawn.items():
            figure.savefig(folder / f"{name}.svg", format="svg", facecolor="white", metadata={"Date": None})


def main() -> None:
    draw()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
