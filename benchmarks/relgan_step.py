"""A RelGAN generator step, and under ``discriminator`` a discriminator step, beside TextGAN-PyTorch's.

    python benchmarks/relgan_step.py --peer PATH [--json]      # PATH: a clone of williamSYSU/TextGAN-PyTorch

The peer's default sizes: 64 texts of 20 tokens of 5,000, one memory slot, two heads of 256, 64 representations, the
relativistic loss, dropout in the discriminator. Both steps draw soft texts, judge them beside real ones and end with
Adam; choosing the real texts is left out on both sides. The peer's record says how far apart the two losses are with
the same weights and the same noise (``difference``).
"""

from __future__ import annotations

import argparse
import copy
import importlib
import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mgan.models.relational import RelationalGenerator
from mgan.models.relgan import FILTERS, WIDTHS, RelGANDiscriminator
from mgan.sampling.soft import GumbelNoise, SoftBatch, soft_sample
from mgan.sampling.uniforms import row_seeds
from mgan.training.gumbel import teach_discriminator, teach_generator
from mgan.types import Batch
from pairing import Step, Work, main
from textgan import CHANGES, textgan

BATCH, LENGTH, VOCABULARY, BOS = 64, 20, 5000, 1
HEADS, HEAD_SIZE, EMBEDDING, REPRESENTATIONS = 2, 256, 32, 64
RATE, CLIP = 1e-4, 5.0
SAME, ENLARGED = 1e-4, 3.0


def players() -> tuple[RelationalGenerator, RelGANDiscriminator]:
    torch.manual_seed(0)
    generator = RelationalGenerator(
        VOCABULARY, HEADS * HEAD_SIZE, heads=HEADS, tied=False, slots=1, embedding=EMBEDDING
    )
    return generator, RelGANDiscriminator(VOCABULARY, REPRESENTATIONS, REPRESENTATIONS)


def real_tokens() -> Tensor:
    """[BATCH, LENGTH], without BOS."""
    return torch.randint(VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1))


def with_bos(tokens: Tensor) -> Batch:
    start = torch.full((BATCH, 1), BOS)
    mask = torch.arange(1 + tokens.shape[1]) > 0
    return Batch(torch.cat([start, tokens], 1), mask.expand(BATCH, -1), torch.ones(BATCH, dtype=torch.long))


def write(generator: RelationalGenerator, seed: int) -> SoftBatch:
    prompts = with_bos(torch.empty(BATCH, 0, dtype=torch.long))
    return soft_sample(generator, prompts, max_length=1 + LENGTH, eos=None, pad=0, seed=seed)


