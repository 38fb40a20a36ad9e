"""``mgan chat``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgan.cli.decoding import MinP, Temperature, TopK, TopP
from mgan.errors import UserError

if TYPE_CHECKING:
    from mgan.sampling.conversation import Conversation

COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?")
COMMANDS = "/reset forgets all that was said, /undo the last turn, /save FILE writes it down, /quit or Ctrl-D ends"


def chat(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name under ./runs, or its folder.")],
    system: Annotated[str, typer.Option(metavar="TEXT", help="A system message before all that is said.")] = "",
    temperature: Temperature = None,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed answers the same turns alike.")] = 0,
) -> None:
    """Talk with a run: a line a turn. /reset, /undo, /save FILE and /quit are commands."""
    import mgan
    from mgan.cli.display import note
    from mgan.sampling.conversation import Conversation

    pair = mgan.load(run)
    decoding = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    talk = Conversation(pair, system, seed, decoding)
    if not pair.prompted and not talk.remembers:
        note("this run was not trained on chats: what it writes goes on from what you say, and it remembers nothing")
    elif not talk.remembers:
        note("this run was not trained on chats: each answer is given your last turn alone")
    typed = sys.stdin.isatty() and sys.stdout.isatty()
    if typed:
        note(f"{COMMANDS}.")
    for said in _typed() if typed else _piped():
        command = COMMAND.fullmatch(said)
        if command and command[1] == "quit":
            return
        if command:
            note(_obey(talk, command[1], (command[2] or "").strip()))
        elif said:
            _exchange(talk, said, typed)


def _exchange(talk: Conversation, said: str, typed: bool) -> None:
    """A turn and its answer; both are printed, but for what a person sees where it was typed."""
    from mgan.cli.display import note
    from mgan.data.escapes import visible

    if not typed:
        print(f"user: {visible(said)}", flush=True)
    unknown, tokens = talk.pair.unknown([said])
    if unknown:
        note(f"{unknown} of the turn's {tokens} tokens are unknown to this run's tokenizer")
    fitted, begun = not talk.forgotten, False
    try:
        with closing(talk.answer(said)) as pieces:
            for piece in pieces:
                print("" if begun else "assistant: ", visible(piece), sep="", end="", flush=True)
                begun = True
        if not begun:
            note("no answer: say it again, or otherwise")
    except KeyboardInterrupt:
        if not typed:
            raise
    except UserError as error:
        # What was said is too long, or is answered by empty texts alone; the chat goes on.
        note(str(error))
    if begun or typed:
        print(flush=True)
    if begun and fitted and talk.forgotten:
        note("the context is full: from here on the oldest turns are forgotten, each with its answer")


def _obey(talk: Conversation, name: str, argument: str) -> str:
    """Do what was asked for; what a person should know of it."""
    if name == "reset":
        talk.reset()
        return "all that was said is forgotten"
    if name == "undo":
        said = talk.undo()
        return "nothing was said yet" if said is None else f"forgotten: {said}"
    if name == "save":
        return _save(talk, argument)
    return f"there is no /{name}: {COMMANDS}"


def _save(talk: Conversation, name: str) -> str:
    if not talk.messages:
        return "nothing was said yet that could be saved"
    if not name.endswith(".json"):
        return "/save needs a name that ends with .json, such as /save chat.json"
    path = Path(name).expanduser()
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump([talk.record()], file, ensure_ascii=False, indent=2)
            file.write("\n")
    except FileExistsError:
        return f"{name} is there already: give another name"
    except OSError as error:
        return f"{name} cannot be written: {error.strerror}"
    return f"saved: mgan train reads {name}"


def _typed() -> Iterator[str]:
    """What a person types; Ctrl-C drops a line, Ctrl-D ends."""
    with suppress(ImportError):
        import readline  # noqa: F401  It lets input() edit a line, of wide characters too.
    from mgan.cli.display import note

    while True:
        try:
            yield _text(input("user: ").encode(errors="surrogateescape"), "what you typed")
        except KeyboardInterrupt:
            print()
        except UserError as error:
            note(str(error))
        except EOFError:
            print()
            return


def _piped() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        yield _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"stdin line {number}")


def _text(line: bytes, place: str) -> str:
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UserError(f"{place} is not UTF-8 text") from None
