"""The configuration: one typed tree, every field with its unit and range, validated before anything is loaded.

A recipe (``mgan/recipes/*.yaml``) is a partial tree; ``section.field=value`` overrides come on top.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Coefficient = Annotated[float, Field(ge=0)]
Control = Literal["constant", "random", "frozen"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


ORACLE = "oracle"
"""The data.path that stands for no file but for ``data.oracle``."""
PRETRAINED_JUDGES = ("classifier", "features", "causal")
"""Discriminators that read text with a pretrained model's tokenizer."""


class Oracle(Section):
    """A known random network whose samples are the text (data.path=oracle; of the fields of data only path counts)."""

    architecture: Literal["lstm", "gru", "transformer"] = Field("lstm", description="network family")
    weights: str | None = Field(
        None, min_length=1, description="an .npz file with the weights of an LSTM of one layer; null: drawn by seed"
    )
    hidden: Positive = Field(32, description="width H of embeddings and hidden states")
    layers: Positive = Field(1, description="stacked layers")
    vocabulary: int = Field(5000, ge=2, description="tokens V; token 0 also starts every text")
    length: int = Field(20, ge=7, description="tokens of every text")
    seed: int = Field(0, ge=0, le=2**53, description="of the network and its texts, whatever the run's seed is")
    texts: Positive = Field(10_000, description="texts drawn to train on")
    held_out: Positive = Field(5000, description="texts drawn for validation, and again for test")


class Data(Section):
    """Where the text comes from and how it is cut and split."""

    path: str = Field("tang", min_length=1, description="file, folder, embedded corpus or Hugging Face dataset name")
    split: Literal["line", "paragraph"] = Field("line", description="what one text is in a .txt file")
    text_field: str = Field("text", description="field that holds the text in structured files")
    prompt_field: str = Field("prompt", description="field that holds the prompt in structured files")
    completion_field: str = Field("completion", description="field that holds the answer to the prompt")
    lowercase: bool = Field(False, description="lower-case every text before anything else")
    max_texts: Positive | None = Field(None, description="read at most so many texts; null: all")
    validation: float = Field(0.1, gt=0, lt=0.5, description="share of texts held out for choices")
    test: float = Field(0.1, gt=0, lt=0.5, description="share of texts held out for the verdict")
    test_path: str | None = Field(
        None, min_length=1, description="a source of its own for the test texts, like data.path; null: the share above"
    )
    oracle: Oracle = Oracle()


class Tokenizer(Section):
    """How text becomes tokens; trained on the training split."""

    kind: Literal["auto", "char", "word", "bpe", "ids", "pretrained"] = Field(
        "auto",
        description="auto chooses by script; ids: an oracle's token ids, only and always with data.path=oracle; "
        "pretrained: the generator's own, only and always with generator.pretrained",
    )
    vocabulary: int = Field(8000, ge=16, description="most tokens, special ones included")
    min_frequency: Positive = Field(2, description="rarer characters or words become the unknown token")


class Generator(Section):
    """The player that writes."""

    architecture: Literal["lstm", "relational", "transformer"] = Field("lstm", description="network family")
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder, .gguf file or Hugging Face hub name of a causal language model to start from, its size "
        "and dropout its own; null: a network from scratch, as the other fields say",
    )
    hidden: Positive = Field(128, description="width H of embeddings and hidden states")
    layers: Positive = Field(1, description="stacked layers; attention blocks a token (relational)")
    heads: Positive = Field(4, description="attention heads (transformer, relational)")
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout while fitting by likelihood; off while playing")
    tied: bool = Field(True, description="share input and output embeddings")
    context: int = Field(128, ge=8, description="longest sequence in tokens, BOS and EOS included")


class Discriminator(Section):
    """The player that tells real from generated."""

    architecture: Literal["lstm", "cnn", "seqgan", "relgan", "transformer", "classifier", "features", "causal"] = Field(
        "lstm", description="network family; the last three read text with a pretrained model"
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="folder or Hugging Face hub name of a model that is trained whole (classifier, causal) or frozen "
        "under a small network (features)",
    )
    ensemble: Positive = Field(1, description="networks that judge together, their mean logit (pretrained)")
    hidden: Positive = Field(128, description="width H of embeddings and hidden states; of the network on features")
    layers: Positive = Field(1, description="stacked layers")
    heads: Positive = Field(4, description="attention heads (transformer), representations (relgan)")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout while training; a model trained whole has its own")
    from_generator: bool = Field(
        True, description="start from the pre-trained generator's weights where shapes agree (without pretrained)"
    )


