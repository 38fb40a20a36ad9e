"""``report.html``: one self-contained page of what a run found, the verdict in its first line.

Figures that were not measured, or are not numbers, are shown as a dash.
"""

from __future__ import annotations

import html
import math
from importlib.resources import files
from string import Template
from typing import Any

from mgan.config import Config
from mgan.data.escapes import visible
from mgan.evaluation import curves, plots, report_frontier, report_labels, report_task
from mgan.evaluation.curves import CAPTIONS, Metrics, Panel
from mgan.settings import dump

TONES = {"better": "better", "worse": "worse", "not distinguishable": "undecided"}
DASH = "–"
COMMANDS = {
    "dialogue": ("mgan chat RUN", "talk with it"),
    "translation": ("mgan translate RUN FILE", "translate a file, a sentence a line"),
    "answering": ('mgan ask RUN "Who?"', "ask a question, with --context about a passage"),
}
CONTROLS = {"constant": "constant reward", "random": "random reward", "frozen": "frozen discriminator"}
NAMES = {
    "adversarial": "Adversarial (ours)",
    "mle": "MLE, equal compute",
    "pretrained": "MLE alone",
    "real": "Real, held out",
    **{name: f"Control: {played}" for name, played in CONTROLS.items()},
}


def names(results: dict[str, Any]) -> dict[str, str]:
    """What the systems of a run are called."""
    return NAMES | ({"mle": "MLE, cut short"} if results["verdict"].get("unequal") else {})


