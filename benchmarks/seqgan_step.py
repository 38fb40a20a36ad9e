"""A SeqGAN generator step, paid by Monte-Carlo rollouts, beside TextGAN-PyTorch's.

    python benchmarks/seqgan_step.py --peer PATH --turns 2 [--json]     # PATH: a clone of williamSYSU/TextGAN-PyTorch

The peer's default sizes: 64 texts of 20 tokens of 5,000, 16 rollouts for each of their first 19 prefixes, an LSTM of
32, SeqGAN's discriminator, Adam; the same weights on both sides. A turn of the peer takes more than a minute. It pays
the rewards to the wrong sentences, which costs it no time; its record says how far our rewards are from those that its
own discriminator gives to the same completed sentences (``difference``).
"""

from __future__ import annotations

import argparse
import importlib
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mgan.models.logprobs import weighted_logprobs
from mgan.models.lstm import LSTMGenerator, lstm_flops
from mgan.models.seqgan import FEATURES, FILTERS, WIDTHS, SeqGANDiscriminator
from mgan.sampling.decode import sample
from mgan.sampling.rollouts import Plan, rollout_values, waves
from mgan.types import Batch, collate
from pairing import Step, Work, main
from textgan import CHANGES, textgan

BATCH, LENGTH, VOCABULARY, BOS, ROLLOUTS = 64, 20, 5000, 1, 16
HIDDEN, EMBEDDING = 32, 64
RATE = 1e-2
SAME = 1e-4
PLAN = Plan(count=ROLLOUTS, max_length=1 + LENGTH, eos=None, pad=0)


def players() -> tuple[LSTMGenerator, SeqGANDiscriminator]:
    """The same on both sides; weights of a scale at which neither texts nor verdicts are all alike."""
    torch.manual_seed(0)
    generator = LSTMGenerator(VOCABULARY, HIDDEN, tied=False)
    discriminator = SeqGANDiscriminator(VOCABULARY, EMBEDDING)
    with torch.no_grad():
        discriminator.head.weight.normal_(std=0.2)
    return generator, discriminator


def write(generator: LSTMGenerator, seed: int) -> Batch:
    prompts = collate([([BOS], 1)] * BATCH, 0)
    return sample(generator, prompts, max_length=1 + LENGTH, eos=None, pad=0, seed=seed)


def learn(generator: LSTMGenerator, optimizer: torch.optim.Optimizer, samples: Batch, weights: Tensor) -> None:
    optimizer.zero_grad()
    gain, _ = weighted_logprobs(generator, samples.tokens, samples.mask, weights, 1.0)
    (-gain).backward()
    optimizer.step()


def ours(arguments: argparse.Namespace) -> Step:
    generator, discriminator = players()
    generator.eval()
    optimizer = torch.optim.Adam(generator.parameters(), lr=RATE, fused=True)
    seed = iter(range(10**9))

    def step() -> None:
        samples = write(generator, next(seed))
        worth = rollout_values(generator, discriminator, samples, torch.sigmoid, PLAN, next(seed))
        learn(generator, optimizer, samples, worth.values)

    return step


def peer(arguments: argparse.Namespace) -> Step:
    settings = textgan(arguments.peer)
    instructor = importlib.import_module("instructor.oracle_data.seqgan_instructor")
    gen = instructor.SeqGAN_G(
        settings.gen_embed_dim, settings.gen_hidden_dim, settings.vocab_size, settings.max_seq_len,
        settings.padding_idx,
    )  # fmt: skip
    dis = instructor.SeqGAN_D(settings.dis_embed_dim, settings.vocab_size, settings.padding_idx)
    adopt(gen, dis)
    trainer = SimpleNamespace(
        gen=gen, dis=dis, gen_adv_opt=torch.optim.Adam(gen.parameters(), lr=settings.gen_lr),
        optimize=instructor.SeqGANInstructor.optimize,
        log=SimpleNamespace(info=lambda line: None), cal_metrics=lambda fmt_str: "",
    )  # fmt: skip
    # As in its own training; with dropout on, its rewards would be noisy.
    figures = {"difference": difference(dis.eval())}

    def step() -> dict[str, Any]:
        instructor.SeqGANInstructor.adv_train_generator(trainer, 1)
        return figures

    return step


