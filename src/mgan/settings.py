"""From a recipe and ``section.field=value`` overrides to a validated Config, and back to YAML.

Every layer is a flat mapping of dotted names to values, so that a later layer simply replaces an earlier one.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mgan import plain_yaml
from mgan.config import Config, Section
from mgan.errors import UserError
from mgan.presets import PRETRAINED_VALUES as PRETRAINED_VALUES
from mgan.presets import SMOKE_KEPT
from mgan.presets import SMOKE_LIMITS as SMOKE_LIMITS
from mgan.presets import SMOKE_VALUES as SMOKE_VALUES

RECIPES = Path(__file__).parent / "recipes"


def _tree(model: type[Section], above: str = "") -> Iterator[tuple[str, type[Section] | FieldInfo]]:
    """Every section and field by its dotted name, each section before what it holds."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield above + name, field.annotation
            yield from _tree(field.annotation, f"{above}{name}.")
        else:
            yield above + name, field


SECTIONS = {name: node for name, node in _tree(Config) if isinstance(node, type)}
FIELDS = {name: node for name, node in _tree(Config) if isinstance(node, FieldInfo)}


def recipe_names() -> list[str]:
    """The shipped recipes, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe; raises UserError with the nearest name if there is none."""
    if name not in recipe_names():
        nearest = _nearest(name, recipe_names())
        raise UserError(
            f"there is no recipe {name!r}: did you mean {nearest!r}? "
            f"(recipes: {', '.join(recipe_names())}, or the path of a .yaml file)"
        )
    return RECIPES / f"{name}.yaml"


