"""Write what was measured into docs/benchmarks.md: python docs/make_benchmarks.py

It reads benchmarks/results/SUITE-METHOD.json. Between the markers of a suite: its budget and search space from its YAML
file, every method's figures, the pictures and the published figures. Beside each record goes SUITE-METHOD.md, every
measure of every system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgan.bench.study import CONFIDENCE, alike
from mgan.bench.suite import Suite, load_suite
from mgan.bench.tables import chosen, table
from mgan.evaluation import overlay, tables
from mgan.evaluation.published.published import Published, published
from mgan.evaluation.scorecard import METRICS
from mgan.evaluation.tradeoff import NAMES, plain
from mgan.files import write_text

PAGE = Path(__file__).with_name("benchmarks.md")
PICTURES = Path(__file__).parent / "assets" / "bench"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- ([\w-]+): made by docs/make_benchmarks.py -->\n).*?(<!-- \2: end -->)", re.DOTALL)
Record = dict[str, Any]

ORACLE = (("nll_oracle", "nll_gen"),)
PAIRS = {
    "oracle-20": ORACLE,
    "oracle-40": ORACLE,
    "coco": (("bleu_5", "self_bleu_5"), ("lm_score", "reverse_lm_score"), ("ngram_score", "reverse_ngram_score")),
    "news": (("lm_score", "reverse_lm_score"), ("bleu_5", "self_bleu_5"), ("ngram_score", "reverse_ngram_score")),
    "tang": (("ngram_score", "nll"), ("lm_score", "reverse_lm_score"), ("bleu_5", "self_bleu_5")),
}
"""The frontiers that the page shows of a suite."""
FURTHER = {"oracle-20": ("kl_generated", "kl_oracle"), "oracle-40": ("kl_generated", "kl_oracle")}
"""Measures beside those of the frontiers; of all others ``USUAL``."""
USUAL = ("nll", "recall", "mauve")
CONTROLS = ("constant", "random", "frozen")


def read(name: str, suite: Suite, results: Path = RESULTS) -> dict[str, Record]:
    """The suite's records by method, those that are there; what ``--smoke`` measured is not one."""
    found = {}
    for method in suite.methods:
        path = results / f"{name}-{method}.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if "suite" in record and not record["smoke"]:
            found[method] = record
    return found


def page(text: str, results: Path = RESULTS) -> str:
    """The page with every block between markers made anew."""

    def made(block: re.Match[str]) -> str:
        inside = "\n".join(_suite(block[2], load_suite(block[2]), results))
        return f"{block[1]}\n{inside}\n{block[3]}"

    return BLOCK.sub(made, text)


def _suite(name: str, suite: Suite, results: Path) -> Iterator[str]:
    yield _budget(suite)
    records = read(name, suite, results)
    for method, known in suite.methods.items():
        yield f"### {name}, {method}\n"
        yield f"{known.about[0].upper()}{known.about[1:]}.\n"
        yield from _method(name, suite, records[method]) if method in records else ["Not measured yet.\n"]
    yield from _together(name, records)
    if suite.published:
        yield from _published(published(suite.published))


def _budget(suite: Suite) -> str:
    rows = [
        ["seeds", ", ".join(map(str, suite.seeds))],
        ["trials a method", str(suite.trials)],
        ["temperatures", ", ".join(f"{t:g}" for t in suite.sweep.temperatures)],
        ["top-k; top-p", "; ".join(", ".join(f"{x:g}" for x in xs) or "none" for xs in _truncations(suite))],
        ["texts a setting, at most", str(suite.sweep.samples)],
        ["embedder; trained measures", f"{suite.sweep.embedder}; {'yes' if suite.sweep.trained else 'no'}"],
        *(
            [f"searched for {method}", "; ".join(f"`{f}` {_values(v)}" for f, v in known.search.items()) or "nothing"]
            for method, known in suite.methods.items()
        ),
        *(
            [f"set for {method}", "; ".join(f"`{field}` {value}" for field, value in known.settings.items())]
            for method, known in suite.methods.items()
            if known.settings
        ),
        ["set for all", "; ".join(f"`{field}` {value}" for field, value in suite.settings.items())],
    ]
    return tables.markdown(["of this suite", ""], rows).replace("--:", "---")


def _truncations(suite: Suite) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return suite.sweep.top_k, suite.sweep.top_p


def _values(values: list[Any]) -> str:
    return " or ".join(map(str, values))


def _method(name: str, suite: Suite, record: Record) -> Iterator[str]:
    trees = list(record["seeds"].values())
    if record["trials"]:
        yield f"Trials on validation text of seed {next(iter(record['seeds']))}, lower is better:\n"
        yield chosen(record)
    many = f"{len(trees)} seeds; ± is the standard deviation over seeds"
    one = "One seed; ± is the standard error over texts, which knows nothing of training again"
    texts, versions = trees[0]["texts"], record["versions"]
    seconds = ", ".join(f"{tree['training_seconds']:,}" for tree in trees)
    cores, threads = record["machine"]["cores"], record["machine"]["threads"]
    yield (
        f"{many if len(trees) > 1 else one}. {texts['real']:,} texts a setting against {texts['reference']:,}. Seconds "
        f"a run, its verdict and any time it was stopped included: {seconds} ({threads} of {cores} cores, torch "
        f"{versions['torch']}). Made by `{record['command']}`."
        + (" Trained measures are the first seed's.\n" if suite.sweep.trained else "\n")
    )
    for system in (system for system in trees[0]["systems"] if system not in CONTROLS):
        yield f"**{NAMES.get(system, system)}**\n"
        yield _frontier(name, trees, system)
        yield tables.trained_table(trees, system)
    yield _sentences(name, record["comparisons"])
    yield f"Every setting and measure, the controls' too: `benchmarks/results/{name}-{record['method']}.md`.\n"


