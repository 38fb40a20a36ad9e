"""YAML as a person means it: the JSON types of YAML 1.2, no aliases, no tags, no key twice.

PyYAML's own rules read ``3e-3`` as text, ``no`` as false, ``010`` as 8 and ``2024-01-01`` as a date.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import yaml

from mgan.errors import UserError

_SCALARS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    "float": (
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem="a name must be text", problem_mark=key_node.start_mark)
            if key in keys:
                raise yaml.MarkedYAMLError(problem=f"{key!r} is given twice", problem_mark=key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes the text that _Loader would read as something else."""

    def represent_text(self, text: str) -> yaml.Node:
        # In single quotes PyYAML writes line breaks such as U+0085 that it reads back as a space.
        return self.represent_scalar("tag:yaml.org,2002:str", text, None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
for _side in (_Loader, _Dumper):
    _side.yaml_implicit_resolvers = {}
    for _kind, (_pattern, _first) in _SCALARS.items():
        _side.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), _first)


def read(text: str, source: str) -> Any:
    """What ``text`` says; ``source`` names it in errors.

    Raises UserError with the line of a syntax error, an alias or a name given twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{source}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line_number = text.count("\n", 0, error.position) + 1
        raise UserError(f"{source} line {line_number}: not valid YAML: {error.reason}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None


def write(tree: Any) -> str:
    """``tree`` as YAML, one field a line, names in their order."""
    return _dump(tree, flow=False)


def write_line(name: str, value: Any) -> str:
    """``name: value`` on one line."""
    return _dump({name: value}, flow=True).strip().removeprefix("{").removesuffix("}")


def _dump(tree: Any, *, flow: bool) -> str:
    return yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize, default_flow_style=flow
    )
