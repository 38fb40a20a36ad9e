"""The classic GAN (Goodfellow et al. 2014), on points in the plane instead of texts, with mgan's own value functions.

    python examples/classic_gan.py [PICTURE]

Noise z ~ N(0, I) goes through a network, and the points it makes are to be those of eight Gaussians on a circle. Points
are continuous, so G learns through D by the chain rule; where the data are texts, `mgan` puts the policy gradient in
its place, and nothing else in this loop changes:

    D descends  loss(d(real), d(G(z))) + penalty on D's slope        G ascends  payoff(d(G(z)))
"""

import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mgan.game.losses import PAYOFFS, Loss, binary, hinge, wasserstein
from mgan.game.penalties import gradient_penalty, r1
from mgan.game.values import Payoff

MODES, RADIUS, DEVIATION, BATCH = 8, 2.0, 0.1, 128
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
CENTRES = RADIUS * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
Penalty = Callable[[nn.Module, Tensor, Tensor], Tensor]


def smooth_at_data(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return 0.02 * r1(D, real)


def lipschitz(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return gradient_penalty(D, real, fake, torch.rand(len(real)))


GAMES: dict[str, tuple[Loss, Payoff, Penalty]] = {
    "nonsaturating, R1": (binary, PAYOFFS["nonsaturating"], smooth_at_data),
    "hinge, R1": (hinge, PAYOFFS["critic"], smooth_at_data),
    "Wasserstein, gradient penalty": (wasserstein, PAYOFFS["critic"], lipschitz),
}


def data(count: int) -> Tensor:
    return CENTRES[torch.randint(MODES, (count,))] + DEVIATION * torch.randn(count, 2)


def network(inputs: int, outputs: int, hidden: int = 64) -> nn.Sequential:
    layers = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)]
    return nn.Sequential(*layers)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def play(loss: Loss, payoff: Payoff, penalty: Penalty, rounds: int) -> Tensor:
    """[1000, 2]: what the generator makes after so many rounds."""
    torch.manual_seed(0)
    G, D = network(8, 2), network(2, 1)
    g_optimizer, d_optimizer = (torch.optim.Adam(player.parameters(), lr=2e-3, betas=(0.0, 0.99)) for player in (G, D))
    weight = torch.full((BATCH, 1), 1 / BATCH)
    for _ in range(rounds):
        real, fake = data(BATCH), G(torch.randn(BATCH, 8)).detach()
        descend(d_optimizer, loss(D(real), weight, D(fake), weight) + penalty(D, real, fake))
        descend(g_optimizer, -payoff(D(G(torch.randn(BATCH, 8)))).mean())
    with torch.no_grad():
        return G(torch.randn(1000, 8))


def measure(points: Tensor) -> tuple[int, float]:
    """Modes with a quarter of their share of points at least; the share of points within 4 deviations of a mode."""
    distance, nearest = torch.cdist(points, CENTRES).min(1)
    near = distance < 4 * DEVIATION
    return int((nearest[near].bincount(minlength=MODES) > len(points) / MODES / 4).sum()), near.float().mean().item()


def main(picture: str | None = None, rounds: int = 1500) -> dict[str, tuple[int, float]]:
    torch.set_num_threads(1)
    made = {"data": data(1000), **{name: play(*game, rounds) for name, game in GAMES.items()}}
    measured = {name: measure(points) for name, points in made.items()}
    for name, (modes, near) in measured.items():
        print(f"{name:32}{modes} of {MODES} modes, {near:.0%} of the points near one")
    if picture:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 2.9), layout="constrained")
        for axes, (name, points) in zip(figure.subplots(1, len(made)), made.items(), strict=True):
            axes.scatter(*points.t().numpy(), s=2, color="tab:blue" if name == "data" else "tab:orange")
            axes.set(title=name, aspect="equal", xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
        figure.savefig(picture, dpi=80)
    return measured


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else None)
