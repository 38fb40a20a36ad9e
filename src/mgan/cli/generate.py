"""``mgan generate``."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from mgan.cli.decoding import MinP, Temperature, TopK, TopP
from mgan.data.escapes import escaped as escaped
from mgan.data.escapes import unescaped as unescaped
from mgan.errors import UserError


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    prompt: Annotated[
        str,
        typer.Option(
            help="Text that every sample goes on from (\\n is a line break), or its label; it is not repeated."
        ),
    ] = "",
    n: Annotated[int, typer.Option("--n", "-n", help="Samples.")] = 10,
    temperature: Temperature = None,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    rerank: Annotated[
        int, typer.Option(help="Draw so many for each sample and keep one by the discriminator's verdict.")
    ] = 1,
    length: Annotated[
        int | None,
        typer.Option(help="Most tokens of a text, sliding beyond the context; default: until the context is full."),
    ] = None,
) -> None:
    """Write texts: one a line, with line breaks, tabs and backslashes inside a text escaped."""
    import mgan
    from mgan.cli.display import note

    pair, prompt = mgan.load(run), unescaped(prompt)
    labelled = bool(pair.tokenizer.labels)
    if labelled and not prompt:
        labels = pair.tokenizer.labels
        raise UserError(
            f"this run writes texts of a label: say which with --prompt {shlex.quote(escaped(labels[0]))} (its labels: "
            f"{', '.join(map(escaped, labels))})"
        )
    unknown, tokens = pair.unknown([] if labelled or pair.tokenizer.blanks else [prompt])
    if unknown:
        note(f"{unknown} of the prompt's {tokens} tokens are unknown to this run's tokenizer")
    if pair.prompted and not prompt:
        note("this run was trained on prompts with completions: give one with --prompt")
    if prompt and not (labelled or pair.chats or prompt.endswith(pair.ending)):
        note(f"the prompts of this run end with '{escaped(pair.ending)}', and this one does not")
    texts = pair.generate(
        prompt=prompt, n=n, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed, rerank=rerank,
        length=length,
    )  # fmt: skip
    for text in texts:
        print(escaped(text))
