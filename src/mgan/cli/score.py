"""``mgan score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mgan.cli.lines import read_lines, source
from mgan.errors import UserError

if TYPE_CHECKING:
    from mgan.data.readers import Prompt

STRUCTURED = tuple(
    f"{name}{zipped}" for name in (".jsonl", ".json", ".csv", ".tsv", ".parquet") for zipped in ("", ".gz")
)


def score(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A text a line, UTF-8, - for stdin; or .jsonl, .json, .csv, .tsv, .parquet."
        ),
    ],
    escaped: Annotated[
        bool, typer.Option("--escaped", help="Lines are escaped as 'mgan generate' writes them.")
    ] = False,
) -> None:
    """Say of each text of FILE how likely it is real: a number from 0 (generated) to 1 (real) a line.

    Structured files are read as for training: with prompts, a text is judged as the completion of its own, with labels
    as one of its class.
    """
    import mgan
    from mgan.cli.display import note
    from mgan.cli.generate import unescaped

    pair = mgan.load(run)
    labelled = bool(pair.tokenizer.labels)
    prompts, texts = _structured(file, labelled) if file.endswith(STRUCTURED) else (None, _texts(file))
    if escaped:
        texts = [unescaped(text) for text in texts]
    unknown, tokens = pair.unknown(texts)
    if unknown:
        note(f"{unknown} of {tokens} tokens are unknown to this run's tokenizer")
    if labelled and not prompts:
        raise UserError("this run's texts have labels: score a .jsonl file with a field 'label' beside each 'text'")
    if pair.prompted and not prompts:
        note("this run was trained on prompts with completions: score a .jsonl file with both")
    longer = pair.longer_than_context(texts, prompts)
    if longer:
        given = " with what is given before them" if prompts else ""
        note(f"{longer} texts{given} are longer than generator.context={pair.context} tokens: scored in windows")
    probabilities = pair.score(texts, prompts)
    if len(set(texts)) > 1 and len(set(probabilities)) == 1:
        note(
            "all texts get the same number: no update of this discriminator made it better on held-out text than "
            "guessing, so it was kept as it began; train for longer, or with more evaluation.discriminator_steps"
        )
    for probability in probabilities:
        print(f"{probability:.6f}")


def _structured(file: str, labelled: bool) -> tuple[list[Prompt] | None, list[str]]:
    """Prompts, if there are any, and texts."""
    from mgan.config import Data
    from mgan.data import readers

    examples = list(readers.read(Data(path=file), labelled))
    if not examples:
        raise UserError(f"{file} holds no text")
    prompts = [example.given for example in examples]
    return (prompts if any(prompts) else None), [example.text for example in examples]


def _texts(file: str) -> list[str]:
    """The lines of ``file``, which must all hold some text."""
    lines = read_lines(file, "a text")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise UserError(f"{source(file)} line {number} is blank: expected a text on every line")
    return lines