class Prompt(Section):
    """Initial text s: what the generator is given."""

    source: Literal["data", "prefix"] = Field(
        "data", description="data: the file's prompts, else BOS alone; prefix: a random prefix of a real text"
    )
    template: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="chat: prompts and messages go through the pretrained generator's chat template; plain: as they "
        "are; auto: chat where the data have prompts and the model a template",
    )
    max_prefix: Positive = Field(8, description="longest random prefix in tokens (source=prefix)")


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

    steps: Count = Field(60, description="discriminator updates before the game")


class Game(Section):
    """The first two choices: what D maximises and G is paid, and how the verdict becomes a gradient."""

    value: Literal["minimax", "nonsaturating", "reverse_kl"] = Field(
        "reverse_kl", description="payoff: -log(1-D), log D, or the logit d itself"
    )
    signal: Literal["dense", "sequence", "rollout"] = Field(
        "dense", description="pay every prefix its verdict, the whole text, or every prefix what its completions earn"
    )
    rollouts: Positive = Field(16, description="completions drawn for each prefix (signal=rollout)")
    loss: Literal["binary", "bradley_terry", "contrastive"] = Field(
        "binary",
        description="what D learns: real or not; which of two texts of a prompt is real; which of a prompt's group is",
    )
    baseline: Literal["leave_one_out", "per_position", "grpo", "reinforce++", "critic", "none"] = Field(
        "per_position",
        description="mean return of the prompt's other samples (RLOO), or of all other rows; mean and deviation of the "
        "prompt's samples, or of all tokens; a value head; or nothing",
    )
    gae_lambda: Fraction = Field(
        1.0, description="lambda of generalised advantages (baseline=critic); 1: the return minus the value"
    )
    discount: Fraction = Field(1.0, description="gamma on later rewards")
    reward_scale: Literal["none", "batch"] = Field(
        "none", description="batch: texts' rewards are divided by their standard deviation"
    )
    length_penalty: Coefficient = Field(0.0, description="nats that each completion token after length_free costs")
    length_free: Count = Field(0, description="completion tokens that cost nothing (length_penalty above 0)")
    policy: Literal["gradient", "ppo"] = Field(
        "gradient", description="plain policy gradient, or PPO's clipped ratio, which allows adversarial.epochs"
    )
    clip_range: Rate = Field(0.2, lt=1, description="largest change of a token's probability paid for (policy=ppo)")
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
    epochs: Positive = Field(1, description="updates on one batch of samples (game.policy=ppo)")
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
    reward: Literal["discriminator", "constant", "random"] = Field(
        "discriminator", description="controls pay a constant or noise instead of the verdict"
    )
    evaluate_every: Positive = Field(5, description="rounds between held-out measures of the generator")

    @property
    def control(self) -> Control | None:
        """The control this game is; None: a discriminator that learns pays the generator."""
        if self.reward != "discriminator":
            return self.reward
        return None if self.discriminator_steps else "frozen"


class Equilibrium(Section):
    """When the game is over."""

    band: float = Field(0.03, gt=0, lt=0.5, description="|balanced accuracy - 0.5| that counts as undecided")
    window: Positive = Field(20, description="rounds over which the accuracy is averaged")
    evaluations: int = Field(5, ge=4, description="held-out measures over which the slope is fitted")


class Collapse(Section):
    """Floors relative to the pre-trained generator's own samples."""

    entropy: Fraction = Field(0.3, description="share of the initial entropy (nats a token) below which it stops")
    distinct: Fraction = Field(0.3, description="share of the initial distinct-2 below which it stops")


class Evaluation(Section):
    """The honest comparison, on held-out text."""

    samples: int = Field(400, ge=2, description="texts drawn, and held-out texts used, at most, per measure")
    temperatures: tuple[Rate, ...] = Field(
        (0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2),
        min_length=1,
        description="temperatures each system chooses from on validation",
    )
    discriminator_steps: Positive = Field(60, description="updates of each fresh discriminator at the verdict")
    candidates: int = Field(8, ge=2, description="k of the resampled pair")
    bootstrap: int = Field(2000, ge=100, description="resamples of the paired bootstrap")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="joint coverage of the verdict's intervals")
    controls: tuple[Control, ...] = Field(
        (),
        json_schema_extra={"uniqueItems": True},
        description="play the same game once more for each: paid a constant, noise, or judged by a discriminator "
        "frozen after its warm-up",
    )

    @field_validator("controls")
    @classmethod
    def _each_once(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        if len(set(controls)) < len(controls):
            raise ValueError("evaluation.controls must name each control once at most")
        return controls


class Checkpoint(Section):
    """What survives a kill."""

    every: Positive = Field(25, description="updates or rounds between checkpoints")
    keep: Positive = Field(2, description="newest checkpoints kept")
