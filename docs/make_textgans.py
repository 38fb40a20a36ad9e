"""Write what was measured of the text GANs into docs/textgans.md and docs/recipes: python docs/make_textgans.py

It reads benchmarks/results/textgans-*.json. Between the markers of a suite: one row a system, at temperature 1, real
text above them; who lies before whom on the frontier; and what the papers report. Between those of a recipe's page: its
own rows beside maximum likelihood's, and its frontier.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgan.bench.study import CONFIDENCE
from mgan.bench.suite import Suite, load_suite
from mgan.evaluation import overlay, tables
from mgan.evaluation.published.published import published
from mgan.evaluation.scorecard import METRICS
from mgan.files import write_text

PAGE = Path(__file__).with_name("textgans.md")
RECIPES = Path(__file__).with_name("recipes")
PICTURES = Path(__file__).parent / "assets" / "textgans"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- ([\w-]+): made by docs/make_textgans.py -->\n).*?(<!-- \2: end -->)", re.DOTALL)
OF_RECIPE = re.compile(r"(<!-- measured: made by docs/make_textgans.py -->\n).*?(<!-- measured: end -->)", re.DOTALL)
SUITES = {
    "textgans-20": "the synthetic oracle, 20 tokens",
    "textgans-40": "the synthetic oracle, 40 tokens",
    "textgans-coco": "captions",
}
ORACLE = ("nll_oracle", "nll_gen", "kl_generated", "kl_oracle")
TEXT = ("bleu_5", "self_bleu_5", "ngram_score", "nll")
FRONTIER = {"nll_oracle": ("nll_oracle", "nll_gen"), "bleu_5": ("bleu_5", "self_bleu_5")}
"""The pair of measures whose frontier is drawn and compared, by the suite's first measure."""
AT_ONE = "T 1"
GAMES = ("adversarial", "pretrained")
"""The systems that a record is about, and not its controls'."""
COMPARED: dict[str, list[str]] = {}
Record = dict[str, Any]


def read(suite: str, methods: list[str], results: Path = RESULTS) -> dict[str, Record]:
    """The records that are there, by method; what ``--smoke`` measured is not one."""
    paths = {method: results / f"{suite}-{method}.json" for method in methods}
    records = {m: json.loads(path.read_text(encoding="utf-8")) for m, path in paths.items() if path.exists()}
    return {method: record for method, record in records.items() if not record["smoke"]}


def page(text: str, results: Path = RESULTS) -> str:
    """The page with every block between markers made anew."""

    def made(block: re.Match[str]) -> str:
        suite = load_suite(block[2])
        return f"{block[1]}\n" + "\n".join(_suite(block[2], suite, results)) + f"\n{block[3]}"

    return BLOCK.sub(made, text)


def recipe_page(text: str, recipe: str, results: Path = RESULTS) -> str:
    """A recipe's page with what stands between its markers made anew."""
    parts = [part for suite in SUITES for part in _recipe(suite, recipe, results)]
    made = "\n".join(parts or ["Not measured at length yet.\n"])
    return OF_RECIPE.sub(lambda block: f"{block[1]}\n{made}\n{block[2]}", text)


def _recipe(suite: str, recipe: str, results: Path) -> Iterator[str]:
    """The recipe's rows in the suite, beside real text's and maximum likelihood's; nothing if it was not measured."""
    records = read(suite, ["mle", recipe], results)
    if len(records) < 2:
        return
    field = entrants(records)
    pair = " against ".join(METRICS[m].title for m in _pair(field))
    yield f"On {SUITES[suite]} ([all of them](../textgans.md)): `mgan bench {suite} --method {recipe} --data FOLDER`\n"
    yield _systems(records)
    yield from _against_likelihood(field)
    yield f"![{recipe} and mle: {pair}](../assets/textgans/{suite}-{recipe}.svg)\n"


def _suite(name: str, suite: Suite, results: Path) -> Iterator[str]:
    records = read(name, list(suite.methods), results)
    if not records:
        yield "Not measured yet.\n"
        return
    field = entrants(records)
    pair = _pair(field)
    yield _systems(records)
    missing = [method for method in suite.methods if method not in records]
    if missing:
        yield f"Not measured yet: {', '.join(f'`{method}`' for method in missing)}.\n"
    yield from _against_likelihood(field)
    yield f"![{name}: {' against '.join(METRICS[m].title for m in pair)}](assets/textgans/{name}.svg)\n"
    if suite.published:
        yield _published(suite.published)


def entrants(records: dict[str, Record]) -> list[overlay.Entrant]:
    """Every system of every record, maximum likelihood first."""
    found = [
        entrant
        for method, record in records.items()
        for entrant in overlay.entrants(method, {int(seed): tree for seed, tree in record["seeds"].items()})
    ]
    return sorted(found, key=lambda entrant: entrant.name != "mle")


