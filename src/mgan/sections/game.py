"""Fitting the players apart, and the game between them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mgan.sections.base import Coefficient, Count, Fraction, OneOf, Positive, Rate, Section

Control = Literal["constant", "random", "frozen"]


class Pretrain(Section):
    """Maximum likelihood, learning rate decayed to zero, the best weights kept by validation."""

    epochs: Rate = Field(15, description="passes over the training texts")
    max_steps: Count | None = Field(None, description="at most so many updates; null: as epochs say")
    batch_size: Positive = Field(32, description="texts per update")
    learning_rate: Rate = Field(1e-2, description="AdamW, first value of a cosine to zero")
    weight_decay: Coefficient = Field(0.01, description="AdamW")
    clip: Rate = Field(1.0, description="largest gradient norm")
    evaluate_every: Positive = Field(100, description="updates between validation losses")
    patience: Positive = Field(6, description="validation losses in a row without a new best before pre-training stops")


class Warmup(Section):
    """The discriminator alone, on real text and the pre-trained generator's."""

    steps: Count = Field(
        60,
        description="discriminator updates before the game; with adversarial.steps=0 the whole of its training, for "
        "the pair with a generator that stands still",
    )


VALUES = [
    "minimax", "nonsaturating", "reverse_kl", "kl", "js", "probability", "signed_probability", "penalty", "critic",
    "least_squares", "relativistic_average", "feature_matching",
]  # fmt: skip
"""What game.value may name; ``mgan.value_function`` adds to it."""


class Game(Section):
    """The first two choices: what D maximises and G is paid, and how the verdict becomes a gradient."""

    value: Annotated[str, OneOf(VALUES)] = Field(
        "reverse_kl",
        description="payoff: -log(1-D), log D, the logit d itself, D/(1-D), half of minimax, D, 2D-1, D-1; for "
        "losses other than binary d itself (critic), -(d-1)^2/2, or how far the text is above real ones; "
        "feature_matching: G brings D's features of its texts near those of real ones (signal=gumbel)",
    )
    signal: Literal["dense", "prefix", "sequence", "rollout", "gumbel", "near_data", "taylor"] = Field(
        "dense",
        description="pay every token what it added to the verdict, every prefix its verdict, the whole text, or every "
        "prefix what its completions earn; gumbel: D reads relaxed texts, and its gradient flows into G; near_data: G "
        "follows the likelihood of altered real texts, weighed by D; taylor: every token is paid what D's gradient "
        "says a text would have earned with it in that place",
    )
    tau: Rate = Field(
        0.01,
        description="temperature of relaxed texts at the end (signal=gumbel), near 0 they are hard; or of the edits of "
        "real ones (signal=near_data), of which there are none near 0",
    )
    alpha: Rate = Field(0.2, description="altered texts weigh exp(payoff / alpha) over its sum (signal=near_data)")
    tau_first: Rate = Field(1.0, description="the same in the first round, unless the schedule is constant")
    tau_schedule: Literal["constant", "linear", "exponential", "logarithmic", "sigmoid", "quadratic", "square_root"] = (
        Field("exponential", description="how 1/tau goes from first to last over adversarial.steps (signal=gumbel)")
    )
    straight_through: bool = Field(
        False, description="G's texts are hard for D, and only their gradient is the relaxed ones' (signal=gumbel)"
    )
    rollouts: Positive = Field(16, description="completions drawn for each prefix (signal=rollout)")
    bandwidth: Rate = Field(
        0.35,
        description="distance at which D's embeddings of tokens count as near, as a share of the mean one "
        "(signal=taylor); near 0 only the token that was written learns from a text, as in REINFORCE",
    )
    loss: Literal[
        "binary",
        "least_squares",
        "hinge",
        "wasserstein",
        "relativistic_average",
        "bradley_terry",
        "contrastive",
        "classes",
        "rank",
    ] = Field(
        "binary",
        description="what D learns: real or not, by cross-entropy, squares, a hinge, the difference of means, or each "
        "against the mean of the others; which of two texts of a prompt is real; which of a prompt's group is; "
        "classes: real and of which label, or generated (prompt.source=label); rank: to rank real texts above "
        "generated ones by their likeness to real references",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="share of doubt about real texts that D is taught (loss=binary)"
    )
    penalty: Literal["none", "gradient", "r1"] = Field(
        "none",
        description="on the slope of D's verdict over one-hot texts: (slope - 1)^2 between real and generated ones "
        "(WGAN-GP), or slope^2/2 at real ones",
    )
    penalty_weight: Rate = Field(10.0, description="weight of the penalty in D's loss")
    baseline: Literal["leave_one_out", "per_position", "grpo", "reinforce++", "maligan", "critic", "rank", "none"] = (
        Field(
            "per_position",
            description="mean return of the prompt's other samples (RLOO), or of all other rows; mean and deviation of "
            "the prompt's samples, or of all tokens; e^d over its sum; a value head; rank: the order of all rows at "
            "that position alone; or nothing",
        )
    )
    gae_lambda: Fraction = Field(
        1.0, description="lambda of generalised advantages (baseline=critic); 1: the return minus the value"
    )
    discount: Fraction = Field(1.0, description="gamma on later rewards")
    reward_scale: Literal["none", "batch"] = Field(
        "none", description="batch: texts' rewards are divided by their standard deviation"
    )
    length_penalty: Coefficient = Field(0.0, description="nats that each completion token after length_free costs")
    bleu: Coefficient = Field(
        0.0,
        description="weight of the sentence BLEU-4 with the real text of the same prompt, 0 to 1, paid for the last "
        "token beside the verdict, in nats, and in controls, which lack the verdict alone; 0: none",
    )
    length_free: Count = Field(0, description="completion tokens that cost nothing (length_penalty above 0)")
    policy: Literal["gradient", "ppo", "importance", "probability"] = Field(
        "gradient",
        description="plain policy gradient; PPO's clipped ratio; the gradient of P_G at temperature 1 by importance "
        "weights, from samples at adversarial.temperature; these two allow adversarial.epochs. probability: that of "
        "P_G in place of log P_G",
    )
    clip_range: Rate = Field(
        0.2,
        lt=1,
        description="largest change of a token's probability paid for (policy=ppo); an importance weight is 1 more "
        "than this at most (policy=importance)",
    )
    kl: Coefficient = Field(0.05, description="weight of KL(G || pre-trained G), nats per text")
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        "k1", description="k1: paid as a reward; k2, k3: a term of the loss"
    )
    mle: Coefficient = Field(1.0, description="weight of the likelihood of real text, nats per text")


