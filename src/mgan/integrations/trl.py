"""Our discriminators in TRL's ``GRPOTrainer``: as a reward function, and as one that learns along with the policy.

    adversary = AdversarialReward(discriminator="runs/first", real=dataset)
    GRPOTrainer(model, reward_funcs=adversary, callbacks=[adversary], train_dataset=dataset, args=...)

The game is mgan's own: the policy is paid the logit d of what it wrote; after each of its steps D takes updates on
what it wrote and the real completions of the same prompts, with which it is then compared anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from accelerate.state import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mgan.data import shapes
from mgan.fit.classifier import DiscriminatorUpdate, balanced_accuracy, verdicts
from mgan.fit.compute import Ledger
from mgan.fit.pairs import PairUpdate
from mgan.game.pairs import PAIR_LOSSES, preference
from mgan.integrations.judge import Answers, Beside, Judge, Texts
from mgan.sampling.uniforms import stream
from mgan.training import checkpoint
from mgan.types import UserError

Loss = Literal["binary", "bradley_terry", "contrastive"]
FOLDER = "adversary"
"""In a checkpoint of the trainer's: where D is kept."""
Group = tuple[Any, list[Any]]
"""A prompt and the completions that were drawn for it."""


def reward(run: str | Path | Judge) -> Callable[..., list[float]]:
    """A reward function that pays the logit d of a finished run's discriminator, of whatever architecture; it stays.

    run: a run's name or folder, or a discriminator's own folder. The function takes ``prompts`` and ``completions``,
    strings or lists of messages, and returns a number for each. Raises UserError if there is no such run.
    """
    judge = run if isinstance(run, Judge) else Judge.of(run)

    def discriminator(prompts: Texts, completions: Texts, **_: Any) -> list[float]:
        return judge.logits(prompts, completions, PartialState().device).tolist()

    return discriminator


