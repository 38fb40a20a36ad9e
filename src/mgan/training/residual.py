"""The residual energy-based model (Deng et al. 2020): a discriminator on a generator that stands still, as a pair.

    D up  log D(t) + log(1 - D(g)),   t ~ data,  g ~ G           noise-contrastive estimation, G being the noise
    P(x) = G(x) exp(d(x)) / Z                                    the pair; resampling k candidates approaches it

With D optimal, exp(d) is p_data / G and the pair is the data's own distribution. G's weights never move.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from torch import Tensor

from mgan.fit.classifier import held_out_loss
from mgan.sampling.uniforms import stream
from mgan.training.measures import held_out
from mgan.training.warmup import Warmup
from mgan.training.world import World
from mgan.types import Batch

FAKE = 40


class Residual:
    """The warm-up as an end in itself: D's best weights by held-out loss stay, its start among the candidates.

    Held out are validation texts, and completions of their prompts drawn once. The generator is kept as
    ``adversarial``, unmoved: what stands against maximum likelihood is its pair with D.
    """

    examples: Batch | None = None

    def __init__(self, world: World):
        self.world, self.warmup, self.total = world, Warmup(world), world.settings.warmup.steps
        held, temperature = held_out(world), world.settings.adversarial.temperature
        self.real = held.real.to(world.hardware.device)
        self.fake = held.sample(world.generator, temperature, stream(world.settings.seed, FAKE))
        self.steps, self.done = 0, False
        self.best_loss, self.best_step, self.best = math.inf, 0, dict[str, Tensor]()

    def begin(self) -> dict[str, float]:
        return self.warmup.begin() | self._measure()

    def step(self) -> dict[str, float]:
        metrics = self.warmup.step()
        self.steps, self.done = self.warmup.steps, self.warmup.done
        if self.done or self.steps % self.world.settings.adversarial.evaluate_every == 0:
            metrics |= self._measure()
        return metrics

    def _measure(self) -> dict[str, float]:
        discriminator = self.world.discriminator
        loss = held_out_loss(discriminator, self.real, self.fake)
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.steps
            self.best = copy.deepcopy(discriminator.state_dict())
        return {"validation_loss": loss}

    def finish(self) -> None:
        world = self.world
        world.discriminator.load_state_dict(self.best)
        world.keep("adversarial", world.restored("pretrained"))
        world.outcomes["adversarial"] = {
            "reason": "budget",
            "sentence": f"the generator stood still; its discriminator was best after {self.best_step} of "
            f"{self.steps} updates, by a held-out loss of {self.best_loss:.3f} (1.386 is guessing)",
            "rounds": "0",
        }

    def state_dict(self) -> dict[str, Any]:
        best = {"best": self.best, "best_loss": self.best_loss, "best_step": self.best_step}
        return {"warmup": self.warmup.state_dict()} | best

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.warmup.load_state_dict(state["warmup"])
        self.steps, self.done = self.warmup.steps, self.warmup.done
        device = self.world.hardware.device
        self.best = {k: v.to(device) for k, v in state["best"].items()}
        self.best_loss, self.best_step = state["best_loss"], state["best_step"]
