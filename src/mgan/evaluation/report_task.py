"""The report's section on the task of a run: its measures of every system, and what each wrote to the first prompts."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from mgan.data.escapes import visible
from mgan.evaluation import tasks

DECODINGS: Mapping[tasks.Decoding, str] = {
    "sample": "at its temperature for samples",
    "greedy": "the likeliest token each time",
    "beam": "what a beam search finds",
}
LEFT_OUT = "Left out: {} prompts whose real text does not fit the generator's context with them."


def section(
    results: Mapping[str, Any], names: Mapping[str, str], confidence: float, figure: Callable[[Any], str]
) -> str:
    """HTML; "" for a run without a task. names: of systems. figure: an estimate as the report's tables have it."""
    found = results.get("task")
    if not found:
        return ""
    systems = found["measures"]
    decoding = DECODINGS[found["decoding"]]
    left_out = f" {LEFT_OUT.format(found['left_out'])}" if found["left_out"] else ""
    head = "".join(f'<th scope="col">{_text(names.get(name, name))}</th>' for name in systems)
    shown = [key for key in tasks.named(found["name"]).TITLES if any(key in measures for measures in systems.values())]
    body = "".join(_row(key, found, figure) for key in shown)
    examples = "".join(_example(i, one, names) for i, one in enumerate(found["examples"], 1))
    return f"""<h2>The task: {_text(found["name"])}</h2>
<p class="quiet">What each system writes to {found["prompts"]} held-out prompts, once each, {decoding}.{left_out} In
brackets: {confidence:.0%} intervals by bootstrap over prompts, each on its own; they have no say in the verdict.</p>
<table class="measures" style="--n:{len(systems)}"><thead><tr><th></th>{head}</tr></thead><tbody>
{body}</tbody></table>
<details><summary>The first {len(found["examples"])} prompts</summary>
{examples}</details>"""


def _row(key: str, found: Mapping[str, Any], figure: Callable[[Any], str]) -> str:
    title, meaning = tasks.named(found["name"]).TITLES[key]
    cells = "".join(f"<td>{figure(measures.get(key))}</td>" for measures in found["measures"].values())
    return f'<tr><th scope="row">{_text(title)}<small>{_text(meaning)}</small></th>{cells}</tr>\n'


def _example(number: int, one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    asked = [("Label", one["label"])] if one["label"] is not None else [("Prompt", one["prompt"])] * bool(one["prompt"])
    written = [(names.get(name, name), text) for name, text in one["outputs"].items()]
    texts = "".join(
        f'<div><dt>{_text(name)}</dt><dd dir="auto">{_text(visible(text)) or "–"}</dd></div>'
        for name, text in (*asked, *(("Real", text) for text in one["references"][:1]), *written)
    )
    return f'<div class="sample"><h3>{number}</h3><dl>{texts}</dl></div>'


def _text(text: str) -> str:
    return html.escape(text, quote=False).encode("utf-8", "replace").decode()
