"""The model card of each player of a finished run: what it is, what it was made from, what was measured, how to use it.

Written from config.yaml and results.json alone, so that it says what they say, a negative verdict too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mgan.config import OWN, PRETRAINED_JUDGES, Config
from mgan.evaluation import tasks
from mgan.evaluation.reproduce import command, overrides, public

LANGUAGES = {"tang": "zh", "tang7": "zh", "shakespeare": "en"}
SYSTEMS = {"adversarial": "Adversarial (this one)", "mle": "MLE, equal compute", "pretrained": "MLE alone"}
MEASURES = {
    "nll_per_token": "held-out NLL, nats a token",
    "fresh_discriminator_accuracy": "fresh discriminator's balanced accuracy",
    "ngram_gap": "n-gram gap, nats a token",
}
CALLS = {
    "translation": 'pair.translate(["A source."])',
    "answering": 'pair.generate(pair.question("A question?"), n=1, top_k=1)',
    "dialogue": 'pair.generate(pair.question("What a user says."), n=3)',
}
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def generator_card(name: str, config: Config, results: Mapping[str, Any], task: str | None) -> str:
    """README.md of ``generator/``. name: the run's. task: what transformers opens it for; None: mgan alone opens it."""
    about = f"A language model that mgan trained with the recipe `{config.recipe}`."
    return _card(name, config, results, config.generator.pretrained, task, about, _generator_use(name, config, task))


def discriminator_card(name: str, config: Config, results: Mapping[str, Any]) -> str:
    """README.md of ``discriminator/``."""
    judge = config.discriminator
    base = config.generator.pretrained if judge.pretrained == OWN else judge.pretrained
    opened = judge.architecture in ("classifier", "causal") and judge.ensemble == 1
    about = (
        f"A classifier of text: real, or written by the generator of the same run. It {_taught(config)} against that "
        "generator alone, and knows no other model's text."
    )
    return _card(
        name, config, results, base, "text-classification" if opened else None, about,
        _discriminator_use(name, opened),
    )  # fmt: skip


def _taught(config: Config) -> str:
    if config.contest == "residual":
        return "is the run's result: trained on a generator that stood still,"
    return "was trained after the game,"


def _card(
    name: str, config: Config, results: Mapping[str, Any], base: str | None, task: str | None, about: str, use: str
) -> str:
    sections = (
        _header(config, base, task),
        f"# {name}\n\n{about}",
        f"**{results['verdict']['sentence'].strip()}**",
        f"## Data\n\n{_description(config, results)}\nFingerprint: `{results['data']['fingerprint']}`.",
        f"## Training\n\n{_training(config)}",
        f"## Measures\n\n{_measures(config, results)}",
        f"## Use\n\n{use}",
        f"## Limits\n\n{_limits(config, results)}",
    )
    return "\n\n".join(sections) + "\n"


def _header(config: Config, base: str | None, task: str | None) -> str:
    """The YAML that the hub reads. No licence is claimed: it depends on the text and on the base model."""
    lines = [f"library_name: {'transformers' if task else 'mgan'}"]
    if task:
        lines.append(f"pipeline_tag: {task}")
    if language := LANGUAGES.get(config.data.path):
        lines.append(f"language: {language}")
    if base and HUB_NAME.fullmatch(base):
        lines.append(f"base_model: {base}")
    lines += ["tags:", "- mgan", "- adversarial-training", f"- {json.dumps(f'recipe:{config.recipe}')}"]
    return "\n".join(["---", *lines, "---"])


def _description(config: Config, results: Mapping[str, Any]) -> str:
    """As results.json has it, but for where the text lies."""
    text: str = results["data"]["description"]
    for path in filter(None, (config.data.path, config.data.test_path)):
        text = text.replace(path, public(path))
    return text


def _training(config: Config) -> str:
    listed = "\n".join(f"- `{override}`" for override in overrides(config)) or "Nothing."
    return (
        f"Recipe `{config.recipe}`, seed {config.seed}. What differs from the recipe:\n\n{listed}\n\n"
        f"To do it again:\n\n    {command(config)}"
    )


