"""What was asked of a run beyond its recipe, and the command that asks for it again.

Folders of this machine are called by their last names: text and models must be brought along anyway.
"""

from __future__ import annotations

import json
import shlex
from operator import attrgetter
from pathlib import Path
from typing import Any

from mgan.config import Config
from mgan.errors import UserError
from mgan.settings import FIELDS, load_config, recipe_names

MACHINE = ("recipe", "device", "threads", "tensorboard", "push_to_hub")
"""Fields that say nothing of what was trained."""
OPTIONS = {"generator.pretrained": "--model", "data.path": "--data", "seed": "--seed"}


def public(value: Any) -> Any:
    """A name that says nothing of this machine: of a path the last part."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def changes(config: Config) -> tuple[bool, dict[str, Any]]:
    """Whether it is the recipe's smoke form, and the fields that differ from the recipe, paths by their last names.

    A recipe that was a file of the user's own is told as what differs from the defaults.
    """
    smoke, told = min(
        ((smoke, _differences(config, smoke)) for smoke in (False, True)), key=lambda found: len(found[1])
    )
    return smoke, {name: public(value) for name, value in told.items()}


def overrides(config: Config) -> list[str]:
    """``section.field=value`` of each change."""
    return [f"{name}={_written(value)}" for name, value in changes(config)[1].items()]


def command(config: Config) -> str:
    """What to type to train the same again."""
    smoke, told = changes(config)
    words = ["mgan", "train", *([config.recipe] if config.recipe in recipe_names() else [])]
    for name, option in OPTIONS.items():
        if name in told:
            words += [option, _written(told.pop(name))]
    words += ["--smoke"] if smoke else []
    return " ".join([*words, *(shlex.quote(f"{name}={_written(value)}") for name, value in told.items())])


def _differences(config: Config, smoke: bool) -> dict[str, Any]:
    asked = {name: attrgetter(name)(config) for name in FIELDS if name not in MACHINE}
    known = config.recipe in recipe_names()
    try:
        # A pretrained generator changes defaults.
        players = {"generator": {"pretrained": config.generator.pretrained}}
        recipe = load_config(config.recipe if known else "mgan", smoke=smoke, **players)
    except UserError:
        recipe = Config()
    told = {name: value for name, value in asked.items() if value != attrgetter(name)(recipe)}
    model = config.generator.pretrained
    return ({} if model is None else {"generator.pretrained": model}) | told


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
