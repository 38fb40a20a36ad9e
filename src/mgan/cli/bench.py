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
    from mgan.bench.study import Study, compare_methods, write
    from mgan.bench.tables import table

    for name, loaded in suites.items():
        folder = out.absolute() / (f"{name}-smoke" if smoke else name)
        for one in method or loaded.methods:
            with display(quiet) as progress:
                record = Study(name, loaded, folder, data, smoke, progress).play(one)
            options = " --data FOLDER" * bool(data) + " --smoke" * smoke
            place = folder if smoke else results
            write(record, place / f"{name}-{one}.json", f"mgan bench {name} --method {one}{options}")
            print(json.dumps(record, ensure_ascii=False) if as_json else table(record, loaded))
        found = compare_methods(place, name, loaded)
        if not as_json:
            for comparison in found:
                print(f"- {' against '.join(comparison['measures'])}: {comparison['sentence']}")
