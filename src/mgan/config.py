"""The whole configuration: every section, and what must hold between them."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from mgan.errors import UserError
from mgan.sections import ORACLE as ORACLE
from mgan.sections import OWN as OWN
from mgan.sections import PRETRAINED_JUDGES as PRETRAINED_JUDGES
from mgan.sections import Adversarial as Adversarial
from mgan.sections import Checkpoint as Checkpoint
from mgan.sections import Collapse as Collapse
from mgan.sections import Control as Control
from mgan.sections import Data as Data
from mgan.sections import Discriminator as Discriminator
from mgan.sections import Equilibrium as Equilibrium
from mgan.sections import Evaluation as Evaluation
from mgan.sections import Game as Game
from mgan.sections import Generator as Generator
from mgan.sections import Lora as Lora
from mgan.sections import Mediator as Mediator
from mgan.sections import Memory as Memory
from mgan.sections import Oracle as Oracle
from mgan.sections import Positive, blanks, labels, latent, leak, likelihood, ranking, relaxation, tasks, taylor, values
from mgan.sections import Pretrain as Pretrain
from mgan.sections import Prompt as Prompt
from mgan.sections import Section as Section
from mgan.sections import SelfPlay as SelfPlay
from mgan.sections import Tokenizer as Tokenizer
from mgan.sections import Warmup as Warmup

REWARDS = ("dense", "prefix", "sequence", "rollout")
"""What game.signal names of rewards."""
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Config(Section):
    """A whole run."""

    recipe: str = Field("mgan", description="the recipe this began as")
    seed: int = Field(0, ge=0, le=2**53, description="the one seed of everything random")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic of the updates; the rest is in fp32")
    threads: Positive | None = Field(
        None, description="CPU threads of one operation; null: as many as the machine really gives this process"
    )
    tensorboard: bool = Field(False, description="also write TensorBoard events (extra: tensorboard)")
    push_to_hub: str | None = Field(
        None,
        description="repository on the Hugging Face hub that the players of a finished run are uploaded to, private if "
        "it is new; null: none",
    )
    data: Data = Data()
    tokenizer: Tokenizer = Tokenizer()
    generator: Generator = Generator()
    discriminator: Discriminator = Discriminator()
    prompt: Prompt = Prompt()
    pretrain: Pretrain = Pretrain()
    warmup: Warmup = Warmup()
    game: Game = Game()
    adversarial: Adversarial = Adversarial()
    selfplay: SelfPlay = SelfPlay()
    mediator: Mediator = Mediator()
    equilibrium: Equilibrium = Equilibrium()
    collapse: Collapse = Collapse()
    evaluation: Evaluation = Evaluation()
    checkpoint: Checkpoint = Checkpoint()
    memory: Memory = Memory()

    @model_validator(mode="after")
    def _agree(self) -> Config:
        for name in ("generator", "discriminator"):
            player = getattr(self, name)
            if (
                player.architecture in ("transformer", "encoder_decoder", "relational", "relgan")
                and player.hidden % player.heads
            ):
                raise ValueError(f"{name}.hidden ({player.hidden}) must be a multiple of {name}.heads ({player.heads})")
        if self.contest == "game" and not self.warmup.steps:
            raise ValueError(
                "warmup.steps must be 1 or more where adversarial.steps is: it is also the budget of the fresh "
                "discriminator that confirms an equilibrium"
            )
        if self.push_to_hub is not None and not REPOSITORY.fullmatch(self.push_to_hub):
            raise ValueError(f"push_to_hub must be a repository's name, as owner/name, not {self.push_to_hub!r}")
        self._agree_on_the_rewards()
        self._agree_on_the_sections()
        self._agree_on_the_updates()
        self._agree_on_the_contest()
        if self.data.validation + self.data.test >= 0.9:
            raise ValueError("data.validation + data.test must leave text to train on: below 0.9 together")
        self._agree_on_the_oracle()
        tasks.agree(self.data, self.prompt, self.evaluation, self.contest)
        self._agree_on_the_pretrained()
        self._agree_on_the_judge()
        return self

    def _agree_on_the_pretrained(self) -> None:
        for name in ("generator", "discriminator"):
            if (player := getattr(self, name)).lora.rank and player.pretrained is None:
                raise ValueError(f"{name}.lora.rank adds to a pretrained model's weights: give {name}.pretrained")
        if self.discriminator.lora.rank and self.discriminator.architecture == "features":
            raise ValueError(
                "discriminator.architecture=features trains nothing of its model, so it takes no LoRA: set "
                "discriminator.lora.rank=0"
            )
        kind = self.tokenizer.kind
        if self.generator.pretrained is None:
            if self.generator.architecture == "encoder_decoder" and not self.generator.tied:
                raise ValueError("generator.architecture=encoder_decoder has one table of embeddings: leave tied=true")
            if kind == "pretrained":
                raise ValueError("tokenizer.kind=pretrained is a generator's own tokenizer: give generator.pretrained")
            if self.prompt.template == "chat":
                raise ValueError("prompt.template=chat is a pretrained generator's: give generator.pretrained")
            return
        if kind not in ("auto", "pretrained"):
            raise ValueError(f"generator.pretrained needs tokenizer.kind=pretrained (auto is that), not {kind}")
        if self.data.path == ORACLE:
            raise ValueError("generator.pretrained cannot be used with data.path=oracle, whose texts are no text")

    def _agree_on_the_judge(self) -> None:
        judge = self.discriminator
        if judge.architecture not in PRETRAINED_JUDGES:
            if judge.pretrained is not None or judge.ensemble > 1:
                field = "pretrained" if judge.pretrained is not None else "ensemble"
                raise ValueError(
                    f"discriminator.{field} needs discriminator.architecture={', '.join(PRETRAINED_JUDGES[:-1])} or "
                    f"{PRETRAINED_JUDGES[-1]}, not {judge.architecture}"
                )
            return
        if judge.pretrained is None:
            raise ValueError(
                f"discriminator.architecture={judge.architecture} begins with a pretrained model: set "
                "discriminator.pretrained to its folder or hub name"
            )
        if self.game.signal in values.EVERY_PREFIX and judge.architecture != "causal":
            raise ValueError(
                f"discriminator.architecture={judge.architecture} judges whole texts and not their beginnings: set "
                "game.signal=sequence"
            )
        if self.data.path == ORACLE:
            raise ValueError(
                f"discriminator.architecture={judge.architecture} reads text, and with data.path=oracle there is none: "
                "use discriminator.architecture=lstm"
            )

    def _agree_on_the_sections(self) -> None:
        game, loop = self.game, self.adversarial
        values.agree(game, self.discriminator, loop)
        labels.agree(self.data, self.prompt, game, self.generator, self.discriminator)
        blanks.agree(self.data, self.prompt, self.generator, self.discriminator, loop)
        latent.agree(self.generator, self.data.path == ORACLE, self.contest)
        leak.agree(game, self.generator, self.discriminator, self.contest)
        relaxation.agree(game, self.generator, self.discriminator, loop, self.evaluation)
        ranking.agree(game, self.discriminator, loop)
        taylor.agree(game, self.generator, self.discriminator, loop)
        likelihood.agree(game, self.generator, loop, self.prompt, self.warmup, self.evaluation, self.contest)

    def _agree_on_the_rewards(self) -> None:
        game, loop = self.game, self.adversarial
        if game.baseline in ("leave_one_out", "grpo") and loop.samples_per_prompt < 2:
            raise ValueError(
                f"game.baseline={game.baseline} needs adversarial.samples_per_prompt of 2 or more; "
                "use game.baseline=per_position with one sample a prompt"
            )
        if game.baseline in ("grpo", "maligan") and (game.signal != "sequence" or game.discount != 1):
            raise ValueError(
                f"game.baseline={game.baseline} gives every token the advantage of its whole text: it needs "
                "game.signal=sequence and game.discount=1"
            )
        anchored = game.kl and game.kl_estimator == "k1"
        paid_more = game.bleu or game.length_penalty or anchored or game.reward_scale != "none"
        if game.baseline == "maligan" and (game.value != "reverse_kl" or paid_more):
            raise ValueError(
                "game.baseline=maligan weighs texts by e^d: it needs game.value=reverse_kl, game.length_penalty=0, "
                "game.bleu=0, game.reward_scale=none, and game.kl=0 or another game.kl_estimator than k1"
            )
        if game.signal == "rollout" and game.discount != 1:
            raise ValueError("game.signal=rollout pays each token what whole texts earn: it needs game.discount=1")
        if loop.reward == "bleu" and (loop.discriminator_steps or game.signal != "sequence"):
            raise ValueError(
                "adversarial.reward=bleu pays whole texts, and no discriminator plays: it needs game.signal=sequence "
                "and adversarial.discriminator_steps=0"
            )
        if game.bleu and (game.signal not in REWARDS or self.contest not in ("game", None)):
            raise ValueError(
                "game.bleu is paid beside a discriminator's verdict: it needs one that plays, and "
                f"game.signal={', '.join(REWARDS[:-1])} or {REWARDS[-1]}"
            )

    def _agree_on_the_updates(self) -> None:
        game, loop = self.game, self.adversarial
        if game.policy in ("gradient", "probability") and loop.epochs > 1:
            raise ValueError(
                "adversarial.epochs above 1 learns from samples of older weights: it needs game.policy=ppo"
            )
        if game.policy == "importance" and game.kl and game.kl_estimator != "k1":
            raise ValueError(
                "game.policy=importance samples at one temperature and learns at another, for which "
                f"game.kl_estimator={game.kl_estimator} is not made: use game.kl_estimator=k1"
            )
        if loop.order == "interleaved" and (loop.generator_steps > 1 or loop.discriminator_steps > 1):
            raise ValueError(
                "adversarial.order=interleaved gives both players one update on the same samples: it needs "
                "adversarial.generator_steps=1 and adversarial.discriminator_steps=1"
            )

    def _agree_on_the_contest(self) -> None:
        game, loop = self.game, self.adversarial
        if game.signal == "gumbel" and self.contest not in ("game", None):
            raise ValueError("game.signal=gumbel is a game against a discriminator: it needs adversarial.steps above 0")
        if self.contest == "residual" and game.loss != "binary":
            raise ValueError(
                "adversarial.steps=0 trains the discriminator for its pair with the generator, by the held-out loss of "
                "game.loss=binary"
            )
        if self.selfplay.iterations > loop.steps:
            raise ValueError(
                f"selfplay.iterations ({self.selfplay.iterations}) must be adversarial.steps ({loop.steps}) at most: "
                "every opponent is met for an update or more"
            )
        if self.evaluation.controls and self.contest != "game":
            raise ValueError(
                "evaluation.controls plays the game without its discriminator: it needs adversarial.steps above 0 and "
                "a discriminator that plays, so selfplay.iterations=0, mediator.steps=0 and "
                "adversarial.reward=discriminator"
            )
        if self.selfplay.iterations and self.mediator.steps:
            raise ValueError(
                "selfplay.iterations and mediator.steps each put another in the discriminator's place: set one to 0"
            )
        if self.mediator.steps and self.memory.offload:
            raise ValueError("memory.offload has one player on the device at a time, and mediator.steps needs two")

    def _agree_on_the_oracle(self) -> None:
        oracle, kind = self.data.oracle, self.tokenizer.kind
        if self.data.path != ORACLE:
            if kind == "ids":
                raise ValueError("tokenizer.kind=ids reads the texts of an oracle: it needs data.path=oracle")
            return
        if kind not in ("auto", "ids"):
            raise ValueError(f"data.path=oracle needs tokenizer.kind=ids (auto is that), not {kind}")
        if self.generator.architecture == "encoder_decoder":
            raise ValueError(
                "generator.architecture=encoder_decoder writes after prompts, and the texts of data.path=oracle have "
                "none: use generator.architecture=lstm"
            )
        if self.data.test_path is not None:
            raise ValueError("data.path=oracle draws its test texts too: data.test_path must be null")
        if self.generator.context != oracle.length + 1:
            raise ValueError(
                f"generator.context ({self.generator.context}) must be data.oracle.length + 1 ({oracle.length + 1}) "
                "with data.path=oracle: every text is the start token and data.oracle.length tokens"
            )
        if oracle.weights is not None and (oracle.architecture != "lstm" or oracle.layers != 1):
            raise ValueError(
                "data.oracle.weights holds an LSTM of one layer: it needs data.oracle.architecture=lstm and "
                "data.oracle.layers=1"
            )

    def discriminator_source(self) -> str | None:
        """The model a discriminator begins with; UserError if it is the generator's and none is given.

        Asked when a run begins: a recipe leaves the model open.
        """
        if self.discriminator.pretrained != OWN:
            return self.discriminator.pretrained
        if self.generator.pretrained is None:
            raise UserError(
                "discriminator.pretrained=generator begins with the generator's own model, and none is given: name it "
                "with --model, a folder, a .gguf file or a name on the Hugging Face hub (generator.pretrained)"
            )
        return self.generator.pretrained

    @property
    def contest(self) -> Literal["game", "reward", "self_play", "cooperative", "closed_form", "residual"] | None:
        """What stands against maximum likelihood in the end: who is trained against what; None: nothing does."""
        if not self.adversarial.steps:
            return "residual" if self.warmup.steps else None
        if self.selfplay.iterations:
            return "self_play"
        if self.mediator.steps:
            return "cooperative"
        if self.adversarial.reward == "closed_form":
            return "closed_form"
        return "reward" if self.adversarial.reward == "bleu" else "game"

    @property
    def rows_per_step(self) -> int:
        """Texts in one update of either player: prompts_per_step × samples_per_prompt."""
        return self.adversarial.prompts_per_step * self.adversarial.samples_per_prompt