def _frontier(name: str, trees: list[Record], system: str) -> str:
    """A row a decoding setting; the first row is real text's."""
    points = [tree["systems"][system]["points"] for tree in trees]
    wanted = (*sum(PAIRS[name], ()), *FURTHER.get(name, USUAL))
    names = [measure for measure in dict.fromkeys(wanted) if measure in points[0][0]["measures"]]
    rows = [["real text", *(tables.figure([tree["real"].get(measure) for tree in trees]) for measure in names)]]
    for place, point in enumerate(points[0]):
        label = point["label"] if plain(point) else f"{point['label']}, T 1"
        found = [of_seed[place]["measures"] for of_seed in points]
        rows.append([label, *(tables.figure([m.get(measure) for m in found]) for measure in names)])
    return tables.markdown(["setting", *(METRICS[measure].title for measure in names)], rows)


def _sentences(name: str, comparisons: list[dict[str, Any]]) -> str:
    """Who dominates whom on the frontiers that are shown."""
    titles = [[METRICS[measure].title for measure in pair] for pair in PAIRS[name]]
    said = [
        f"- {' against '.join(found['measures'])}: {found['sentence']}"
        for found in comparisons
        if found["measures"] in titles
    ]
    return "\n".join(said) + "\n" * bool(said)


def pictures(records: dict[str, Record]) -> dict[str, list[overlay.Entrant]]:
    """What is drawn together: the methods beside plain maximum likelihood, and the game beside its controls."""
    field = {
        method: overlay.entrants(method, {int(seed): tree for seed, tree in record["seeds"].items()})
        for method, record in records.items()
    }
    # The last method is the one that was built on the others: it comes first.
    rivals = [e for of_method in reversed(field.values()) for e in of_method if e.system not in CONTROLS]
    drawn = {"rivals": rivals} if rivals else {}
    for method, of_method in field.items():
        if any(e.system in CONTROLS for e in of_method):
            drawn[f"{method}-controls"] = [e for e in of_method if e.system != "mle"]
    return drawn


def _together(name: str, records: dict[str, Record]) -> Iterator[str]:
    """The pictures, and the last method against those it was built on."""
    records = alike(records)
    drawn = pictures(records)
    if len(records) > 1:
        yield f"### {name}, the methods against each other\n"
        ours, *others = (entrant for entrant in drawn["rivals"] if entrant.system != "mle")
        compared = overlay.comparisons([ours, *others], CONFIDENCE)
        yield _sentences(name, [found.as_json() for found in compared])
    for kind, field in drawn.items():
        for pair in (pair for pair in PAIRS[name] if pair in overlay.measured_pairs(field)):
            title = " against ".join(METRICS[measure].title for measure in pair)
            yield f"![{name}, {kind.replace('-', ': ')}: {title}](assets/bench/{name}-{kind}-{'-'.join(pair)}.svg)\n"


def _published(quoted: Published) -> Iterator[str]:
    yield "### Published figures\n"
    yield f"Source: {quoted.source.rstrip('.')}. {quoted.protocol}\n"
    if quoted.table:
        measures = list(dict.fromkeys(measure for row in quoted.table for measure in row.values))
        rows = [[r.system, *(_quoted(r.values.get(m)) for m in measures), r.status, r.note] for r in quoted.table]
        yield tables.markdown(["system", *measures, "status", "remark"], rows).replace("--:", "---")
    featured = [sweep for sweep in quoted.curves if sweep.featured]
    if featured:
        yield "Of the published sweeps, the point nearest to temperature 1:\n"
        rows = []
        for sweep in featured:
            temperature, quality, diversity = min(sweep.points, key=lambda point: abs(point[0] - 1))
            rows.append([sweep.system, f"{temperature:.2g}", f"{quality:.2f}", f"{diversity:.2f}"])
        yield tables.markdown(["system", "temperature", quoted.quality.name, quoted.diversity.name], rows)
    yield "\n".join(f"- {caveat}" for caveat in quoted.caveats) + "\n"


def _quoted(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return tables.DASH
    return f"{value:g}" if isinstance(value, float) else f"{value[0]:g} to {value[1]:g}"


def draw(name: str, suite: Suite, records: dict[str, Record]) -> None:
    """The pictures that the page names, as SVG, the same bytes every time."""
    quoted = published(suite.published) if suite.published else None
    for kind, field in pictures(alike(records)).items():
        saved = overlay.save(field, PICTURES / "all", quoted if kind == "rivals" else None)
        wanted = {"-".join(pair) for pair in PAIRS[name]}
        for path in saved:
            if path.suffix == ".svg" and path.stem in wanted:
                path.replace(PICTURES / f"{name}-{kind}-{path.name}")
            else:
                path.unlink()
        (PICTURES / "all").rmdir()


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for _, name, _ in BLOCK.findall(text):
        suite = load_suite(name)
        records = read(name, suite)
        draw(name, suite, records)
        for method, record in records.items():
            write_text(RESULTS / f"{name}-{method}.md", table(record, suite))
    write_text(PAGE, page(text))


if __name__ == "__main__":
    main()
