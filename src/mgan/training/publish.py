"""A finished run in the eyes of others: its model cards, and its players on the Hugging Face hub.

The generator is the repository itself, the discriminator its folder ``discriminator/``. A path of this machine in a
JSON file is called by its last name there; of the folders' files only those that a player is made of leave the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgan.evaluation.card import discriminator_card, generator_card
from mgan.files import write_text
from mgan.models import serving
from mgan.training.run import Run
from mgan.types import UserError

CARD = "README.md"
KINDS = (".safetensors", ".json", ".jinja", ".md", ".model")
"""Ends of names of a player's files."""
PATH = re.compile(r"(/[^\s/]+/|~/|\.{1,2}/|[A-Za-z]:[\\/])\S+")


def write_cards(run: Run, results: dict[str, Any]) -> None:
    """README.md of both players, from the configuration and the figures."""
    write_text(run.generator / CARD, generator_card(run.name, run.config, results, serving.task(run.generator)))
    write_text(run.discriminator / CARD, discriminator_card(run.name, run.config, results))


def push(path: Path | str, name: str, private: bool = False) -> str:
    """Upload both players of a finished run in one commit; the address of the repository.

    name: ``owner/name``, or a name of one's own. private: for a repository that is made; one that exists stays what it
    is. Raises UserError if the run is not finished, or the hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    run = Run.open(path)
    verdict: str = run.results["verdict"]["sentence"]
    try:
        operations = [CommitOperationAdd(place, content) for place, content in contents(run)]
        api = HfApi()
        address = api.create_repo(name, private=private, exist_ok=True, repo_type="model")
        api.create_commit(
            address.repo_id,
            operations,
            commit_message=f"mgan: {run.name}",
            commit_description=verdict,
            repo_type="model",
        )
    # Whatever the library or the network raises, the run is finished and can be pushed again.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{run.name} could not be pushed to {name} ({reason}); it is finished and whole: log in with 'hf auth "
            f"login' if need be, and type mgan push {run.name} {name}"
        ) from error
    return str(address)


def contents(run: Run) -> Iterator[tuple[str, Path | bytes]]:
    """What is uploaded: each file's place in the repository, and the file, or what it says without paths."""
    for folder, above in ((run.generator, Path()), (run.discriminator, Path("discriminator"))):
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in KINDS):
            place = (above / file.relative_to(folder)).as_posix()
            yield place, _pathless(file) if file.suffix == ".json" and file.name != "tokenizer.json" else file


def _pathless(file: Path) -> Path | bytes:
    content = json.loads(file.read_text(encoding="utf-8"))
    told = _named(content)
    return file if told == content else (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode()


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item) for item in value]
    return Path(value).name if isinstance(value, str) and PATH.fullmatch(value) else value