class AdversarialReward(TrainerCallback):
    """Give the same one to GRPOTrainer as ``reward_funcs`` and in ``callbacks``.

    With several processes each has a copy of D, and all teach theirs the same: what every one of them collected.
    """

    __name__ = "adversary"

    def __init__(
        self,
        discriminator: str | Path | Judge,
        real: str | Path | Iterable[Mapping[str, Any]],
        *,
        loss: Loss = "bradley_terry",
        learning_rate: float = 2e-5,
        steps: int = 1,
        warmup: int = 0,
        held_out: float = 0.1,
        micro_batches: int = 1,
        clip: float = 1.0,
        seed: int = 0,
    ):
        """discriminator: as ``reward`` takes it, or ``Judge.new(...)`` for one that has learned nothing yet.

        real: the completions of train_dataset's prompts: a dataset with ``prompt`` and ``completion``, or any of the
        formats that ``data.path`` takes. loss: what D learns, as ``game.loss``. learning_rate: of D's AdamW. steps:
        updates of D for one step of the policy. warmup: steps at the beginning at which only D learns, as the policy is
        paid 0. held_out: share of the prompts D never learns from, on which heldout_accuracy is measured.
        micro_batches: pieces an update is cut into to save memory. clip: largest gradient norm.

        Raises UserError for a discriminator or text that cannot be had, and for what is out of range.
        """
        if loss not in get_args(Loss):
            raise UserError(f"loss must be one of {', '.join(get_args(Loss))}, not {loss!r}")
        if steps < 1 or warmup < 0 or not 0 <= held_out < 1:
            raise UserError("steps must be 1 or more, warmup 0 or more and held_out in [0, 1)")
        self.judge = discriminator if isinstance(discriminator, Judge) else Judge.of(discriminator)
        self.real = Answers(real)
        self.loss, self.steps, self.warmup, self.held_out, self.seed = loss, steps, warmup, held_out, seed
        self._settings = {"learning_rate": learning_rate, "clip": clip, "micro_batches": micro_batches}
        self._update: PairUpdate | DiscriminatorUpdate | None = None
        self._hears = self._collects = False
        self._collected: list[list[tuple[Any, Any]]] = []
        self._learned: dict[str, float] = {}
        self.lessons = self.updates = 0

    def __call__(
        self, prompts: Texts, completions: Texts, log_metric: Callable[[str, float], None] | None = None, **others: Any
    ) -> list[float]:
        """The logit of each completion; 0 for all during the warm-up. While the policy trains they are collected."""
        if "trainer_state" in others and not self._hears:
            raise UserError(
                "AdversarialReward learns as a callback: give GRPOTrainer callbacks=[...] with the same one"
            )
        fake = self.judge.logits(prompts, completions, self._device)
        rows = list(zip(prompts, completions, strict=True))
        if self._collects:
            self._collected.append(rows)
            for name, value in {**self._measured(rows, fake), **self._learned}.items():
                if log_metric is not None:
                    log_metric(name, value)
            if self.lessons < self.warmup:
                return [0.0] * len(rows)
        return fake.tolist()

    def save(self, folder: str | Path) -> None:
        """D as it is now, as a run's ``discriminator/``: for ``reward``, or to go on with in another training."""
        self.judge.save(folder)

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The trainer has this one among its callbacks."""
        self._hears = True

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Go on with the D of the checkpoint that the trainer resumes from."""
        self._hears = True
        if not state.global_step:
            return
        given = args.resume_from_checkpoint
        place = Path(given) if given else _checkpoint(args, state)
        numbers = checkpoint.numbers(place / FOLDER)
        if not numbers:
            raise UserError(
                f"{place / FOLDER} holds no discriminator: set resume_from_checkpoint of GRPOConfig to the checkpoint, "
                "one that was made with this AdversarialReward among the callbacks"
            )
        tree = checkpoint.load(place / FOLDER, numbers[-1])
        self.judge.discriminator.load_state_dict(tree["discriminator"])
        self._updating.optimizer.load_state_dict(tree["optimizer"])
        self.lessons, self.updates = tree["counters"]
        self._learned = tree["learned"]

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """What is judged from here on was written for training; at other times the trainer evaluates."""
        self._collects = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """D learns from what was collected."""
        self._collects = False
        if not self._collected:
            return
        rows = [row for call in self._collected for row in gather_object(call)]
        self._collected = []
        groups = [
            group for group in _groups(rows, int(getattr(args, "num_generations", 1))) if not self._held(group[0])
        ]
        if groups:
            self._teach(groups)
        self.lessons += 1

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep D, its optimizer and the counters in the trainer's checkpoint."""
        if not args.should_save:
            return
        tree = {
            "discriminator": self.judge.discriminator.state_dict(),
            "optimizer": self._updating.optimizer.state_dict(),
            "counters": [self.lessons, self.updates],
            "learned": self._learned,
        }
        checkpoint.save(_checkpoint(args, state) / FOLDER, state.global_step, tree, keep=1)

    def _teach(self, groups: list[Group]) -> None:
        """``steps`` updates, whose dropout is the same on every process and leaves the trainer's numbers alone."""
        count = len(groups[0][1])
        prompts = [prompt for prompt, _ in groups]
        written = [text for _, texts in groups for text in texts]
        fake = self.judge.batch([prompt for prompt in prompts for _ in range(count)], written).to(self._device)
        gpus = [self._device] if self._device.type == "cuda" else []
        for _ in range(self.steps):
            answers = [self.real.of(prompt, self.updates) for prompt in prompts]
            real = self.judge.batch(prompts, answers).to(self._device)
            if self.loss == "binary":
                real = real.rows(torch.arange(len(real), device=self._device).repeat_interleave(count))
            with torch.random.fork_rng(devices=gpus), torch.enable_grad():
                torch.manual_seed(stream(self.seed, self.updates))
                self._learned = self._updating(real, fake)
            self.updates += 1
        self.judge.discriminator.eval()

    def _measured(self, rows: list[tuple[Any, Any]], fake: Tensor) -> dict[str, float]:
        """Mean probabilities of being real, before D learns from these; how well it tells apart those held out."""
        prompts = [prompt for prompt, _ in rows]
        new = [i == 0 or prompt != prompts[i - 1] for i, prompt in enumerate(prompts)]
        once = [prompt for prompt, first in zip(prompts, new, strict=True) if first]
        batch = self.judge.batch(once, [self.real.of(prompt, self.updates) for prompt in once])
        each = verdicts(self.judge.discriminator, batch.to(self._device))
        real = each[torch.tensor(new, device=each.device).cumsum(0) - 1]
        measured = {"d_real": float(real.sigmoid().mean()), "d_fake": float(fake.sigmoid().mean())}
        held = torch.tensor([self._held(prompt) for prompt in prompts], device=real.device)
        if held.any():
            x, g = real[held], fake[held]
            binary = self.loss == "binary"
            measured["heldout_accuracy"] = balanced_accuracy(x, g) if binary else preference(x, g[:, None])
        return measured

    def _held(self, prompt: Any) -> bool:
        given = shapes.prompt_of(prompt, "a prompt")
        name = hashlib.blake2b(repr(given).encode(), digest_size=8).digest()
        return int.from_bytes(name, "big") / 2**64 < self.held_out

    @property
    def _device(self) -> torch.device:
        return PartialState().device

    @property
    def _updating(self) -> PairUpdate | DiscriminatorUpdate:
        """Made when it is first needed: the trainer decides on the device."""
        if self._update is None:
            discriminator: Any = self.judge.discriminator.to(self._device)
            shared: dict[str, Any] = {**self._settings, "hardware": Beside.on(self._device), "ledger": Ledger()}
            if self.loss == "binary":
                self._update = DiscriminatorUpdate(discriminator, signal="sequence", **shared)
            else:
                self._update = PairUpdate(discriminator, PAIR_LOSSES[self.loss], **shared)
        return self._update


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    """Where the trainer keeps its state after this step."""
    return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"


def _groups(rows: list[tuple[Any, Any]], size: int) -> list[Group]:
    """TRL draws ``size`` completions of a prompt, one after the other."""
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    if any(len(chunk) < size or any(prompt != chunk[0][0] for prompt, _ in chunk) for chunk in chunks):
        raise UserError("AdversarialReward needs all completions of a prompt together, as GRPOTrainer draws them")
    return [(chunk[0][0], [text for _, text in chunk]) for chunk in chunks]