def ours(arguments: argparse.Namespace) -> Step:
    generator, discriminator = players()
    real, seed = with_bos(real_tokens()), iter(range(10**9))
    player: Any = generator if arguments.step == "generator" else discriminator
    optimizer = torch.optim.Adam(player.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        if arguments.step == "generator":
            teach_generator(discriminator, write(generator, next(seed)), real)
        else:
            with torch.no_grad():
                written = write(generator, next(seed))
            teach_discriminator(discriminator, written, real)
        torch.nn.utils.clip_grad_norm_(player.parameters(), CLIP)
        optimizer.step()

    return step


def peer(arguments: argparse.Namespace) -> Step:
    settings = textgan(arguments.peer, loss_type="rsgan")
    instructor = importlib.import_module("instructor.oracle_data.relgan_instructor")
    torch.manual_seed(0)
    gen = instructor.RelGAN_G(
        settings.mem_slots, settings.num_heads, settings.head_size, settings.gen_embed_dim, settings.gen_hidden_dim,
        settings.vocab_size, settings.max_seq_len, settings.padding_idx,
    )  # fmt: skip
    dis = instructor.RelGAN_D(
        settings.dis_embed_dim, settings.max_seq_len, settings.num_rep, settings.vocab_size, settings.padding_idx
    )
    trainer = SimpleNamespace(
        gen=gen, dis=dis, optimize=instructor.RelGANInstructor.optimize,
        oracle_data=SimpleNamespace(random_batch=lambda: {"target": real_tokens()}),
        gen_adv_opt=torch.optim.Adam(gen.parameters(), lr=settings.gen_adv_lr),
        dis_opt=torch.optim.Adam(dis.parameters(), lr=settings.dis_lr),
    )  # fmt: skip
    figures = {"difference": difference(instructor, copy.deepcopy(trainer), arguments.step)}
    train = getattr(instructor.RelGANInstructor, f"adv_train_{arguments.step}")

    def step() -> dict[str, Any]:
        train(trainer, 1)
        return figures

    return step


def difference(instructor: Any, trainer: Any, which: str) -> float:
    """How far our loss is from the peer's, with the same weights, the same noise and no dropout.

    Weights that it starts from say next to nothing of a text: they are enlarged until losses differ in texts.
    """
    generator, discriminator = players()
    with torch.no_grad():
        for parameter in trainer.dis.parameters():
            parameter *= ENLARGED
    adopt(trainer.gen, trainer.dis, generator, discriminator)
    trainer.dis.eval()
    discriminator.eval()
    noise, everybody = GumbelNoise(row_seeds(0, BATCH)), torch.ones(BATCH, dtype=torch.bool)
    trainer.gen.add_gumbel = lambda logits: logits - noise.minus_gumbel(VOCABULARY, everybody)
    trainer.optimize = lambda optimizer, loss, model: None
    theirs = getattr(instructor.RelGANInstructor, f"adv_train_{which}")(trainer, 1)
    teach = teach_generator if which == "generator" else teach_discriminator
    mine = teach(discriminator, write(generator, 0), with_bos(real_tokens()))
    if abs(theirs - mine) > SAME:
        raise SystemExit(f"the losses are {mine:.6g} and {theirs:.6g}: more than {SAME} apart")
    if abs(mine - math.log(2)) < 100 * SAME:
        raise SystemExit(f"a loss of {mine:.6g} says nothing")
    return abs(theirs - mine)


@torch.no_grad()
def adopt(gen: Any, dis: Any, generator: RelationalGenerator, discriminator: RelGANDiscriminator) -> None:
    """Our networks take the peer's weights; its two scalar gate biases and its shared MLP layer become ours."""
    core = gen.lstm
    own, names = generator.memory, {"project": "input_projector", "attention": "qkv_projector"}
    names |= {"attention_norm": "qkv_layernorm", "memory_norm": "attended_memory_layernorm"}
    names |= {"mlp_norm": "attended_memory_layernorm2", "input_gates": "input_gate_projector"}
    for mine, its in names.items():
        own.get_submodule(mine).load_state_dict(core.get_submodule(its).state_dict())
    for place, layer in zip((0, 2), core.attention_mlp, strict=True):
        own.mlp[place].load_state_dict(layer.state_dict())
    own.memory_gates.weight.copy_(core.memory_gate_projector.weight)
    scalars = torch.stack([core.input_bias, core.forget_bias]).repeat_interleave(own.hidden)
    own.input_gates.bias += core.memory_gate_projector.bias + scalars
    generator.embedding.load_state_dict(gen.embeddings.state_dict())
    generator.output.load_state_dict(gen.lstm2out.state_dict())

    discriminator.embedding.weight.copy_(dis.embeddings.weight.t())
    for conv, its in zip(discriminator.convolutions, dis.convs, strict=True):
        conv.weight.copy_(its.weight.squeeze(1).transpose(1, 2))  # type: ignore[operator, union-attr]
        conv.bias.copy_(its.bias)  # type: ignore[operator, union-attr]
    discriminator.highway.load_state_dict(dis.highway.state_dict())
    discriminator.features.load_state_dict(dis.feature2out.state_dict())
    discriminator.head.load_state_dict(dis.out2logits.state_dict())


def works() -> dict[str, Work]:
    """The operations of either step's matrix products, forward and, where a gradient is wanted, back."""
    generator, discriminator = players()
    tokens = BATCH * LENGTH
    write_ = tokens * generator.flops_per_token
    windows = sum(width * (LENGTH - width + 1) for width in WIDTHS)
    maxima = discriminator.highway.in_features
    judge = BATCH * REPRESENTATIONS * 2 * (FILTERS * windows + maxima * maxima)
    embed = tokens * 2 * VOCABULARY * REPRESENTATIONS
    what = f"{BATCH} texts of {LENGTH} tokens"
    return {
        # Two products back for every one ahead that has weights to teach; one through D, which stands still.
        "generator": Work(f"generator step, {what}", 3 * write_ + 3 * judge + 2 * embed, tokens),
        "discriminator": Work(f"discriminator step, {what}", write_ + 2 * 3 * judge + 2 * embed, tokens),
    }


if __name__ == "__main__":
    done = works()
    main(
        __doc__,
        done["generator"],
        ours,
        peer,
        changes=CHANGES,
        arguments=lambda parser: parser.add_argument("--step", default="generator", help=argparse.SUPPRESS),
        others={"discriminator": (done["discriminator"], ["--step", "discriminator"])},
    )
