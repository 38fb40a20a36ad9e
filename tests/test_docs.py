"""The pages are true: links lead somewhere, commands exist, the README's program runs, the tables are complete."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mgan.bench.suite import load_suite, suite_names
from mgan.bench.tables import table
from mgan.cli.main import app
from mgan.config import Config
from mgan.settings import FIELDS, SECTIONS, load_config, recipe_header, recipe_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
COMMAND = re.compile(r"^ {4,}(mgan .*)$|`(mgan [^`]*)`", re.MULTILINE)
PLACEHOLDER = "section.field=value"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = [a or b for a, b in LINK.findall(page.read_text(encoding="utf-8"))]
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [target for target in local if target and not (page.parent / target).exists()] == []


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for indented, inline in COMMAND.findall(page.read_text(encoding="utf-8")):
            yield from ((page_name(page), part) for part in (indented or inline).split(" | "))


@cache
def known_options(*command: str) -> set[str]:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0, f"there is no command {' '.join(command)}"
    return set(OPTION.findall(done.output)) | {"--help"}


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_shown_is_one(page: str, line: str) -> None:
    # The brackets of a usage line, not those of a list: 'section.field=[a, b]'.
    line = re.sub(r"(?<!=)\[|\](?!')|\|", " ", line.partition("#")[0])
    _, *words = shlex.split(line)
    name, rest = (words[0], words[1:]) if words and words[0].islower() and words[0].isalpha() else ("", words)
    path = [*([name] if name else []), *(["show"] if name == "recipes" and "show" in rest else [])]
    options = {word for word in rest if OPTION.fullmatch(word)}
    assert options <= known_options(*path)
    overrides = [word for word in rest if "=" in word and word != PLACEHOLDER]
    if "--model" in rest:
        overrides.append("generator.pretrained=model")
    load_config(next((word for word in rest if word in recipe_names()), "mgan"), overrides)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name in ("recipes", "applications")], ids=page_name
)
def test_a_run_that_a_page_goes_on_with_was_named_before(page: Path) -> None:
    """So that the commands of a recipe's page work as they stand, one after the other."""
    named = set[str]()
    for line in re.findall(r"^ {4,}mgan (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        command, *words = shlex.split(line.partition(" # ")[0])
        if command in ("train", "plan", "recipes"):
            named |= {after for option, after in itertools.pairwise(words) if option == "--run"}
        else:
            assert words and words[0] in named, f"mgan {line}: no 'mgan train ... --run {words[0]}' stands above it"


def test_the_page_of_the_configuration_is_fresh() -> None:
    made = runpy.run_path(str(DOCS / "make_configuration.py"))["page"]()
    stale = "run: python docs/make_configuration.py"
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == made, stale


@pytest.mark.parametrize(
    "command",
    ["train", "generate", "ask", "chat", "translate", "score", "evaluate", "compare", "bench", "push", "doctor"],
)
def test_the_page_of_the_commands_knows_every_option(command: str) -> None:
    _, _, rest = text("docs/cli.md").partition(f"\n## mgan {command}\n")
    section = rest.partition("\n## ")[0]
    long = {option for option in known_options(command) if option.startswith("--")}
    assert long - {"--help"} <= set(OPTION.findall(section))


def test_the_page_of_the_benchmarks_is_fresh() -> None:
    made = runpy.run_path(str(DOCS / "make_benchmarks.py"))
    stale = "run: python docs/make_benchmarks.py"
    assert made["page"](text("docs/benchmarks.md")) == text("docs/benchmarks.md"), stale
    shown = {name for _, name, _ in made["BLOCK"].findall(text("docs/benchmarks.md"))}
    assert shown == {name for name in suite_names() if not name.startswith("textgans-")}
    for name in shown:
        suite = load_suite(name)
        for method, record in made["read"](name, suite).items():
            assert text(f"benchmarks/results/{name}-{method}.md") == table(record, suite), stale


def test_the_pages_of_applications_are_what_was_measured() -> None:
    made, shown = runpy.run_path(str(DOCS / "make_applications.py")), set()
    for path in sorted((DOCS / "applications").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        assert made["page"](page) == page, "python docs/make_applications.py"
        shown |= {name for _, name, _ in made["BLOCK"].findall(page)}
    sets = set(runpy.run_path(str(ROOT / "benchmarks" / "applications.py"))["SETS"])
    assert sets <= shown <= sets | {f"{name}-gad" for name in sets}


def test_the_page_of_text_gans_is_what_was_measured() -> None:
    made = runpy.run_path(str(DOCS / "make_textgans.py"))
    page = text("docs/textgans.md")
    assert made["page"](page) == page, "python docs/make_textgans.py"
    shown = {name for _, name, _ in made["BLOCK"].findall(page)}
    assert shown == {name for name in suite_names() if name.startswith("textgans-")}
    for path in (DOCS / "recipes").glob("*.md"):
        page = path.read_text(encoding="utf-8")
        assert made["recipe_page"](page, path.stem) == page, "python docs/make_textgans.py"


def test_what_the_smoke_form_measured_is_no_result(tmp_path: Path) -> None:
    made = runpy.run_path(str(DOCS / "make_benchmarks.py"))
    (tmp_path / "tang-mle.json").write_text(json.dumps({"suite": "tang", "method": "mle", "smoke": True}), "utf-8")
    assert made["read"]("tang", load_suite("tang"), tmp_path) == {}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_field_named_is_one(page: Path) -> None:
    sections = {name.partition(".")[0] for name in FIELDS}
    for section, leaf in re.findall(r"`([a-z]+)\.([a-z_]+)(?:=[^`]*)?`", page.read_text(encoding="utf-8")):
        named_else = leaf in ("json", "yaml", "md") or (ROOT / "src" / "mgan" / section / f"{leaf}.py").exists()
        assert section not in sections or named_else or f"{section}.{leaf}" in {*FIELDS, *SECTIONS}


def program(readme: str) -> str:
    (found,) = PROGRAM.findall(text(readme))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder the README's program makes, and what it prints."""
    place = tmp_path_factory.mktemp("readme")
    done = subprocess.run(
        [sys.executable, "-c", program("README.md")], cwd=place, capture_output=True, text=True, encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "runs" / "quick", done.stdout


def test_the_program_in_the_readme_runs(run: tuple[Path, str]) -> None:
    verdict, *texts, scores = run[1].splitlines()
    assert verdict.startswith("Verdict:")
    assert len(texts) >= 3
    assert all(0 <= score <= 1 for score in json.loads(scores))


def test_both_readmes_show_the_same() -> None:
    assert ast.dump(ast.parse(program("README.md"))) == ast.dump(ast.parse(program("README.zh-CN.md")))
    links = [LINK.findall(text(name)) for name in ("README.md", "README.zh-CN.md")]
    assert set(links[0]) ^ set(links[1]) == {("README.md", ""), ("README.zh-CN.md", "")}


def names(tree: Any) -> Iterator[str]:
    """Every key of nested objects."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from names(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from names(value)


def test_the_page_of_the_run_folder_knows_every_file_and_field(run: tuple[Path, str]) -> None:
    explained = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", text("docs/run-folder.md")))))
    explained |= {part for name in explained for part in name.split(".")}
    folder = run[0]
    files = {path.name for path in folder.rglob("*") if not path.name.isdecimal()}
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    fields = {*names(metrics), *names(json.loads((folder / "results.json").read_text(encoding="utf-8")))}
    assert files - explained == set()
    assert fields - explained == set()
    assert {line["phase"] for line in metrics} <= explained


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    packages = {re.split(r"[<>=\[]", name)[0] for name in wanted} - {"mgan"}
    explained = re.findall(r"^\| (?:`\w*` \| )?`([\w-]+)` \| \w", text("docs/dependencies.md"), re.MULTILINE)
    assert packages == set(explained)


def test_every_recipe_has_its_column() -> None:
    assert all(f"`{name}`" in text("docs/recipes.md") for name in recipe_names())


def test_the_page_of_a_recipe_is_in_the_menu_and_names_its_paper() -> None:
    pages = sorted((DOCS / "recipes").glob("*.md"))
    assert {page.stem for page in pages} <= set(recipe_names())
    for page in pages:
        assert f"recipes/{page.name}" in text("mkdocs.yml")
        of_paper = r"https://(?:arxiv\.org/abs/[\d.]+\d|openreview\.net/forum\?id=\w+|doi\.org/10\.[\w./]+\w|proceedings\.mlr\.press/v\d+/\w+\.html)"
        (paper,) = set(re.findall(of_paper, page.read_text(encoding="utf-8")))
        assert paper in "\n".join(recipe_header(page.stem))


def test_the_page_of_the_configuration_has_every_field() -> None:
    assert all(f"`{name}`" in text("docs/configuration.md") for name in FIELDS)
    assert set(Config.model_fields) <= set(re.findall(r"[\w]+", text("docs/configuration.md")))