def recipe_header(name: str) -> list[str]:
    """The comment lines a shipped recipe begins with, marks removed; the first is its summary."""
    lines = recipe_path(name).read_text("utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.removeprefix("#").strip() for line in lines[:end]]


def load_config(
    recipe: str | Path = "mgan", overrides: Iterable[str] = (), *, smoke: bool = False, **fields: Any
) -> Config:
    """The validated configuration of a run.

    recipe: a shipped recipe's name, or the path of a .yaml file (a run's ``config.yaml`` is one).
    overrides: ``section.field=value`` each, the value as YAML; later ones win.
    smoke: shrink everything so that a whole run takes seconds; the two kinds of override still win.
    With generator.pretrained, whatever neither the recipe nor an override sets is as ``PRETRAINED_VALUES`` say.
    fields: the same tree from Python: ``seed=3``, ``data={"path": "poems.txt"}``; wins over everything.

    Raises UserError for an unknown recipe or field, a value of the wrong type or out of range, and bad YAML.
    """
    given: dict[str, Any] = {}
    for override in overrides:
        given |= _parse_override(override)
    given |= _flatten(fields)
    values = _read_recipe(recipe)
    if (values | given).get("generator.pretrained") is not None:
        values = PRETRAINED_VALUES | values
    if smoke:
        values |= _shrunk(values, (values | given).get("evaluation.task"))
    return _validate(values | given)


def dump(config: Config) -> str:
    """The whole tree as YAML; ``load_config`` of a file that holds it gives an equal Config."""
    return plain_yaml.write(config.model_dump(mode="json"))


def describe(config: Config) -> str:
    """The whole tree as YAML, with the meaning, range and choices of every field as a comment behind it."""
    blocks = [[_described(name, getattr(config, name)) for name in FIELDS if "." not in name]]
    for section, model in SECTIONS.items():
        inside = [name for name in FIELDS if name.rpartition(".")[0] == section]
        fields = ("  " + _described(name, attrgetter(name)(config)) for name in inside)
        blocks.append([f"{section}:  # {(model.__doc__ or '').strip()}", *fields])
    return "\n\n".join(map("\n".join, blocks)) + "\n"


def batch_sentence(config: Config) -> str:
    """How much text one round of the game takes, in one sentence."""
    loop = config.adversarial
    if config.contest is None:
        return f"{_count(config.pretrain.batch_size, 'text')} an update; no game"
    if config.contest in ("self_play", "residual"):
        whose = "generator" if config.contest == "self_play" else "discriminator"
        return f"{_count(config.rows_per_step, 'text')}, and as many generated ones, a {whose} update"
    return (
        f"{_count(loop.prompts_per_step, 'prompt')} a step "
        f"x {_count(loop.samples_per_prompt, 'sample')} each "
        f"= {_count(config.rows_per_step, 'text')} a generator update; "
        f"{_count(loop.discriminator_steps, 'discriminator update')} and "
        f"{_count(loop.generator_steps, 'generator update')} a round"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _read_recipe(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    if not isinstance(recipe, Path) and path.suffix not in (".yaml", ".yml") and len(path.parts) == 1:
        path = recipe_path(recipe)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} line {line}: not UTF-8 text") from None
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from None
    tree = plain_yaml.read(text, str(path))
    if not isinstance(tree, Mapping | None):
        raise UserError(f"{path}: expected sections with fields, got {_show(tree)}")
    try:
        return {"recipe": path.stem} | _flatten(tree or {})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _shrunk(values: Mapping[str, Any], task: Any) -> dict[str, Any]:
    def limited(name: str, limit: int) -> Any:
        value = values.get(name, FIELDS[name].default)
        return limit if value is None or (isinstance(value, int | float) and value > limit) else value

    limits = {name: limit for name, limit in SMOKE_LIMITS.items() if (name, task) not in SMOKE_KEPT}
    return SMOKE_VALUES | {name: limited(name, limit) for name, limit in limits.items()}


def _parse_override(override: str) -> dict[str, Any]:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise UserError(f"{override!r} is not an override: expected section.field=value, like game.kl=0.1")
    name = name.strip()
    field = FIELDS.get(name)
    if field is not None and field.annotation is str:
        return {name: text}  # a path may hold what YAML would read as something else
    return dict(_flatten({name: plain_yaml.read(text, f"the value of {name}")}))


def _flatten(tree: Mapping[Any, Any]) -> dict[str, Any]:
    return dict(_leaves(tree))


def _leaves(tree: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every field in a partial tree; raises UserError for an unknown name."""
    for name, value in tree.items():
        if name in FIELDS:
            yield name, _plain(value)
        elif name not in SECTIONS:
            raise UserError(f"there is no field {name!r}: did you mean {_nearest_field(str(name))}?")
        elif isinstance(value, Section):
            yield from _leaves({f"{name}.{key}": getattr(value, key) for key in type(value).model_fields})
        elif isinstance(value, Mapping):
            yield from _leaves({f"{name}.{key}": inner for key, inner in value.items()})
        elif value is not None:
            example = next(field for field in FIELDS if field.startswith(f"{name}."))
            raise UserError(f"{name} is a section: expected its fields, like {example}, got {_show(value)}")


def _plain(value: Any) -> Any:
    """What strict validation takes for what a person may well give."""
    if isinstance(value, list):
        return tuple(value)
    return str(value) if isinstance(value, Path) else value


def _nearest_field(name: str) -> str:
    same_leaf = [field for field in FIELDS if field.split(".")[1:] == [name]]
    return " or ".join(same_leaf) or _nearest(name, [*FIELDS, *SECTIONS])


def _nearest(name: str, known: list[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0)[0]


def _validate(values: Mapping[str, Any]) -> Config:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, field = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[field] = value
    try:
        return Config.model_validate(tree, strict=True)
    except ValidationError as error:
        raise UserError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:  # the fields do not agree with one another; config.py says how
        return str(first["ctx"]["error"])
    names = itertools.accumulate(map(str, first["loc"]), "{}.{}".format)
    depth, name = next((depth, name) for depth, name in enumerate(names, 1) if name in FIELDS)
    item = "".join(f" (item {part + 1})" for part in first["loc"][depth:] if isinstance(part, int))
    expected = "valid Unicode text" if first["type"] == "string_unicode" else _expected(_schema(name))
    return f"{name}{item}: expected {expected}, got {_show(first['input'])}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _schema(name: str) -> dict[str, Any]:
    section, _, field = name.rpartition(".")
    properties: dict[str, dict[str, Any]] = _json_schema(section)["properties"]
    return properties[field]


@cache
def _json_schema(section: str) -> dict[str, Any]:
    return (SECTIONS[section] if section else Config).model_json_schema()


def forget_schemas() -> None:
    """After a field has come to take more values than before."""
    _json_schema.cache_clear()


_NOUNS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minLength": "of length at least",
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def _expected(schema: Mapping[str, Any]) -> str:
    """The values a field takes, in words."""
    if "anyOf" in schema:
        return " or ".join(_expected(option) for option in reversed(schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "array":
        size = " of one or more" if schema.get("minItems") else ""
        unlike = " without repetitions" if schema.get("uniqueItems") else ""
        return f"a list{size}{unlike}, each {_expected(schema['items'])}"
    bounds = [f"{words} {schema[key]}" for key, words in _BOUNDS.items() if key in schema]
    return " ".join([_NOUNS[schema["type"]], " and ".join(bounds)]).strip()


def _described(name: str, value: Any) -> str:
    field = name.rpartition(".")[2]
    setting = plain_yaml.write_line(field, value)
    expected = _expected(_schema(name))
    extent = "" if expected.startswith("text") else f"; {expected}"
    return f"{setting:<34} # {FIELDS[name].description}{extent}"
