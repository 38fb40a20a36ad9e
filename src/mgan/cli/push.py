"""``mgan push``."""

from __future__ import annotations

from typing import Annotated

import typer


def push(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run's name under ./runs, or its folder.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The repository on the hub: owner/name.")],
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is new, let nobody else see it.")
    ] = False,
) -> None:
    """Upload a run's generator, and its discriminator beside it, to the Hugging Face hub; prints the address."""
    import mgan

    print(mgan.push(run, name, private=private))
