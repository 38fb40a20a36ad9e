"""What every phase of a run holds throughout, and what it holds besides at its worst moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mgan.config import ORACLE, PRETRAINED_JUDGES, Config
from mgan.fit.likelihood import CHUNK as VALIDATED
from mgan.planning import work
from mgan.planning.players import Player
from mgan.sampling.rollouts import JUDGED, Plan
from mgan.sampling.soft import CHUNK as SOFT
from mgan.sections.values import EVERY_PREFIX, PAIRS

Bytes = dict[str, int]
"""By what they are for."""
MOMENTS = {"adamw": 2.0, "adamw_8bit": 0.5}
"""What an optimizer holds, as a multiple of the weights that learn."""
HOLES = 0.4
"""What a CPU's allocator keeps between the blocks that an update has freed, as a share of the activations: it hands out
memory from a heap that shrinks from its end only. Measured in docs/memory.md."""
TOKEN, FILE = 40, 4
"""Bytes of a token of an oracle's texts, and of a byte of a text file, while a run has them."""


@dataclass(frozen=True)
class Phase:
    """held: throughout. moment: the worst, and what it takes besides. waiting: held in the CPU's memory (offload)."""

    name: str
    held: Bytes
    moment: str
    besides: Bytes
    waiting: int = 0

    @property
    def rows(self) -> Bytes:
        return {name: self.held.get(name, 0) + self.besides.get(name, 0) for name in (*self.held, *self.besides)}

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return sum(self.rows.values())


