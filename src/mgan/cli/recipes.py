"""``mgan recipes``."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(context: typer.Context) -> None:
    """List the recipes, or show one with the meaning and range of every field."""
    if context.invoked_subcommand is None:
        from mgan.cli.columns import aligned
        from mgan.settings import recipe_header, recipe_names

        print(aligned([(name, recipe_header(name)[0]) for name in recipe_names()]))


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe's name or .yaml file.")],
) -> None:
    """Show a recipe: what it is, then every field with its value, meaning and range, as YAML."""
    from mgan.settings import describe, load_config, recipe_header, recipe_names

    config = load_config(name)
    if name in recipe_names():
        print("\n".join(f"# {line}".rstrip() for line in recipe_header(name)))
    print(describe(config), end="")
