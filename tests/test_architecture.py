"""The rules of the house, read from the source: who imports whom, who prints, what is never opened."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mgan"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS = [
    {
        "types",
        "errors",
        "config",
        "sections",
        "settings",
        "presets",
        "plain_yaml",
        "locate",
        "listing",
        "files",
        "threads",
    },
    {"data"},
    {"models"},
    {"sampling"},
    {"explain", "safety"},
    {"fit"},
    {"evaluation"},
    {"training", "planning"},
    {"bench"},
    {"serve", "integrations"},
    {"api", "extending"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. ``game`` stands apart on the ground: everybody may import it, it imports nobody."""
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
PATHS = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module imported anywhere in a file, in functions and for type checkers too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # ``from mgan import config`` imports mgan.config.
            yield from (f"{node.module}.{name.name}" for name in node.names)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize(
    "path", [p for p in FILES if p != SOURCE / "__init__.py"], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    assert here in FLOOR or here == "game", f"{here} has no floor: say where it stands"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "mgan" or len(parts) < 2 or parts[1] == here or parts[1] == "__version__":
            continue
        assert here != "game", f"game imports {name}"
        assert parts[1] == "game" or FLOOR[parts[1]] <= FLOOR[here], f"{here} climbs to {name}"
        if FLOOR.get(parts[1]) == FLOOR[here]:
            assert FLOOR[here] == 0, f"{here} reaches across to {name}"


def test_the_ground_does_not_go_round_in_circles() -> None:
    seen: dict[str, set[str]] = {}
    for path in FILES:
        if FLOOR.get(room(path)) == 0:
            needs = {name.split(".")[1] for name in imports(path) if name.startswith("mgan.")} & FLOORS[0]
            seen.setdefault(room(path), set()).update(needs - {room(path)})
    while seen:
        free = [name for name, needs in seen.items() if not needs & seen.keys()]
        assert free, f"these import each other: {sorted(seen)}"
        for name in free:
            del seen[name]


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "game"], ids=lambda p: p.name)
def test_the_game_is_torch_and_nothing_else(path: Path) -> None:
    allowed = {"torch", "__future__", "collections", "math", "typing", "dataclasses"}
    outside = {name for name in imports(path) if name.split(".")[0] not in allowed}
    assert all(name.startswith("mgan.game.") for name in outside), outside


def test_the_package_itself_imports_nothing_when_it_is_imported() -> None:
    for node in tree(SOURCE / "__init__.py").body:
        for found in [node] if isinstance(node, ast.Import | ast.ImportFrom) else []:
            names = [found.module] if isinstance(found, ast.ImportFrom) else [name.name for name in found.names]
            assert all(name in {"__future__", "os", "importlib", "typing"} for name in names)


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) not in {"cli", "__main__"}], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_nothing_below_the_command_line_prints(path: Path) -> None:
    writers = {"print", "pprint", "breakpoint", "sys.stdout.write", "sys.stderr.write", "input", "sys.exit", "exit"}
    assert not [name for name, _ in calls(path) if name in writers]


UNSAFE_CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.jit.load", "joblib.load", "os.system",
    "os.popen", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all",
}  # fmt: skip
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "subprocess"}


@PATHS
def test_nothing_is_unpickled_or_executed(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & UNSAFE_MODULES
    for name, call in calls(path):
        assert name not in UNSAFE_CALLS, f"line {call.lineno}: {name}"
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert said.get("weights_only", "True") == "True", f"line {call.lineno}"
        assert said.get("allow_pickle", "False") == "False", f"line {call.lineno}"
        assert said.get("trust_remote_code", "False") == "False", f"line {call.lineno}"
        assert said.get("shell", "False") == "False", f"line {call.lineno}"
        if name in {"np.load", "numpy.load"}:
            assert said.get("allow_pickle") == "False", f"line {call.lineno}"


def test_yaml_is_read_by_a_loader_that_makes_plain_values_only() -> None:
    import yaml

    from mgan import plain_yaml

    loaders = {
        ast.unparse(keyword.value)
        for path in FILES
        for name, call in calls(path)
        if name == "yaml.load"
        for keyword in call.keywords
        if keyword.arg == "Loader"
    }
    places = {room(path) for path in FILES for name, _ in calls(path) if name.startswith("yaml.load")}
    assert places <= {"plain_yaml"}
    safe = (yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else []))
    assert all(issubclass(getattr(plain_yaml, name), safe) for name in loaders)


@PATHS
def test_a_file_fits_a_readers_patience(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@PATHS
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{path.name} has no docstring"


def test_there_is_no_drawer_for_everything() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "util", "helpers", "misc", "common"}]
