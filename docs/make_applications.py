"""Write what was measured into docs/applications/*.md: python docs/make_applications.py

It reads benchmarks/results/application-SET.json, as benchmarks/applications.py writes them, and makes what stands
between a page's markers of that set. Without a record the page says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgan.evaluation import tasks
from mgan.evaluation.tables import DASH, markdown, number
from mgan.evaluation.tasks import Task

PAGES = Path(__file__).with_name("applications")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- ([\w-]+): made by docs/make_applications.py -->\n).*?(<!-- \2: end -->)", re.DOTALL)
UNIT = ", nats a token"
GENERAL = {"nll": f"NLL of held-out text{UNIT}", "two_sample": "fresh discriminator's accuracy"}
SYSTEMS = {"mle": "maximum likelihood", "adversarial": "the game"}
LOWER = ("nll",)
HIGHER = ("bleu", "chrf", "exact_match", "f1")
"""Measures with a direction of their own; of the others real text's figure is the target."""
Record = dict[str, Any]


def read(name: str, results: Path = RESULTS) -> Record | None:
    """What ``--smoke`` measured is no record."""
    path = results / f"application-{name}.json"
    record: Record | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return None if record is None or record["smoke"] else record


def page(text: str, results: Path = RESULTS) -> str:
    """The page with every block between markers made anew."""

    def made(block: re.Match[str]) -> str:
        record = read(block[2], results)
        inside = "\n".join(_measured(record)) if record else "Not measured yet.\n"
        return f"{block[1]}\n{inside}\n{block[3]}"

    return BLOCK.sub(made, text)


def _measured(record: Record) -> Iterator[str]:
    yield f"    {record['command']}{' --data FOLDER' * ('/' in record['data'])}\n"
    yield _table(record)
    yield _sentence(record)
    yield _trials(record)
    yield _cost(record)
    yield "The first ten held-out texts and what both systems of the first seed wrote:\n"
    yield _examples(record)


def _task(record: Record) -> Task:
    return tasks.named(record["task"])


def _table(record: Record) -> str:
    titles = GENERAL | {name: title for name, (title, _) in _task(record).TITLES.items()}
    summary, first = record["summary"], next(iter(record["seeds"].values()))
    real = {"two_sample": 0.5} | first["real"]
    rows = [
        [
            titles[measure],
            number(real[measure]) if measure in real else DASH,
            *(_interval(summary[name][measure]) for name in SYSTEMS),
            _signed(summary["difference"][measure]),
        ]
        for measure in summary["mle"]
    ]
    head = ["", "real text", *SYSTEMS.values(), "difference, seed by seed"]
    return (
        f"{markdown(head, rows)}\n{len(record['seeds'])} seeds, equal compute; in brackets Student's "
        f"{summary['confidence']:.0%} intervals over seeds, each by itself, on one set of test texts. "
        f"{record['texts']}\n"
    )


def _sentence(record: Record) -> str:
    """What the intervals show, and what they do not: lower, higher or nearer to real text's own value is better."""
    titles = GENERAL | {name: title for name, (title, _) in _task(record).TITLES.items()}
    said: dict[str, list[str]] = {"better in": [], "worse in": [], "undecided in": []}
    unjudged = []
    for measure, difference in record["summary"]["difference"].items():
        title = _briefly(titles[measure])
        worse = record["summary"]["farther"].get(measure)
        if measure in (*LOWER, *HIGHER):
            _, low, high = difference
            worse = [0.0, -high, -low] if measure in HIGHER else difference
        if worse is None:
            unjudged.append(title)
            continue
        _, low, high = worse
        said["better in" if high < 0 else "worse in" if low > 0 else "undecided in"].append(title)
    parts = [f"{name} {', '.join(found) or 'none'}" for name, found in said.items()]
    parts += [f"no better or worse in {', '.join(unjudged)}, whose target is not known"] if unjudged else []
    return f"The game against maximum likelihood: {'; '.join(parts)}.\n"


def _briefly(title: str) -> str:
    """Fit for a list: without its unit, what follows a comma in parentheses."""
    name, *rest = title.removesuffix(UNIT).split(", ")
    return f"{name} ({', '.join(rest)})" if rest else name


def _trials(record: Record) -> str:
    """What either side tried, and took."""
    rows = [
        [
            SYSTEMS["mle"] if side == "mle" else SYSTEMS["adversarial"],
            ", ".join(f"`{f}`" for f in fields),
            f"{score:.4f}",
        ]
        for side, tried in record["trials"].items()
        for *fields, score in tried
    ]
    chosen = "; ".join(", ".join(f"`{f}`" for f in fields) for fields in record["chosen"].values())
    table = markdown(["of", "tried on the first seed", "validation score, lower is better"], rows)
    return f"{table.replace('| --: | --: |', '| --- | --: |')}\nChosen: {chosen}.\n"


def _cost(record: Record) -> str:
    trees = list(record["seeds"].values())
    spent = [tree["flops"] for tree in trees]
    game = ", ".join(f"{1e-12 * (of.get('warmup', 0) + of['adversarial']):.2f}" for of in spent)
    start = ", ".join(f"{1e-12 * of['pretrain']:.2f}" for of in spent)
    ends = "; ".join(dict.fromkeys(tree["outcome"] for tree in trees))
    seconds = ", ".join(f"{tree['seconds']:,}" for tree in trees)
    settings = ", ".join(f"`{field}`" for field in record["settings"])
    return (
        f"Settings: {settings}. Pre-training {start} TFLOP, the game with its warm-up {game}. How the games ended: "
        f"{ends}. Seconds a run, on a machine that others used too: {seconds}.\n"
    )


def _examples(record: Record) -> str:
    rows = []
    for example in record["examples"]:
        prompt = [example["prompt"]] if any(one["prompt"] for one in record["examples"]) else []
        outputs = [example["outputs"][name] for name in SYSTEMS]
        rows.append([_cell(text) for text in [*prompt, " / ".join(example["references"]), *outputs]])
    head = ["prompt"] * (len(rows[0]) == 4) + ["real text", *SYSTEMS.values()]
    return markdown(head, rows).replace("--:", "---")


def _cell(text: str) -> str:
    """One line, without what Markdown would read."""
    plain = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.strip())
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", plain).replace("\n", " ⏎ ") or DASH


def _interval(found: list[float]) -> str:
    return f"{number(found[0])} [{number(found[1])}, {number(found[2])}]"


def _signed(found: list[float]) -> str:
    return f"{found[0]:+.3g} [{found[1]:+.3g}, {found[2]:+.3g}]"


def main() -> None:
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