def _pair(field: list[overlay.Entrant]) -> tuple[str, str]:
    real = next(iter(field[0].trees.values()))["real"]
    return next(pair for first, pair in FRONTIER.items() if first in real)


def _systems(records: dict[str, Record]) -> str:
    """A row a system: measures at temperature 1, how its games ended, what they cost."""
    trees = list(next(iter(records.values()))["seeds"].values())
    measures = ORACLE if "nll_oracle" in trees[0]["real"] else TEXT
    head = ["system", "seeds", *(METRICS[m].title for m in measures), "rounds", "ended by", "TFLOP", "minutes"]
    rows = [["real text", "", *(tables.figure([trees[0]["real"].get(m)]) for m in measures), "", "", "", ""]]
    for method, record in records.items():
        of_seeds = list(record["seeds"].values())
        for system in of_seeds[0]["systems"]:
            points = [_at_one(tree["systems"][system]["points"]) for tree in of_seeds]
            figures = [tables.figure([point.get(m) for point in points]) for m in measures]
            main = system in GAMES
            shown = f"**{method}**" if main else f"{method}, control: {system}"
            rows.append([shown, str(len(of_seeds)), *figures, *_played(of_seeds, system, main)])
    return tables.markdown(head, rows)


def _at_one(points: list[Record]) -> Record:
    measures: Record = next(point["measures"] for point in points if point["label"] == AT_ONE)
    return measures


def _played(trees: list[Record], system: str, main: bool) -> list[str]:
    """Rounds, endings, operations of pre-training and game in 10^12, and minutes of the whole run."""
    outcomes = [tree["outcomes"].get(system) for tree in trees]
    known = [outcome for outcome in outcomes if outcome]
    rounds = ", ".join(dict.fromkeys(outcome["rounds"] for outcome in known))
    endings = Counter(outcome["reason"] for outcome in known)
    ended = ", ".join(reason if count == len(trees) else f"{reason} ({count})" for reason, count in endings.items())
    phases = ("pretrain", "warmup", system) if main else ("pretrain", system)
    spent = sum(tree["compute"].get(phase, {"flops": 0})["flops"] for tree in trees for phase in phases) / len(trees)
    minutes = sum(tree["training_seconds"] for tree in trees) / len(trees) / 60 if main else None
    return [rounds, ended, f"{spent / 1e12:.1f}", "" if minutes is None else f"{minutes:.0f}"]


def _against_likelihood(field: list[overlay.Entrant]) -> Iterator[str]:
    """Who lies before maximum likelihood on the frontier, in sentences; the controls are in the table."""
    likelihood, *others = (entrant for entrant in field if entrant.system in GAMES)
    pair = _pair(field)
    lines = [f"- {sentence}" for other in others for sentence in _compared(other, likelihood, pair)]
    if likelihood.name == "mle" and lines:
        yield f"{' against '.join(METRICS[measure].title for measure in pair)}, each system against `mle`:\n"
        yield "\n".join(lines) + "\n"


def _compared(other: overlay.Entrant, likelihood: overlay.Entrant, pair: tuple[str, str]) -> list[str]:
    """A system is on the suite's page and on its recipe's: it is compared once."""
    name = json.dumps([other.name, [tree["real"] for tree in other.trees.values()], pair])
    if name not in COMPARED:
        found = overlay.comparisons([other, likelihood], CONFIDENCE, [pair])
        COMPARED[name] = [one.as_json()["sentence"] for one in found]
    return COMPARED[name]


def _published(name: str) -> str:
    quoted = published(name)
    said = [
        f"{row.system} "
        + "; ".join(f"{measure} {_quoted(value)}" for measure, value in row.values.items())
        + f" ({row.status})"
        for row in quoted.table
    ]
    return f"What the papers report ({quoted.protocol.rstrip('.')}): {', '.join(said)}.\n\n" + "\n".join(
        f"- {caveat}" for caveat in quoted.caveats
    ) + "\n"  # fmt: skip


def _quoted(value: float | tuple[float, float]) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value[0]:g} to {value[1]:g}"


def draw(name: str, records: dict[str, Record]) -> None:
    """The frontier of these records, games without their controls, as SVG."""
    field = [entrant for entrant in entrants(records) if entrant.system in GAMES]
    folder = PICTURES / "all"
    for path in overlay.save(field, folder):
        if path.suffix == ".svg" and path.stem == "-".join(_pair(field)):
            path.replace(PICTURES / f"{name}.svg")
        else:
            path.unlink()
    folder.rmdir()


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for _, name, _ in BLOCK.findall(text):
        records = read(name, list(load_suite(name).methods))
        if records:
            draw(name, records)
        for method in records.keys() & {path.stem for path in RECIPES.glob("*.md")}:
            draw(f"{name}-{method}", {"mle": records["mle"], method: records[method]})
    write_text(PAGE, page(text))
    for path in RECIPES.glob("*.md"):
        write_text(path, recipe_page(path.read_text(encoding="utf-8"), path.stem))


if __name__ == "__main__":
    main()