def adopt(gen: Any, dis: Any) -> None:
    """Give the peer's networks our weights. Of its two outputs the difference is our logit."""
    generator, discriminator = players()
    body = generator.body
    gen.load_state_dict(
        {"embeddings.weight": body.embedding.weight}
        | {f"lstm.{name}": weight for name, weight in body.lstm.state_dict().items()}
        | {f"lstm2out.{name}": weight for name, weight in generator.output.state_dict().items()}
    )
    weights = {"embeddings.weight": discriminator.embedding.weight}
    for i, conv in enumerate(discriminator.convolutions):
        kernel, bias = conv.state_dict().values()
        weights |= {f"convs.{i}.weight": kernel.transpose(1, 2)[:, None], f"convs.{i}.bias": bias}
    for name, weight in discriminator.head.state_dict().items():
        weights[f"feature2out.{name}"] = torch.cat([-weight / 2, weight / 2])
    dis.load_state_dict(
        weights | {f"highway.{name}": weight for name, weight in discriminator.highway.state_dict().items()}
    )


@torch.no_grad()
def difference(dis: Any, rows: int = 4) -> float:
    """The largest difference of our rewards from those of the peer's network, over ``rows`` samples."""
    generator, discriminator = players()
    samples = write(generator.eval(), 0).rows(slice(0, rows))
    found = rollout_values(generator, discriminator, samples, torch.sigmoid, PLAN, 1).values
    expected = torch.zeros_like(found)
    for wave in waves(generator, samples, PLAN, 1):
        paid = dis(wave.texts.tokens[:, 1:]).softmax(-1)[:, 1]
        expected.index_put_((wave.row, wave.position), paid / ROLLOUTS, accumulate=True)
    expected[:, -1] = dis(samples.tokens[:, 1:]).softmax(-1)[:, 1]
    apart = float((found - expected).abs().max())
    if apart > SAME or expected[:, 1:].std() < 100 * SAME:
        raise SystemExit(f"our rewards are {apart:.2g} from the peer's, more than {SAME}, or they are all alike")
    return float(f"{apart:.2g}")


def operations() -> tuple[int, int]:
    """Of one of our steps in matrix products; and of the plain way's, which reads every text whole."""
    forks = BATCH * (LENGTH - 1)
    texts = forks * ROLLOUTS
    drawn = texts * LENGTH // 2  # on average half of a text is written
    token, output = lstm_flops(HIDDEN, 1), 2 * HIDDEN * VOCABULARY
    # The first tokens of a prefix's rollouts come from one distribution; those of the last position are read by nobody.
    written = (drawn - texts + forks) * output + (drawn - texts + forks) * token
    own = BATCH * LENGTH * 4 * (token + output)  # sampled, then learned from: forward, and twice that backward
    windows = sum(width * filters for width, filters in zip(WIDTHS, FILTERS, strict=True))
    tables = 2 * EMBEDDING * windows * VOCABULARY
    highway = (texts + BATCH) * 2 * FEATURES * FEATURES
    places = sum((LENGTH - w + 1) * w * f for w, f in zip(WIDTHS, FILTERS, strict=True))
    plain = drawn * output + 2 * EMBEDDING * places * (texts + BATCH) + highway
    return written + own + tables + highway, plain


if __name__ == "__main__":
    least, plain = operations()
    what = (
        f"{BATCH} texts of {LENGTH} tokens, {ROLLOUTS} rollouts a prefix: "
        f"{BATCH * (LENGTH - 1) * ROLLOUTS:,} texts judged; "
        f"{least / 1e9:.0f} GFLOP with convolutions looked up, besides 1e9 exponentials and 1e9 numbers added; "
        f"{plain / 1e9:.0f} GFLOP where every text is convolved whole"
    )
    main(__doc__, Work(what, flops=least, tokens=BATCH * LENGTH), ours, peer, changes=CHANGES)
