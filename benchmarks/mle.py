"""Maximum likelihood, an LSTM of 32 on an oracle's 10,000 texts x 20 tokens: ours and TextGAN-PyTorch's.

A turn is a quarter of an epoch, 39 batches of 64; vocabulary 5,000, Adam at 0.01, gradients clipped to a norm of 5. The
texts are drawn from a seeded oracle, the same for both.

    python benchmarks/mle.py --peer FOLDER
"""

from __future__ import annotations

import argparse
from typing import Any

import textgan
from pairing import Step, Work, main

TEXTS, LENGTH, BATCH, VOCABULARY, HIDDEN = 10_000, 20, 64, 5000, 32
RATE, CLIP = 0.01, 5.0
BATCHES = TEXTS // BATCH // 4
TOKENS = BATCHES * BATCH * LENGTH
# Forward, and backward twice as much: four gates, and the output layer.
FLOPS = 3.0 * TOKENS * (2 * 4 * HIDDEN * 2 * HIDDEN + 2 * HIDDEN * VOCABULARY)


def texts() -> Any:
    """[TEXTS, LENGTH] int64."""
    from mgan.config import Oracle
    from mgan.evaluation.oracle import write
    from mgan.models.oracle import build_oracle

    return write(build_oracle(Oracle(hidden=HIDDEN, vocabulary=VOCABULARY), 0), TEXTS, LENGTH, 0).tokens[:, 1:]


def ours(arguments: argparse.Namespace) -> Step:
    import torch

    from mgan.config import Pretrain
    from mgan.data.readers import Example
    from mgan.data.rows import encode
    from mgan.data.tokenizers import ids
    from mgan.fit.compute import Ledger
    from mgan.fit.hardware import Hardware
    from mgan.fit.likelihood import MaximumLikelihood
    from mgan.models.lstm import LSTMGenerator

    examples = [Example("", " ".join(map(str, row))) for row in texts().tolist()]
    rows = encode(examples, ids(VOCABULARY), LENGTH + 1)
    settings = Pretrain(
        batch_size=BATCH, learning_rate=RATE, clip=CLIP, weight_decay=0, epochs=1000, evaluate_every=10**6
    )
    torch.manual_seed(0)
    generator = LSTMGenerator(VOCABULARY, HIDDEN, tied=False)
    fit = MaximumLikelihood(generator, rows, rows, settings, hardware=Hardware(), seed=0, ledger=Ledger())

    def step() -> dict[str, float]:
        return {"loss": round(sum(fit.step()["loss"] for _ in range(BATCHES)) / BATCHES, 3)}

    return step


def peer(arguments: argparse.Namespace) -> Step:
    config = textgan.textgan(arguments.peer)
    import torch
    from instructor.oracle_data.instructor import BasicInstructor
    from models.SeqGAN_G import SeqGAN_G
    from utils.data_loader import GenDataIter

    wanted = (BATCH, LENGTH, VOCABULARY, HIDDEN, HIDDEN, RATE, CLIP)
    assert wanted == (
        config.batch_size, config.max_seq_len, config.vocab_size, config.gen_embed_dim, config.gen_hidden_dim,
        config.gen_lr, config.clip_norm,
    )  # fmt: skip
    torch.manual_seed(0)
    generator = SeqGAN_G(HIDDEN, HIDDEN, VOCABULARY, LENGTH, config.padding_idx, gpu=False)
    optimizer = torch.optim.Adam(generator.parameters(), lr=RATE)
    loader = GenDataIter(texts()[: BATCHES * BATCH]).loader
    # Its own epoch, without the files and oracles that the constructor makes.
    instructor = object.__new__(BasicInstructor)

    def step() -> dict[str, float]:
        loss = instructor.train_gen_epoch(generator, loader, torch.nn.NLLLoss(), optimizer)
        return {"loss": round(loss, 3)}

    return step


if __name__ == "__main__":
    work = Work(f"{BATCHES} batches of {BATCH} texts x {LENGTH} tokens", flops=FLOPS, tokens=TOKENS)
    main(__doc__, work, ours, peer, changes=textgan.CHANGES)
