"""``mgan plan``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mgan.planning.estimate import MemoryPlan

MIB, GIB = 2**20, 2**30


def plan(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|section.field=value",
            help="As of mgan train.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="As of mgan train; only its size counts.")] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_NAME", help="As of mgan train; only its config.json is opened."),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Of the shrunk run.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; it need not be here.")] = None,
    memory: Annotated[
        float | None, typer.Option(min=0, metavar="GIB", help="Memory of the device; default: what is here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, in bytes.")] = False,
) -> None:
    """Say what memory a run would take, phase by phase, and whether that fits; nothing is loaded.

    Exits with 0 if the run fits, and with 1 if it does not: then the fields to change are listed, the best first.
    """  # fmt: skip
    from mgan import api
    from mgan.cli.train import split

    recipe, overrides = split(arguments or [])
    options = {"device": device, "generator.pretrained": model}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    found = api.plan(data, recipe, overrides, smoke=smoke, memory=memory, **given)
    print(json.dumps(found.as_json(), indent=2) if as_json else _page(found))
    if not found.fits:
        raise typer.Exit(1)


def _page(found: MemoryPlan) -> str:
    from mgan.cli.columns import aligned

    unit, name = (GIB, "GiB") if found.peak >= 10 * GIB else (MIB, "MiB")
    kinds = list(dict.fromkeys(kind for phase in found.phases for kind in phase.rows))
    rows = [
        (f"{found.device}, {name}", *(phase.name for phase in found.phases)),
        *((kind, *(_number(phase.rows.get(kind, 0), unit) for phase in found.phases)) for kind in kinds),
        ("total", *(_number(phase.total, unit) for phase in found.phases)),
        ("worst at", *(phase.moment for phase in found.phases)),
    ]
    if any(phase.waiting for phase in found.phases):
        rows.append(("waiting on cpu", *(_number(phase.waiting, unit) for phase in found.phases)))
    blocks = [aligned(rows), _sentence(found)]
    if found.advice:
        blocks.append(aligned([("set", "peak", "saves"), *_advice(found)]))
    return "\n\n".join(blocks)


def _sentence(found: MemoryPlan) -> str:
    worst, room = found.worst, max(0, found.memory)
    says = "It fits" if found.fits else "It does not fit"
    return (
        f"{says}: {_gib(found.peak)} in phase {worst.name}, at {worst.moment}, of {_gib(room)} on the {found.device} "
        "(libraries off)."
    )


def _advice(found: MemoryPlan) -> list[tuple[str, str, str]]:
    return [(one.change, _gib(one.peak), _gib(found.peak - one.peak)) for one in found.advice]


def _number(count: int, unit: int) -> str:
    return "–" if not count else f"{count / unit:,.1f}" if unit == GIB else f"{count / unit:,.0f}"


def _gib(count: int) -> str:
    return f"{count / GIB:,.2f} GiB"
