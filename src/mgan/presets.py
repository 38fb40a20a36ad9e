"""Values that go with a choice rather than with a recipe: a pretrained generator, a smoke test."""

from __future__ import annotations

from typing import Any

# Below the recipe: the first defaults are for a small network from scratch, which they teach from nothing.
PRETRAINED_VALUES: dict[str, Any] = {
    "generator.context": 256,
    "pretrain.epochs": 3,
    "pretrain.batch_size": 8,
    "pretrain.learning_rate": 5e-5,
    "adversarial.generator_rate": 1e-6,
}
# Set outright: heads must divide the width, and equal widths let D start from G's weights.
SMOKE_VALUES: dict[str, Any] = {
    "generator.hidden": 32,
    "generator.layers": 1,
    "generator.heads": 2,
    "discriminator.hidden": 32,
    "discriminator.layers": 1,
    "discriminator.heads": 2,
    "evaluation.temperatures": (0.9, 1.0),
}
# Never raised: a recipe without a game stays without one.
SMOKE_LIMITS = {
    "data.max_texts": 200,
    "data.oracle.texts": 200,
    "data.oracle.held_out": 50,
    "data.oracle.length": 31,
    "generator.context": 32,
    "pretrain.max_steps": 6,
    "pretrain.batch_size": 8,
    "pretrain.evaluate_every": 3,
    "warmup.steps": 2,
    "game.rollouts": 2,
    "adversarial.steps": 3,
    "adversarial.prompts_per_step": 4,
    "adversarial.samples_per_prompt": 2,
    "selfplay.iterations": 2,
    "adversarial.evaluate_every": 2,
    "equilibrium.window": 2,
    "evaluation.samples": 16,
    "evaluation.discriminator_steps": 5,
    "evaluation.baseline_updates": 60,
    "evaluation.candidates": 2,
    "evaluation.bootstrap": 200,
    "checkpoint.every": 2,
}
# Limits that a task (evaluation.task) does without: a prompt and what answers it need room for both.
SMOKE_KEPT = {("generator.context", task) for task in ("translation", "answering", "dialogue")}
