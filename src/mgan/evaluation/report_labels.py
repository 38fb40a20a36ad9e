"""The report's section on labels: whether the samples of each system are of the label that they were asked for."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from mgan.data.escapes import visible


def section(results: Mapping[str, Any], names: Mapping[str, str], number: Callable[[Any], str]) -> str:
    """HTML; "" for a run whose texts have no labels. names: of systems. number: as the report's tables have it."""
    found = results.get("labels")
    if not found:
        return ""
    columns = {"real": found["classifier_accuracy"]} | found["consistency"]
    head = "".join(f'<th scope="col">{_text(names.get(name, name))}</th>' for name in columns)
    rows = [("All labels", [number(share) for share in columns.values()])]
    for i, label in enumerate(found["names"] if "by_label" in found else ()):
        cells = [found["by_label"][name][i] for name in columns]
        rows.append((label, [f"{number(cell['share'])}<small>{cell['texts']} texts</small>" for cell in cells]))
    body = "".join(
        f'<tr><th scope="row">{_text(visible(title))}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
        for title, cells in rows
    )
    caution = found.get("caution")
    warned = f"<p><b>{_text(caution[0].upper() + caution[1:])}.</b></p>\n" if caution else ""
    return f"""<h2>Label consistency</h2>
<p class="quiet">The share of texts that a classifier, fitted to real training texts, assigns to the label they were
asked for, 0 to 1: real text's share, the classifier's own accuracy on held-out texts, is what to aim at. A system that
writes one typical text of each label gets 1.</p>
{warned}<table class="measures" style="--n:{len(columns)}"><thead><tr><th></th>{head}</tr></thead><tbody>
{body}</tbody></table>"""


def _text(text: str) -> str:
    return html.escape(text, quote=False).encode("utf-8", "replace").decode()
