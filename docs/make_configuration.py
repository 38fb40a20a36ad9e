"""Write docs/configuration.md from the configuration itself: python docs/make_configuration.py"""

from __future__ import annotations

from pathlib import Path

from mgan.config import Config
from mgan.plain_yaml import write_line
from mgan.settings import PRETRAINED_VALUES, SMOKE_LIMITS, SMOKE_VALUES, describe

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
<!-- Made by docs/make_configuration.py from mgan/config.py and mgan/sections: change those, not this. -->

# Configuration

A run's configuration is one tree of sections and fields. It is built in this order, later ones winning: the defaults
below, the [recipe](recipes.md), `--smoke`, overrides `section.field=value`, and the other options of the command line.
Everything is checked before any data is read; a wrong field, type or range is one sentence and exit code 2. The whole
tree is written to the run's `config.yaml`.

    mgan train --data poems.txt game.kl=0.1 adversarial.samples_per_prompt=4 seed=3

Values are YAML: `true`, `null`, `3e-4`, `[0.9, 1.0]`. From Python the same fields are keyword arguments:
`mgan.train("poems.txt", seed=3, game={"kl": 0.1})`, or `overrides=["game.kl=0.1"]`.

Beyond each field's own range, these must agree:

- `hidden` of a transformer, `relational` or `relgan` must be a multiple of its `heads`;
- `game.baseline=leave_one_out` and `grpo` need `adversarial.samples_per_prompt` of 2 or more;
- `game.baseline=grpo` and `maligan` need `game.signal=sequence` and `game.discount` of 1; `maligan` also
  `game.value=reverse_kl`, and no length penalty, scale or KL in the reward;
- `game.signal=rollout` needs `game.discount` of 1;
- `game.value` must be one that [goes with](value-functions.md#losses-and-payoffs) `game.loss`: `critic` for `hinge`,
  `wasserstein` and `least_squares`, its own name for `least_squares` and `relativistic_average`, `reverse_kl` for
  `bradley_terry` and `contrastive`;
- `game.loss=rank` needs a discriminator `cnn` or `seqgan`, `game.value=critic` or `kl`, `game.penalty=none` and
  `adversarial.micro_batches=1`;
- `game.signal=taylor` needs a generator `lstm`, `relational` or `transformer` from scratch, a discriminator `lstm`,
  `cnn`, `seqgan` or `relgan`, `game.baseline=per_position`, `leave_one_out` or `none`, `game.policy=gradient`,
  `game.discount` of 1, no length penalty or scale, and `adversarial.temperature=1`;
- `game.loss=bradley_terry`, `contrastive`, `rank`, `wasserstein` and `relativistic_average` need `game.signal` other
  than `dense` and `prefix`; `wasserstein` also `game.penalty=gradient` or `discriminator.spectral_norm`;
- `game.signal=gumbel` needs a generator `lstm` or `relational` from scratch, a discriminator `lstm`, `cnn` or `relgan`,
  `game.loss=binary`, `least_squares`, `hinge` or `bradley_terry`, no rewards (`game.baseline=none`, `game.kl=0`,
  `game.policy=gradient`, `adversarial.temperature=1`), no `adversarial.replay` or `micro_batches`, and as a control
  `frozen` only; `game.value=feature_matching` needs it, and a discriminator `lstm` or `cnn`;
- `generator.architecture=leakgan` needs `discriminator.architecture=seqgan` of the same `hidden`, no tied embeddings,
  a game by policy gradient, and no KL in the reward (`game.kl_estimator=k2` or `k3`);
- `adversarial.epochs` above 1 needs `game.policy=ppo`;
- `adversarial.order=interleaved` needs one update of each player a round (or none of D);
- `data.validation` and `data.test` together must be below 0.9;
- `warmup.steps` must be 1 or more where `adversarial.steps` is;
- with `data.path=oracle`, `generator.context` must be `data.oracle.length` + 1, `tokenizer.kind` must be `ids` (which
  `auto` then is) and `data.test_path` null; without, `tokenizer.kind` cannot be `ids`;
- `generator.pretrained` needs `tokenizer.kind=pretrained` (which `auto` then is) and text, so no `data.path=oracle`;
  without it, neither `tokenizer.kind=pretrained` nor `prompt.template=chat`;
- `generator.lora.rank` and `discriminator.lora.rank` above 0 need that player's `pretrained`, and there is no LoRA with
  `discriminator.architecture=features`;
- `data.oracle.weights` needs `data.oracle.architecture=lstm` and one layer;
- `evaluation.task` needs text, so no `data.path=oracle`, and but for `verse` `prompt.source=data` with prompts.

One update of either player takes `adversarial.prompts_per_step` × `adversarial.samples_per_prompt` texts.
"""

PRETRAINED = """
## What generator.pretrained changes

The first defaults are for a small network from scratch. With [`generator.pretrained`](pretrained.md) these take their
place wherever neither the recipe nor an override says otherwise:
"""

SMOKE = """
## What --smoke changes

So that a whole run takes seconds, `--smoke` sets the fields of the first table and lowers those of the second to at
most the value given. It never raises one. Overrides still win. Where `evaluation.task` is translation, answering or
dialogue, `generator.context` stays as the recipe has it: a prompt and what answers it need the room.
"""


def page() -> str:
    top, *sections = describe(Config()).rstrip("\n").split("\n\n")
    parts = [INTRODUCTION, "\n## Top level\n", *_table(top.splitlines())]
    for section in sections:
        heading, *lines = section.splitlines()
        name, _, meaning = heading.partition(":  # ")
        parts += [f"\n## {name}\n", f"{meaning}\n", *_table([line.strip() for line in lines], f"{name}.")]
    parts += [PRETRAINED, *_values(PRETRAINED_VALUES, "default")]
    parts += [SMOKE, *_values(SMOKE_VALUES, "set to"), "", *_values(SMOKE_LIMITS, "at most")]
    return "\n".join(parts) + "\n"


def _table(lines: list[str], prefix: str = "") -> list[str]:
    rows = ["| field | default | meaning; range |", "|---|---|---|"]
    for line in lines:
        setting, _, meaning = line.partition(" # ")
        name, _, default = setting.strip().partition(": ")
        rows.append(f"| `{prefix}{name}` | `{default}` | {_cell(meaning)} |")
    return rows


def _values(values: dict[str, object], heading: str) -> list[str]:
    rows = [f"| field | {heading} |", "|---|---|"]
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        rows.append(f"| `{name}` | `{write_line(name, plain).partition(': ')[2]}` |")
    return rows


def _cell(text: str) -> str:
    """A bar would end the cell, an angle bracket begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
