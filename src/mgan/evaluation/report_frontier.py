"""The report's part about the frontier: what ``mgan evaluate`` measured, as pictures, sentences and tables."""

from __future__ import annotations

import html
from typing import Any

from mgan.evaluation import overlay, plots
from mgan.evaluation.scorecard import METRICS
from mgan.evaluation.tables import figure
from mgan.evaluation.tradeoff import NAMES, Tree


def section(seed: int, tree: Tree | None) -> str:
    """HTML; "" before the run was evaluated."""
    if tree is None:
        return ""
    field = overlay.entrants("", {seed: tree})
    drawn = "\n".join(
        f"<figure>{plots.svg(picture, f'frontier: {name}')}</figure>"
        for name, picture in overlay.figures(field).items()
    )
    said = "".join(f"<li>{html.escape(found['sentence'], quote=False)}</li>" for found in tree["comparisons"])
    tables = "\n".join(_table(tree, system) for system in tree["systems"])
    texts = tree["texts"]
    return f"""<h2>Quality against diversity</h2>
<p class="quiet">Each system along its decoding settings, {texts["real"]} texts a setting, measured against
{texts["reference"]} held-out texts. The column <em>real text</em> is what {texts["real"]} other real texts score in the
samples' place: that is the target, and passing it is not better. Errors are standard errors over texts.</p>
<ul>{said}</ul>
<div class="plots">{drawn}</div>
{tables}"""


def _table(tree: Tree, system: str) -> str:
    rows = []
    for kind in ("points", "trained"):
        points = tree["systems"][system][kind]
        if points:
            rows.append(_row("th", ["measure", "real text", *(point["label"] for point in points)]))
            rows += [_measure(tree, name, points) for name in points[0]["measures"]]
    title = html.escape(NAMES.get(system, system), quote=False)
    return f"""<details><summary>{title}: every measure</summary>
<div class="wide"><table><tbody>{"".join(rows)}</tbody></table></div></details>"""


def _measure(tree: Tree, name: str, points: list[dict[str, Any]]) -> str:
    measured = [point["measures"].get(name) for point in points]
    real = tree["real"].get(name) or next(({"value": m["real"]} for m in measured if m and "real" in m), None)
    return _row("td", [METRICS[name].title, figure([real]), *(figure([m]) for m in measured)])


def _row(cell: str, values: list[str]) -> str:
    head, *rest = (html.escape(value, quote=False) for value in values)
    return f'<tr><th scope="row">{head}</th>' + "".join(f"<{cell}>{value}</{cell}>" for value in rest) + "</tr>"