def _measures(config: Config, results: Mapping[str, Any]) -> str:
    systems = results["systems"]
    known = _names(results)
    head = ["| | " + " | ".join(known.get(system, f"control: {system}") for system in systems) + " |"]
    head.append("|---|" + "---|" * len(systems))
    rows = [
        f"| {words} | " + " | ".join(_figure(system[measure]) for system in systems.values()) + " |"
        for measure, words in MEASURES.items()
    ]
    pairs = {name: system["pair"] for name, system in systems.items()}
    most = {pair["candidates"] for pair in pairs.values()}
    rows.append(
        f"| the same of the pair, at most ({max(most)} candidates a text) | "
        + " | ".join(_figure(pair["nll_per_token"]) for pair in pairs.values())
        + " |"
    )
    texts, confidence = results["real"]["texts"], config.evaluation.confidence
    explained = (
        f"On {texts} test texts, with {confidence:.0%} intervals over texts; lower is better, and of the accuracy 0.5 "
        "is cannot tell. One seed: what another would give is not in the intervals."
    )
    return "\n".join([*head, *rows]) + f"\n\n{explained}{_task(results)}"


def _names(results: Mapping[str, Any]) -> dict[str, str]:
    return SYSTEMS | ({"mle": "MLE, cut short"} if results["verdict"].get("unequal") else {})


def _task(results: Mapping[str, Any]) -> str:
    """The run's own task, as a list of measures."""
    if not (found := results.get("task")):
        return ""
    titles = tasks.named(found["name"]).TITLES
    lines = (
        f"- {_names(results).get(system, f'control: {system}' if system != 'real' else 'real text')}: "
        + "; ".join(f"{title} {_figure(measures[key])}" for key, (title, _) in titles.items() if key in measures)
        for system, measures in found["measures"].items()
    )
    return f"\n\nThe task, {found['name']}, on {found['prompts']} held-out prompts:\n\n" + "\n".join(lines)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        low, high = (_figure(value[end]) for end in ("low", "high"))
        return f"{_figure(value['value'])} [{low}, {high}]"
    return "–" if value is None else f"{value:.3f}"


def _generator_use(name: str, config: Config, task: str | None) -> str:
    call = CALLS.get(config.evaluation.task, "pair.generate(n=3)")
    ours = f'```python\nimport mgan\n\npair = mgan.load("runs/{name}")\nprint({call})\n```'
    if task is None:
        return f"With the whole run's folder:\n\n{ours}"
    family = "AutoModelForSeq2SeqLM" if task == "text2text-generation" else "AutoModelForCausalLM"
    return (
        f"```python\nfrom transformers import {family}, AutoTokenizer\n\n"
        'place = "."  # this folder, or its name on the hub\n'
        f"tokenizer = AutoTokenizer.from_pretrained(place)\nmodel = {family}.from_pretrained(place)\n"
        'inputs = tokenizer("A text begins", return_tensors="pt")  # a chat model: through apply_chat_template\n'
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=50)[0], skip_special_tokens=True))\n```\n\n"
        "`generation_config.json` samples as the text was judged: from the whole distribution, at the temperature "
        f"chosen on validation text. With mgan and the whole run's folder:\n\n{ours}"
    )


def _discriminator_use(name: str, opened: bool) -> str:
    ours = (
        f'```python\nimport mgan\nfrom mgan.integrations.trl import reward\n\nprint(mgan.load("runs/{name}").score'
        '(["a text"]))  # P(real)\npay = reward("runs/' + name + '")  # the logit, as a reward_funcs of TRL\n```'
    )
    if not opened:
        return ours
    return (
        "```python\nfrom transformers import pipeline\n\n"
        'print(pipeline("text-classification", ".")("a text"))  # score: P(real)\n```\n\n'
        f"It reads prompt and completion as mgan puts them together:\n\n{ours}"
    )


def _limits(config: Config, results: Mapping[str, Any]) -> str:
    lines = [
        "- It repeats what its text holds, errors and prejudice included; nothing was filtered, and no test looked for "
        "memorised training text.",
        f"- Texts are at most {config.generator.context} tokens long.",
        "- The verdict is about this text, this size and this seed.",
    ]
    if "mle" in results["systems"] and results["verdict"]["outcome"] != "better":
        equal = "" if results["verdict"].get("unequal") else " at equal compute"
        lines.append(f"- It was not found to be better than plain maximum likelihood{equal}.")
    if config.generator.pretrained is not None:
        lines.append("- The generator began as another model, whose licence and limits apply.")
    if config.generator.lora.rank:
        lines.append("- The weights are merged; `adapter/` holds what was trained, as peft opens it.")
    if config.discriminator.architecture in PRETRAINED_JUDGES:
        lines.append("- The discriminator began as another model, whose licence and limits apply.")
    return "\n".join(lines)
