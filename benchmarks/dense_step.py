"""A generator step paid by dense per-prefix rewards, beside TextGAN-PyTorch's SeqGAN step, which rollouts pay.

    python benchmarks/dense_step.py --peer PATH --turns 2 [--json]      # PATH: a clone of williamSYSU/TextGAN-PyTorch

The same generator, batch, length and vocabulary as ``seqgan_step``. A discriminator that scores every prefix, here our
LSTM of 64, says in one pass what rollouts estimate; the two steps end alike. A turn of the peer takes over a minute.
"""

from __future__ import annotations

import argparse

import torch

from mgan.game.signals import dense_rewards, returns_to_go
from mgan.game.values import reverse_kl
from mgan.models.lstm import LSTMDiscriminator
from pairing import Step, Work, main
from seqgan_step import BATCH, EMBEDDING, LENGTH, RATE, VOCABULARY, learn, peer, players, write
from textgan import CHANGES


def ours(arguments: argparse.Namespace) -> Step:
    generator = players()[0].eval()
    discriminator = LSTMDiscriminator(VOCABULARY, EMBEDDING).eval()
    with torch.no_grad():
        discriminator.head.weight.normal_(std=0.2)
    optimizer = torch.optim.Adam(generator.parameters(), lr=RATE, fused=True)
    seed = iter(range(10**9))

    def step() -> None:
        samples = write(generator, next(seed))
        with torch.no_grad():
            rewards = dense_rewards(discriminator(samples.tokens), samples.mask, reverse_kl)
        learn(generator, optimizer, samples, returns_to_go(rewards, samples.mask, 1.0))

    return step


if __name__ == "__main__":
    generator, discriminator = players()[0], LSTMDiscriminator(VOCABULARY, EMBEDDING)
    # Sampled, learned from (forward, and twice that backward), judged.
    flops = BATCH * LENGTH * (4 * generator.flops_per_token + discriminator.flops_per_token)
    what = f"{BATCH} texts of {LENGTH} tokens of {VOCABULARY:,}, a reward for every prefix from an LSTM of {EMBEDDING}"
    main(__doc__, Work(what, flops=flops, tokens=BATCH * LENGTH), ours, peer, changes=CHANGES)