class Run:
    """The phases of a configuration, of which the two networks have no weights."""

    def __init__(self, config: Config, device: str, generator: Player, discriminator: Player):
        self.config, self.device = config, device
        self.generator, self.discriminator = generator, discriminator
        self.length, self.rows = config.generator.context, config.rows_per_step
        self.micro = min(config.adversarial.micro_batches, self.rows)
        self.held_out = config.evaluation.samples

    def phases(self) -> list[Phase]:
        return [phase for phase in self._planned() if phase.name != "baseline" or self.config.evaluation.baseline]

    def _planned(self) -> Iterator[Phase]:
        contest = self.config.contest
        yield self._likelihood("pretrain", kept=0)
        if contest == "game":
            yield self._phase("warmup", self._kept(1), self._discriminator_moments(), learns="discriminator")
            if self.config.generator.architecture == "leakgan":
                yield self._likelihood("leaked", kept=1)
            yield self._game("adversarial", kept=1)
            yield self._likelihood("baseline", kept=2)
            for number, control in enumerate(self.config.evaluation.controls, 3):
                yield self._game(control, kept=number)
        elif contest in ("reward", "self_play", "closed_form"):
            yield self._game("adversarial", kept=1)
            yield self._likelihood("baseline", kept=2)
        elif contest == "cooperative":
            yield self._cooperative()
            yield self._likelihood("baseline", kept=2)
        elif contest == "residual":
            yield self._phase("warmup", self._kept(1), self._discriminator_moments(), learns="discriminator")
            yield self._likelihood("baseline", kept=2)
        yield self._verdict()

    def _players(self) -> Bytes:
        g, d = self.generator, self.discriminator
        return {
            "generator": g.base + g.learns,
            "discriminator": d.base + d.copies * d.learns,
            "data": self._data(),
        }

    def _kept(self, generators: int) -> Bytes:
        """The weights that a run remembers by name: so many generators', and the warm discriminator's."""
        d = self.discriminator
        return {"kept weights": generators * self.generator.kept + (generators > 1) * d.copies * d.kept}

    def _optimizer(self, *players: Player) -> int:
        moments = MOMENTS[self.config.memory.optimizer]
        return int(moments * sum(player.copies * player.learns for player in players))

    def _likelihood(self, name: str, kept: int) -> Phase:
        """One more generator where it is not the run's own."""
        g, batch = self.generator, self.config.pretrain.batch_size
        held = self._kept(kept) | {"best so far": g.kept, "optimizers": self._optimizer(g)}
        if kept:
            held["copies"] = g.learns
        moments = {
            "an update": lambda: self._with_logits(self._update(g, ((True, (batch,)),)), batch),
            "a validation": lambda: {"gradients": g.learns} | self._validation(),
            "its end": lambda: {"gradients": g.learns, "kept weights": g.kept},
        }
        return self._phase(name, held, moments, learns="")

    def _game(self, name: str, kept: int) -> Phase:
        """A reference, a moving average and the best of it besides the two players, and both players' gradients."""
        g, d = self.generator, self.discriminator
        held = self._kept(kept) | {
            "reference": g.learns, "moving average": g.learns, "best so far": g.kept,
            "optimizers": self._optimizer(g, d),
        }  # fmt: skip
        other = {"gradients": d.copies * d.learns}
        part = -(-self.rows // self.micro)
        passes = ((False, (part,)),) * min(2, self.micro)
        if self.config.game.mle:
            passes += ((True, (part,)),) * min(2, self.micro)
        moments = self._discriminator_moments({"gradients": g.learns}) | {
            "a generator update": lambda: _added(other, self._with_logits(self._update(g, passes), part)),
            "a measure": lambda: _added(other, {"gradients": g.learns} | self._validation()),
            "samples to measure": lambda: _added(other, {"gradients": g.learns} | self._sampling(self.held_out)),
        }
        match self.config.game.signal:
            case "rollout":
                moments["rollouts"] = lambda: _added(other, {"gradients": g.learns, "rollouts": self._rollouts()})
            case "gumbel":
                moments |= self._relaxed()
            case "taylor":
                update, blocks = moments["a generator update"], work.blocks(g, work.EXPANDED, work.EXPANSIONS)
                moments["a generator update"] = lambda: _added(update(), {"activations": blocks})
        return self._phase(name, held, moments, learns="both")

    def _relaxed(self) -> dict[str, Callable[[], Bytes]]:
        """Soft texts, of which the next ones, with the generator's graph, are drawn before D learns from the last."""
        g, d, piece = self.generator, self.discriminator, min(work.PIECE, self.rows)
        soft = work.blocks(g, self.rows * (self.length - 1), 1)
        graph = work.update(g, ((False, (self.rows,)),), self.length, "fp32")
        chunk = work.blocks(g, min(SOFT, self.rows * self.length), 2)
        passes = ((True, (piece, piece)),) * (2 if self.rows > work.PIECE else 1)
        both = {"gradients": g.learns + d.learns, "activations": graph - g.learns}

        def reading(player_passes: work.Parts) -> Bytes:
            return {"activations": work.update(d, player_passes, self.length, "fp32") - d.learns}

        return {
            "a discriminator update": lambda: _added(both | {"soft tokens": 2 * soft}, reading(passes)),
            "a generator update": lambda: _added(both | {"soft tokens": soft + chunk}, reading(((False, (piece,)),))),
        }

    def _cooperative(self) -> Phase:
        """A mediator of the generator's size besides the two players; two passes of its update, real and generated."""
        g, part = self.generator, -(-self.rows // self.micro)
        held = self._kept(1) | {"best so far": g.kept, "mediator": g.learns, "optimizers": self._optimizer(g, g)}
        other = {"gradients": g.learns}

        def update(training: bool, passes: int) -> Bytes:
            return _added(other, self._with_logits(self._update(g, ((training, (part,)),) * passes), part))

        moments = {
            "a mediator update": lambda: update(True, 2),
            "a generator update": lambda: update(False, min(2, self.micro)),
            "sampling": lambda: _added(other, {"gradients": g.learns} | self._sampling(self.rows)),
            "a measure": lambda: _added(other, {"gradients": g.learns} | self._validation()),
            "samples to measure": lambda: _added(other, {"gradients": g.learns} | self._sampling(self.held_out)),
        }
        return self._phase("adversarial", held, moments, learns="")

    def _discriminator_moments(self, other: Bytes | None = None) -> dict[str, Callable[[], Bytes]]:
        """other: what the generator's last update has left."""
        d, other = self.discriminator, other or {}
        dense = self.config.game.signal in EVERY_PREFIX
        part = -(-self.rows // self.micro)
        if self.config.game.loss not in PAIRS:
            batches = (part, part)
        else:
            prompts = -(-self.config.adversarial.prompts_per_step // self.micro)
            batches = (prompts, prompts * self.config.adversarial.samples_per_prompt)
        passes = ((True, batches),) * min(2, self.micro)
        judged = self.rows if dense else min(self.rows, work.VERDICTS)
        left = {"gradients": d.copies * d.learns}
        return {
            "a discriminator update": lambda: _added(other, self._update(d, passes)),
            "a verdict": lambda: _added(other, left | {"activations": work.reading(d, judged, self.length)}),
            "sampling": lambda: _added(other, left | self._sampling(self.rows)),
        }

    def _verdict(self) -> Phase:
        """A system on trial, the one before it, and two fresh discriminators with the best weights of one."""
        g, d = self.generator, self.discriminator
        systems = 1 if self.config.contest is None else 2 + len(self.config.evaluation.controls)
        fresh = d.copies * d.learns
        held = self._kept(1 if systems == 1 else systems + 1)
        held |= {"copies": min(systems, 2) * g.learns, "fresh discriminators": (systems + 1) * fresh}
        part, rows, reads = -(-self.rows // self.micro), self.rows, min(self.held_out, work.VERDICTS)
        learning = {"optimizers": self._optimizer(d), "best so far": d.copies * d.kept}
        left = learning | {"gradients": fresh}
        moments = {
            "a discriminator update": lambda: learning | self._update(d, ((True, (part, part)),) * min(2, self.micro)),
            "a verdict": lambda: left | {"activations": work.reading(d, reads, self.length)},
            "a measure": self._validation,
            "sampling": lambda: left | self._sampling(max(rows, self.held_out)),
        }
        return self._phase("verdict", held, moments, learns="")

    def _update(self, player: Player, parts: work.Parts) -> Bytes:
        """A text meets one network of an ensemble: gradients of all, activations of one."""
        peak = work.update(player, parts, self.length, self.config.precision)
        gradients = min(player.learns, peak)
        return {"gradients": player.copies * gradients, "activations": peak - gradients}

    def _with_logits(self, update: Bytes, rows: int) -> Bytes:
        return update | {"logits": work.chunk_logits(self.generator, rows, self.length, self.device)}

    def _validation(self) -> Bytes:
        rows = min(VALIDATED, self.held_out)
        return self._with_logits({"activations": work.reading(self.generator, rows, self.length)}, rows)

    def _sampling(self, rows: int) -> Bytes:
        g = self.generator
        return {"decode caches": work.caches(g, rows, self.length), "logits": work.step_logits(g, rows)}

    def _rollouts(self) -> int:
        """A wave of them, and what the discriminator holds while it reads some."""
        return Plan(1, 1, None, 0).budget + work.reading(self.discriminator, JUDGED, self.length)

    def _phase(self, name: str, held: Bytes, moments: dict[str, Callable[[], Bytes]], learns: str) -> Phase:
        held = self._players() | held
        found = {moment: self._with_holes(besides()) for moment, besides in moments.items()}
        worst = max(found, key=lambda moment: sum(found[moment].values()))
        waiting = 0
        if self.config.memory.offload and self.device != "cpu" and learns:
            held, waiting = self._offloaded(held, learns)
        return Phase(name, held, worst, found[worst], waiting)

    def _with_holes(self, besides: Bytes) -> Bytes:
        return besides | ({"allocator": int(HOLES * besides.get("activations", 0))} if self.device == "cpu" else {})

    def _offloaded(self, held: Bytes, learns: str) -> tuple[Bytes, int]:
        """The smaller pretrained player, its optimizer, the reference and the average wait in the CPU's memory."""
        g, d, gone = self.generator, self.discriminator, Bytes()
        judges = self.config.discriminator.architecture in PRETRAINED_JUDGES
        names = [name for name in ("reference", "moving average") if self.config.generator.pretrained]
        gone = {name: held.get(name, 0) for name in names}
        if judges and (learns == "discriminator" or d.learns > g.learns) and self.config.generator.pretrained:
            gone |= {"generator": held["generator"], "optimizers": self._optimizer(g) * (learns == "both")}
        elif judges:
            gone |= {"discriminator": held["discriminator"], "optimizers": self._optimizer(d) * (learns == "both")}
        return {name: count - gone.get(name, 0) for name, count in held.items()}, sum(gone.values())

    def _data(self) -> int:
        data = self.config.data
        if data.path == ORACLE:
            return TOKEN * (data.oracle.length + 1) * (data.oracle.texts + 2 * data.oracle.held_out)
        path = Path(data.path).expanduser()
        return FILE * path.stat().st_size if path.is_file() else 0


def _added(one: Bytes, other: Bytes) -> Bytes:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(n for n in other if n not in one))}
