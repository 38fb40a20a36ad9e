"""The game.

    repeat                                                      min_G max_D E[log D(t)] + E[log(1 - D(G(s)))]
        discriminator_steps times:   t ~ data,  g ~ G(s)        sample
                                     D up  log D(t) + log(1 - D(g))        on every prefix
        generator_steps times:       g ~ G(s)                   sample
                                     d_i = D's logit of each prefix of g   judge
                                     r_i = payoff(d_i) - payoff(d_{i-1}) - kl (log P - log P_0)
                                     A_i = sum_{j >= i} r_j - what the other samples got
                                     G up  sum_i A_i log P(g_i | g_<i)                    or
                                     G down D's own gradient through g relaxed            signal=gumbel
    until equilibrium, collapse or the budget's end

Every move draws fresh text: D never judges what it was trained on. With order=interleaved the round has one set of
samples, which D judges before it learns from them. With D optimal on every prefix the generator's step is down
KL(G || data) + kl KL(G || G_0) for value=reverse_kl. What the moves are in detail is a ``moves.signal``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mgan.config import Adversarial
from mgan.evaluation.diversity import distinct, entropy
from mgan.fit.classifier import verdicts
from mgan.models.adapters import copied
from mgan.sampling.ahead import Move, in_turn
from mgan.sampling.uniforms import stream
from mgan.training.equilibrium import Equilibrium
from mgan.training.lessons import Drawn, Lessons
from mgan.training.measures import exhausted, held_out, validation
from mgan.training.moves import signal
from mgan.training.players import Average, policy_temperature
from mgan.training.replay import Replay
from mgan.training.signal import Judged, Update
from mgan.training.world import World
from mgan.types import Batch

REAL, PROMPTS, HELD, DRAW, NOISE, FRESH, MEASURE, ASKED, REPLAY = range(11, 20)


class AdversarialGame:
    """One game between ``world.generator`` and ``world.discriminator``, a round a step.

    The moving average of the generator is what is measured and kept: the best by held-out score, the starting
    weights among the candidates. settings: of the loop; a control's are others than the run's own.
    """

    def __init__(self, world: World, name: str, settings: Adversarial):
        self.world, self.name, self.settings, self.total = world, name, settings, settings.steps
        self.game = world.settings.game
        self.ledger = world.ledger(name)
        self.generator, self.discriminator = world.generator, world.discriminator
        reference = world.restored("pretrained").requires_grad_(False)
        self.average = Average(copied(reference), self.settings.average)
        self.lessons = Lessons(world, settings, self.ledger)
        self.signal = signal(world, settings, self.ledger, self.lessons, reference)
        self.update_discriminator: Update = self.signal.update(self.discriminator)
        self.real, self.prompts = world.batches(world.train, REAL), world.batches(world.train, PROMPTS)
        self.held_real = world.batches(world.validation, HELD)
        self.held_out = held_out(world)
        self.replay = Replay(settings.replay, world.alphabet.pad, stream(world.settings.seed, REPLAY))
        self.equilibrium = Equilibrium(world.settings.equilibrium)
        self.steps = self.draws = self.moves = 0
        self.floor = {"entropy": -math.inf, "distinct_2": -math.inf}
        self.best_score, self.best = math.inf, dict[str, Tensor]()
        self.examples: Batch | None = None
        self.done = False

    def begin(self) -> dict[str, float]:
        """Measure the generator the game starts from; a round's worth of its samples sets the floors of a collapse."""
        samples = self._sample().samples
        limits = self.world.settings.collapse
        self.floor = {
            "entropy": limits.entropy * entropy(samples),
            "distinct_2": limits.distinct * distinct(samples, 2),
        }
        return self._measure() | {f"{name}_floor": value for name, value in self.floor.items()}

    def step(self) -> dict[str, float]:
        """One round."""
        order = self.settings.order
        # While the discriminator learns, the generator stands still: its next texts can be drawn already.
        learns = [Move(self._discriminator_moves, still=True)] * self.settings.discriminator_steps
        writes = [Move(self._generator_moves, still=False)] * self.settings.generator_steps
        moves = [*learns, *writes] if order == "discriminator_first" else [*writes, *learns]
        metrics: dict[str, float] = {}
        if order == "interleaved":
            shared = self._draw(self.draws, for_generator=True)()
            for move in moves:
                metrics |= move.make(shared)
        else:
            first = self.draws
            draws = [partial(self._draw, first + i, not move.still) for i, move in enumerate(moves)]
            for found in in_turn(moves, lambda number: draws[number - first](), first, self.world.hardware.device):
                metrics |= found
        self.average.follow(self.generator)
        self.steps += 1
        if "heldout_accuracy" in metrics:
            self.equilibrium.observe(metrics["heldout_accuracy"])
        if self.steps % self.settings.evaluate_every == 0:
            metrics |= self._measure()
        self._end_if_over(metrics)
        return metrics

    def _discriminator_moves(self, drawn: Drawn) -> dict[str, float]:
        self.moves += 1
        drawn = self.replay.mix(drawn, self.moves) if self.settings.replay else drawn
        return self.update_discriminator(self.lessons.real(drawn, self.real.at(self.moves)), drawn.fake)

    def _generator_moves(self, drawn: Drawn) -> dict[str, float]:
        # The texts D met last, if it does not compare; a frozen one meets none, and every round has its own.
        real = self.real.at(self.moves or self.steps)
        judged = self.signal.judge(drawn, real, stream(self.world.settings.seed, NOISE, self.draws), self.steps)
        metrics = judged.metrics | self._statistics(drawn, judged)
        return metrics | judged.learn()

    def _sample(self) -> Drawn:
        return self._draw(self.draws)()

    def _draw(self, number: int, for_generator: bool = False) -> Callable[[], Drawn]:
        """Fresh completions of fresh prompts, the game's ``number``-th; they count when they are taken.

        May be called in another thread: it changes nothing.
        """
        prompts, group = self.prompts.prompts(number)
        seed = stream(self.world.settings.seed, DRAW, number)
        drawn = self.signal.draw(prompts, group, seed, self.steps, for_generator)

        def take() -> Drawn:
            self.draws += 1
            # Rows that have ended leave the decode loop: only their own tokens were computed.
            self.ledger.sampled(self.generator, int(drawn.samples.lengths.sum()))
            return drawn

        return take

    def _statistics(self, drawn: Drawn, judged: Judged) -> dict[str, float]:
        """What a round is watched by. Nothing the discriminator sees here has it been trained on."""
        samples = drawn.samples
        told = {} if judged.verdicts is None else self._told_apart(judged.verdicts)
        return told | {
            "entropy": entropy(samples),
            "distinct_2": distinct(samples, 2),
            "length": float(samples.mask.sum(1).float().mean()),
            "tokens": float(self.ledger.tokens),
            "flops": self.ledger.flops,
        }

    def _told_apart(self, verdicts: Tensor) -> dict[str, float]:
        """verdicts: [B], of the samples; real texts are held-out ones."""
        seed = stream(self.world.settings.seed, ASKED, self.steps)
        held = self.held_real.at(self.steps)
        real, accuracy = self.lessons.accuracy(self.discriminator, held, verdicts, seed)
        return {
            "d_real": float(real.sigmoid().mean()),
            "d_fake": float(verdicts.sigmoid().mean()),
            "heldout_accuracy": accuracy,
        }

    def _measure(self) -> dict[str, float]:
        """Held-out measures of the averaged generator; the best of them is the game's result."""
        temperature = policy_temperature(self.settings, self.game)
        held = self.held_out.measure(self.average.module, (temperature,), stream(self.world.settings.seed, MEASURE))[0]
        self.examples = held.samples
        self.equilibrium.measure(self.steps, held.score)
        if held.score < self.best_score:
            self.best_score = held.score
            self.best = {k: v.detach().clone() for k, v in self.average.module.state_dict().items()}
        return validation(held)

    def _end_if_over(self, metrics: dict[str, float]) -> None:
        if not all(map(math.isfinite, metrics.values())):
            return self._end("divergence", "the game diverged: a loss is not a number")
        for name, floor in self.floor.items():
            if metrics[name] < floor:
                return self._end(
                    "collapse",
                    f"the generator collapsed: its {name} fell to {metrics[name]:.3f}, below {floor:.3f}",
                )
        # A generator that is not paid by a discriminator that learns has no equilibrium to come to.
        if not self.settings.control and self.equilibrium.undecided() and self.equilibrium.settled():
            accuracy = self._fresh_accuracy()
            metrics["fresh_accuracy"] = accuracy
            if self.equilibrium.within_band(accuracy):
                return self._end(
                    "equilibrium",
                    "equilibrium: the discriminator and a freshly trained one both call held-out and generated text "
                    f"alike (balanced accuracy {accuracy:.3f})",
                )
        if exhausted(self.settings, self.steps, self.ledger):
            goal = "before equilibrium" if self.world.settings.contest == "game" else "which no discriminator paid"
            self._end("budget", f"the budget ended the game after {self.steps} rounds, {goal}")
        return None

    def _fresh_accuracy(self) -> float:
        """Held-out balanced accuracy of a new discriminator given the warm-up's budget against the generator of now.

        If it can tell where the old one cannot, the old one was exhausted and the new one takes its place.
        """
        seed = stream(self.world.settings.seed, FRESH, self.steps)
        torch.manual_seed(seed)
        fresh = self.world.new_discriminator()
        update = self.lessons.update(fresh)
        for _ in range(self.world.settings.warmup.steps):
            drawn = self._sample()
            self.moves += 1
            update(self.lessons.real(drawn, self.real.at(self.moves)), drawn.samples)
        # The old one's accuracy came from as many rounds' batches of the same stream.
        real, written = [], []
        for i in range(self.equilibrium.settings.window):
            held = self.held_real.at(self.steps + i)
            real.append(verdicts(fresh, held))
            written.append(verdicts(fresh, self.world.write(self.generator, held, stream(seed, i))))
        accuracy = self.lessons.told_apart(torch.cat(real), torch.cat(written))
        if not self.equilibrium.within_band(accuracy):
            does = "can tell" if accuracy > 0.5 else "takes generated for real text, as of a generator that overfits"
            self.world.notes.append(
                f"discriminator exhausted after {self.steps} rounds: a freshly trained one {does}, with a held-out "
                f"balanced accuracy of {accuracy:.3f}, and takes its place"
            )
            self.discriminator.load_state_dict(fresh.state_dict())
            self.update_discriminator = self.signal.update(self.discriminator)
            self.update_discriminator.optimizer.load_state_dict(update.optimizer.state_dict())
            self.equilibrium.restart()
        return accuracy

    def _end(self, reason: str, sentence: str) -> None:
        self.world.outcomes[self.name] = {"reason": reason, "sentence": sentence, "rounds": str(self.steps)}
        self.world.kept[self.name] = self.best
        self.done = True

    def finish(self) -> None:
        """The best weights are kept already; the players stay as they stand."""

    def state_dict(self) -> dict[str, Any]:
        return {
            **self.signal.state_dict(),
            "discriminator_optimizer": self.update_discriminator.optimizer.state_dict(),
            "average": self.average.module.state_dict(),
            "equilibrium": self.equilibrium.state_dict(),
            "best": self.best,
            "best_score": self.best_score,
            "floor": self.floor,
            "replay": self.replay.state_dict(),
            "counters": [self.steps, self.draws, self.moves],
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.signal.load_state_dict(state)
        self.update_discriminator.optimizer.load_state_dict(state["discriminator_optimizer"])
        self.average.module.load_state_dict(state["average"])
        self.equilibrium.load_state_dict(state["equilibrium"])
        device = self.world.hardware.device
        self.best = {k: v.to(device) for k, v in state["best"].items()}
        self.best_score, self.floor = state["best_score"], state["floor"]
        self.steps, self.draws, self.moves = state["counters"]
        self.replay.load_state_dict(state["replay"], device)
        self.done = state["done"]
