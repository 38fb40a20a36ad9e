"""How tokens are drawn, as options of the commands that write."""

from __future__ import annotations

from typing import Annotated

import typer

Temperature = Annotated[float | None, typer.Option(help="Above 0; default: the one chosen on validation text.")]
TopK = Annotated[int, typer.Option(help="Sample from the k likeliest tokens; 0: from all.")]
TopP = Annotated[float, typer.Option(help="Sample from the likeliest tokens of this total probability.")]
MinP = Annotated[float, typer.Option(help="Leave out tokens below this share of the likeliest one's.")]
