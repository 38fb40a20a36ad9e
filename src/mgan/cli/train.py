"""``mgan train``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mgan.errors import UserError


def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|section.field=value",
            help="A recipe's name or .yaml file (default: mgan), then overrides, like adversarial.steps=50.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="File, folder, embedded corpus or Hugging Face dataset name; "
            "default: as the recipe says, else the embedded corpus tang.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_NAME",
            help="Folder, .gguf file or Hugging Face hub name of a language model to start from, causal or "
            "encoder-decoder; default: a network from scratch.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_PATH",
            help="Name under ./runs, or a path, for the new run; default: <recipe>-<date>-<time>.",
        ),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Shrink everything: a whole run in seconds.")] = False,
    seed: Annotated[int | None, typer.Option(help="The one seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    keep: Annotated[int | None, typer.Option(metavar="N", help="Newest checkpoints kept.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Train a generator against a discriminator on your text, and say whether that was worth it.

    Prints a few samples and, last, the verdict. The run's folder holds everything else, report.html first.
    'mgan recipes' lists the recipes; 'mgan recipes show NAME' explains every field that can be overridden.
    """
    from mgan.api import configure
    from mgan.cli.display import display, note
    from mgan.cli.finish import finish
    from mgan.cli.guard import resumable
    from mgan.locate import new_run, shown
    from mgan.settings import batch_sentence

    recipe, overrides = split(arguments or [])
    options: dict[str, Any] = {
        "seed": seed, "device": device, "checkpoint.keep": keep, "generator.pretrained": model,
    }  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    if tensorboard:
        options["tensorboard"] = True
    config = configure(data, recipe, overrides, smoke=smoke, **options)
    folder = new_run(config.recipe, run)
    if not quiet:
        note(f"{shown(folder)}: recipe {config.recipe}, data {config.data.path}, seed {config.seed}")
        note(batch_sentence(config))
    with resumable(folder):
        from mgan.training import train as run_training

        with display(quiet) as progress:
            finished = run_training(config, run=folder, progress=progress)
        finish(finished)


def split(arguments: list[str]) -> tuple[str, list[str]]:
    """The recipe, mgan by default, and the overrides among the arguments of a command."""
    overrides = [argument for argument in arguments if "=" in argument]
    recipes = [argument for argument in arguments if "=" not in argument]
    if len(recipes) > 1:
        raise UserError(f"{recipes[1]!r} is one argument too many: expected one recipe and overrides like game.kl=0.1")
    return (recipes or ["mgan"])[0], overrides