def render(config: Config, results: dict[str, Any], metrics: Metrics, evaluation: dict[str, Any] | None = None) -> str:
    """The page, as HTML. results, metrics, evaluation: what the run's files hold, null where there is no number."""
    verdict = results["verdict"]
    sections = (
        _ending(config, results, metrics),
        _systems(config, results),
        _differences(config, results),
        report_task.section(results, names(results), config.evaluation.confidence, _figure),
        report_labels.section(results, names(results), _number),
        report_frontier.section(config.seed, evaluation),
        _curves(config, metrics),
        _samples(results),
        _cost(results, metrics),
        _origin(config, results),
    )
    template = Template(files("mgan.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        tone=TONES.get(verdict["outcome"], "none"),
        verdict=_text(verdict["sentence"]),
        body="\n".join(filter(None, sections)),
    )


def _ending(config: Config, results: dict[str, Any], metrics: Metrics) -> str:
    parts = ["<h2>How it ended</h2>"]
    for name, outcome in results["outcomes"].items():
        title = f"{NAMES.get(name, name)}, {outcome['rounds']} rounds"
        parts.append(f"<p><b>{_text(title)}:</b> {_text(outcome['sentence'])}.</p>")
        kept = curves.kept_round(metrics, name)
        if kept == 0:
            parts.append(
                "<p>No round improved the validation score: the weights tried below are the pre-trained ones.</p>"
            )
        elif kept is not None:
            parts.append(
                f"<p>The weights tried below are those after round {kept}, the best by the validation score.</p>"
            )
    if not results["outcomes"]:
        parts.append("<p>This recipe plays no game: the generator was fitted by maximum likelihood alone.</p>")
    elif control := config.adversarial.control:
        parts.append(f"<p>Ours is itself a control's game here: {CONTROLS[control]}.</p>")
    return "\n".join(parts)


def _systems(config: Config, results: dict[str, Any]) -> str:
    real, k = results.get("real", {}), config.evaluation.candidates
    plain = [
        ("temperatures.likelihood", "Temperature for likelihood",
         "Of the tempered system, the one that validation text finds likeliest; NLL and the pair are judged at it."),
        ("temperatures.sampling", "Temperature for samples",
         "The one with the lowest sum of NLL and n-gram gap on validation text; samples are drawn and judged at it."),
        ("nll_per_token", "Held-out NLL",
         "Negative log-likelihood of test text, nats a token, lower is better: how well the system expects text it has "
         "not seen."),
        ("fresh_discriminator_accuracy", "Fresh discriminator's balanced accuracy",
         "How well a new discriminator, trained against this system alone, tells its samples from test text: 0.5 is "
         "cannot tell, 1 is always; lower is better, but below 0.5 is chance and no better."),
        ("ngram_gap", "n-gram gap",
         "Distance between an n-gram model's NLL of the samples and of real test text "
         f"({_number(real.get('ngram_score'))}), nats a token, lower is better: passing real text's own value is not "
         "better."),
        ("entropy", "Entropy",
         "How undecided the system is at each token it writes, nats a token: no direction is better."),
        ("distinct_2", "Distinct-2",
         "Share of different token pairs in the samples: no direction is better; a low share is repetition."),
    ]  # fmt: skip
    pair = [
        ("pair.nll_per_token", "NLL of the pair, at most",
         "An upper bound on the pair's negative log-likelihood of test text, nats a token, lower is better."),
        ("pair.gain_per_text", "Gain by resampling",
         "What resampling adds to a test text's log-likelihood, at least, nats a text, higher is better; log "
         f"{k} = {math.log(k):.3f} is the most it can be (for each window of a text longer than the context)."),
        ("pair.energy.gain", "Energy gain",
         "What weighting by exp(d) without a limit on candidates would gain, nats a text, higher is better: an "
         "estimate, to be trusted only where the effective share below is not small."),
        ("pair.energy.effective_share", "Effective sample share",
         "Effective sample size of the weights exp(d) over their number, 0 to 1, higher is more reliable."),
    ]  # fmt: skip
    per_prompt = any(_at(system, "pair.energy.per_prompt") for system in results["systems"].values())
    caveat = (
        "<p class=quiet>The energy gain was estimated prompt by prompt from few candidates, which makes it look "
        "larger than it is.</p>"
    )
    return f"""<h2>What each system reaches on test text</h2>
<p class="quiet">{real.get("texts", DASH)} test texts that no choice was made on. In brackets:
{config.evaluation.confidence:.0%} intervals by bootstrap over texts, each on its own. Figures by token compare only
runs with the same tokenizer.</p>
{_measures(results, plain)}
<h2>The pair: a generator resampled by its discriminator</h2>
<p class="quiet">Of {k} candidates one is kept, with probability in proportion to exp(d), where d is the logit of
the system's fresh discriminator.</p>
{_measures(results, pair)}{caveat if per_prompt else ""}"""


def _measures(results: dict[str, Any], rows: list[tuple[str, str, str]]) -> str:
    systems, known = results["systems"], names(results)
    head = "".join(f'<th scope="col">{_text(known.get(name, name))}</th>' for name in systems)
    body = "".join(
        f'<tr><th scope="row">{_text(title)}<small>{_text(meaning)}</small></th>'
        + "".join(f"<td>{_figure(_at(system, key))}</td>" for system in systems.values())
        + "</tr>\n"
        for key, title, meaning in rows
    )
    table = f'<table class="measures" style="--n:{len(systems)}">'
    return f"{table}<thead><tr><th></th>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _differences(config: Config, results: dict[str, Any]) -> str:
    effects = curves.effects(results)
    if not effects:
        return ""
    confidence = f"{config.evaluation.confidence:.0%}"
    items = "".join(
        f'<li>{_text(e.label)} {e.figures} {_text(e.unit)} <b class="outcome {TONES[e.outcome]}">{e.outcome}</b></li>'
        for e in effects
    )
    against = "".join(
        f"<p>Against the control ({CONTROLS[name]}), ours is <b>{_text(found['outcome'])}</b>.</p>"
        for name, found in results["verdict"].get("controls", {}).items()
    )
    return f"""<h2>Ours minus MLE</h2>
<p class="quiet">Paired differences on the same test texts; left of zero, in the tinted half, ours is better. An
interval that crosses zero decides nothing. The verdict's two hold jointly at {confidence}, and so do each control's;
the pair's hold at {confidence} each. The pair stands on its own and has no say in the verdict.</p>
<figure class="verdict">{plots.svg(plots.figure_verdict(results), "Intervals of ours minus MLE")}</figure>
<ul>{items}</ul>
{against}"""


def _curves(config: Config, metrics: Metrics) -> str:
    game = _plots("The game, round by round", curves.game_panels(metrics, config), "game")
    fits = _plots("Before and beside the game", curves.fit_panels(metrics, config), "fit")
    controls = (_control_curves(config, metrics, name) for name in config.evaluation.controls)
    return "\n".join(filter(None, (game, fits, *controls)))


def _control_curves(config: Config, metrics: Metrics, name: str) -> str:
    plotted = _plots(f"{NAMES[name]}, round by round", curves.game_panels(metrics, config, name), name)
    return plotted and f"<details><summary>{NAMES[name]}</summary>{plotted}</details>"


def _plots(title: str, panels: list[Panel], name: str) -> str:
    if not panels:
        return ""
    figures = "\n".join(
        f"<figure><figcaption><h3>{_text(panel.title)}</h3><p>{_text(CAPTIONS[panel.title])}</p></figcaption>"
        f"{plots.svg(plots.figure_panel(panel), f'{name}: {panel.title}')}</figure>"
        for panel in panels
    )
    return f'<h2>{title}</h2>\n<div class="plots">\n{figures}\n</div>'


def _samples(results: dict[str, Any]) -> str:
    samples, labels = results.get("samples", {}), results.get("labels", {}).get("samples", [])
    cards, known = [], names(results)
    for i in range(max(map(len, samples.values()), default=0)):
        texts = "".join(
            f'<div><dt>{_text(known.get(name, name))}</dt><dd dir="auto">{_text(visible(column[i])) or DASH}</dd></div>'
            for name, column in samples.items()
            if i < len(column)
        )
        label = f" [{_text(visible(labels[i]))}]" if i < len(labels) else ""
        cards.append(f'<div class="sample"><h3>{i + 1}{label}</h3><dl>{texts}</dl></div>')
    return f"""<h2>Samples</h2>
<p class="quiet">The first {len(cards)} test texts and what each system wrote to the same prompts: chosen by their
index, not by taste.</p>
{"".join(cards)}"""


def _cost(results: dict[str, Any], metrics: Metrics) -> str:
    rows = []
    spent = results.get("compute", {})
    for phase in dict.fromkeys([*spent, *(record["phase"] for record in metrics)]):
        cost = spent.get(phase, {})
        tokens = f"{cost['generated_tokens']:,}" if "generated_tokens" in cost else DASH
        figures = (_operations(cost.get("flops")), tokens, _duration(_seconds(metrics, phase)))
        cells = "".join(f"<td>{figure}</td>" for figure in figures)
        rows.append(f'<tr><th scope="row">{_text(phase)}</th>{cells}</tr>')
    equal = ""
    if unequal := results["verdict"].get("unequal"):
        equal = f"{_text(unequal[0].upper() + unequal[1:])}. "
    elif "baseline" in spent:
        equal = (
            "The MLE baseline was given the operations of the discriminator's warm-up and the game together, in whole "
            "updates. "
        )
    return f"""<h2>What it cost</h2>
<p class="quiet">{equal}Floating-point operations of both players are counted from the networks' sizes, sampling and
the padding of updates included; a backward pass counts as two forward ones. The verdict's own are not counted.</p>
<div class="wide"><table>
<thead><tr><th>Phase</th><th>Operations</th><th>Generated tokens</th><th>Time</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>"""


def _origin(config: Config, results: dict[str, Any]) -> str:
    data = results.get("data", {})
    versions = ", ".join(f"{name} {version}" for name, version in results.get("versions", {}).items())
    commands = (
        *filter(None, [COMMANDS.get(config.evaluation.task)]),
        ("mgan generate RUN --n 10", "write with the saved generator"),
        (f"mgan generate RUN --rerank {config.evaluation.candidates}", "write with the pair"),
        ("mgan score RUN FILE", "judge texts, one a line"),
        ("mgan evaluate RUN", "the frontier: every measure along the decoding settings"),
        ("mgan resume RUN", "go on with a run that was interrupted"),
        ("mgan report RUN", "make this page again"),
    )
    lines = "\n".join(f"{command:<32}# {meaning}" for command, meaning in commands)
    return f"""<h2>Data, settings, versions</h2>
<p>{_text(data.get("description", DASH))}</p>
<p class="quiet">Fingerprint of the data {_text(data.get("fingerprint", DASH))}; {_text(versions)};
recipe {_text(config.recipe)}, seed {config.seed}. One seed: another may end otherwise.</p>
<details><summary>Configuration</summary><pre>{_text(dump(config))}</pre></details>
<p>With RUN the name of this run's folder under <code>runs</code>, or its path:</p>
<pre>{_text(lines)}</pre>"""


def _at(tree: Any, path: str) -> Any:
    """What stands at a dotted path; None where there is nothing."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _text(text: str) -> str:
    """``text`` as it stands, for a place between tags."""
    return html.escape(text, quote=False).encode("utf-8", "replace").decode()


def _number(value: Any) -> str:
    return f"{value:.3f}" if curves.finite(value) else DASH


def _figure(value: Any) -> str:
    """A number, or an estimate with its interval below it."""
    if not isinstance(value, dict):
        return _number(value)
    return f"{_number(value.get('value'))}<small>[{_number(value.get('low'))}, {_number(value.get('high'))}]</small>"


def _operations(flops: Any) -> str:
    if not curves.finite(flops):
        return DASH
    power = min(6, int(math.log10(max(flops, 1.0)) // 3))
    return f"{flops / 1000**power:.3g} {['', 'k', 'M', 'G', 'T', 'P', 'E'][power]}FLOP"


def _seconds(metrics: Metrics, phase: str) -> float:
    """Time spent in a phase; breaks between a kill and a resume do not count."""
    _, rates = curves.series(metrics, phase, "throughput")
    return sum(1 / rate for rate in rates if rate > 0)


def _duration(seconds: float) -> str:
    if not seconds:
        return DASH
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
