"""``mgan bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def bench(
    suite: Annotated[
        str | None, typer.Argument(metavar="SUITE", help="A suite's name; none: list them.", show_default=False)
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Only this method; may be given again. Default: all of the suite.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the suite's files are.")] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the runs are kept, and found again to go on with.")
    ] = Path("runs/bench"),
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Where SUITE-METHOD.json is written.")] = Path(
        "benchmarks/results"
    ),
    smoke: Annotated[bool, typer.Option("--smoke", help="The short form: everything, in a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a method.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Play a benchmark suite: tune every method by the same budget, train every seed, measure the frontier."""
    from mgan.bench.suite import family, load_suite, suite_names
    from mgan.cli.columns import aligned
    from mgan.cli.display import display

    if suite is None:
        print(aligned([("suite", "methods", "about")] + [
            (name, ", ".join(loaded.methods), loaded.about) for name in suite_names() for loaded in [load_suite(name)]
        ]))  # fmt: skip
        return
    suites = {name: load_suite(name) for name in family(suite)}
    for loaded in suites.values():
        loaded.located(data)
        for name in method or []:
            loaded.method(name)
    from mgan.bench.study import Study, contest, write
    from mgan.bench.tables import table

    for name, loaded in suites.items():
        folder = out.absolute() / (f"{name}-smoke" if smoke else name)
        records = {}
        for one in method or loaded.methods:
            with display(quiet) as progress:
                records[one] = Study(name, loaded, folder, data, smoke, progress).play(one)
            options = " --data FOLDER" * bool(data) + " --smoke" * smoke
            target = (folder if smoke else results) / f"{name}-{one}.json"
            write(records[one], target, f"mgan bench {name} --method {one}{options}")
            print(json.dumps(records[one], ensure_ascii=False) if as_json else table(records[one], loaded))
        if len(records) > 1 and not as_json:
            # The last is the one that was built on the others.
            for comparison in contest(dict(reversed(records.items()))):
                print(f"- {comparison.axes[0].name} against {comparison.axes[1].name}: {comparison.sentence}")
