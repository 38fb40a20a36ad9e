"""``mgan ask``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from mgan.errors import UserError

PATH = re.compile(r"\S+\.(txt|text|md|json|jsonl|csv|tsv)|[^\s。，；：？！]*[/\\][^\s。，；：？！]*", re.IGNORECASE)
"""What is meant as a file's name, not as a passage."""


def ask(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="As in the texts the run was trained on.")],
    context: Annotated[
        str, typer.Option(metavar="TEXT|FILE", help="The passage that the question is about, or a UTF-8 file of it.")
    ] = "",
    temperature: Annotated[
        float | None, typer.Option(help="Draw the answer, at this temperature; default: the likeliest token each time.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same answer.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object, with the discriminator's score of the answer.")
    ] = False,
) -> None:
    """Answer a question."""
    import mgan
    from mgan.cli.display import note
    from mgan.cli.generate import escaped
    from mgan.sampling.pair import EMPTY, LIKELIEST_EMPTY

    if not question.strip():
        raise UserError("the question is empty: ask something")
    pair, passage = mgan.load(run), _passage(context)
    if pair.tokenizer.labels or pair.tokenizer.blanks:
        raise UserError("this run's texts are no answers to questions: use mgan generate")
    if not pair.prompted:
        note("this run was not trained on questions with answers: what it writes goes on from the question")
    elif pair.chats:
        note("this run was trained on chats: the question is what a user says first")
    unknown, tokens = pair.unknown([passage + question])
    if unknown:
        note(f"{unknown} of the question's {tokens} tokens are unknown to this run's tokenizer")
    prompt = pair.question(question, passage)
    greedy = temperature is None
    try:
        (answer,) = pair.generate(prompt, 1, temperature=1.0 if greedy else temperature, top_k=int(greedy), seed=seed)
    except UserError as error:
        if str(error) not in (EMPTY, LIKELIEST_EMPTY):
            raise
        note(str(error))
        answer = ""
    if not as_json:
        print(escaped(text) if (text := answer.strip()) else "")
        return
    (score,) = pair.score([answer], [prompt])
    found = {"question": question, "context": passage or None, "answer": answer.strip(), "score": score}
    print(json.dumps(found, ensure_ascii=False))


def _passage(context: str) -> str:
    """The text of a file if there is one of that name."""
    try:
        path = Path(context).expanduser()
        if not path.is_file():
            if PATH.fullmatch(context):
                raise UserError(f"there is no file {context}: give the name of one, or the passage itself")
            return context.strip()
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UserError(f"{context} is not UTF-8 text") from None
    except PermissionError as error:
        raise UserError(f"cannot read {context}: {error.strerror}") from None
    except (OSError, RuntimeError, ValueError):
        # Too long for a name, or with what no name holds: it is the passage itself.
        return context.strip()