class Adversarial(Section):
    """The loop: who moves when, with how much text, for how long."""

    steps: Count = Field(30, description="budget in rounds")
    max_tokens: Positive | None = Field(None, description="budget in sampled tokens, prompts included; null: none")
    max_flops: Rate | None = Field(None, description="budget in floating-point operations; null: none")
    prompts_per_step: Positive = Field(128, description="initial texts drawn for one update")
    samples_per_prompt: Positive = Field(1, description="completions drawn for each initial text")
    generator_steps: Positive = Field(1, description="generator updates a round")
    discriminator_steps: Count = Field(
        2, description="discriminator updates a round; 0: frozen after its warm-up (a control)"
    )
    epochs: Positive = Field(1, description="updates on one batch of samples (game.policy=ppo or importance)")
    offspring: int = Field(
        0,
        ge=0,
        le=6,
        description="copies of the generator that each make an update of their own, by other losses and at "
        "other temperatures, and of which the fittest goes on; 0: it makes the update itself (game.signal=gumbel)",
    )
    diversity: Coefficient = Field(
        0.1, description="weight of the NLL of its own texts, nats a token, in the fitness of one of the offspring"
    )
    replay: Count = Field(
        0, description="batches of past samples kept, of which half of what the discriminator learns is; 0: none"
    )
    order: Literal["discriminator_first", "generator_first", "interleaved"] = Field(
        "discriminator_first",
        description="who moves first in a round; interleaved: one set of samples is judged, then both learn from it",
    )
    generator_rate: Rate = Field(1e-3, description="generator's learning rate, Adam")
    discriminator_rate: Rate = Field(3e-3, description="discriminator's learning rate, AdamW")
    clip: Rate = Field(1.0, description="largest gradient norm of either player")
    temperature: Rate = Field(1.0, description="sampling temperature of the game; P_G means the tempered one")
    micro_batches: Positive = Field(1, description="pieces an update's batch is cut into to save memory")
    average: float = Field(0.95, ge=0, lt=1, description="decay of the generator's moving average, which is kept")
    reward: Literal["discriminator", "constant", "random", "bleu", "closed_form"] = Field(
        "discriminator",
        description="controls pay a constant or noise, not the verdict; without a network as discriminator: bleu, "
        "sentence BLEU-3 against training texts, or closed_form, the best D between these and G",
    )
    evaluate_every: Positive = Field(5, description="rounds between held-out measures of the generator")

    @property
    def control(self) -> Control | None:
        """The control this game is; None: a discriminator that learns pays the generator, or something not learned."""
        if self.reward == "constant" or self.reward == "random":
            return self.reward
        return None if self.discriminator_steps or self.reward != "discriminator" else "frozen"


class SelfPlay(Section):
    """The generator's own former self in the discriminator's place."""

    iterations: Count = Field(
        0,
        description="opponents in a row, adversarial.steps updates in all: each is the generator as it was when its "
        "turn came; 0: the opponent is a discriminator",
    )
    beta: Rate = Field(0.1, description="what a log-ratio of generator and opponent counts as a logit")
    loss: Literal["bradley_terry", "binary"] = Field(
        "bradley_terry",
        description="which of two texts of a prompt is real, so that a logit's level does not count; or real or not",
    )


class Mediator(Section):
    """A language model of the mixture of real and generated text, in the discriminator's place."""

    steps: Count = Field(
        0,
        description="updates of the mediator a round, at adversarial.discriminator_rate; 0: there is none, and the "
        "opponent is a discriminator",
    )


class Equilibrium(Section):
    """When the game is over."""

    band: float = Field(0.03, gt=0, lt=0.5, description="|balanced accuracy - 0.5| that counts as undecided")
    window: Positive = Field(20, description="rounds over which the accuracy is averaged")
    evaluations: int = Field(5, ge=4, description="held-out measures over which the slope is fitted")


class Collapse(Section):
    """Floors relative to the pre-trained generator's own samples."""

    entropy: Fraction = Field(0.3, description="share of the initial entropy (nats a token) below which it stops")
    distinct: Fraction = Field(0.3, description="share of the initial distinct-2 below which it stops")
