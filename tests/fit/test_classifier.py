"""Fitting a discriminator, and the hardware it runs on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mgan.fit.classifier import (
    DiscriminatorUpdate,
    balanced_accuracy,
    fit_discriminator,
    held_out_loss,
    pieces,
    verdicts,
)
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.game.signals import final
from mgan.models.cnn import CNNDiscriminator
from mgan.models.lstm import LSTMDiscriminator
from mgan.types import Batch, UserError, collate

VOCABULARY = 8


def texts(count: int, seed: int, likely: int) -> Batch:
    """Ragged texts with prompts in which token ``likely`` is frequent."""
    source = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        length = int(torch.randint(2, 9, (1,), generator=source))
        body = torch.randint(3, VOCABULARY, (length,), generator=source)
        body[torch.rand(length, generator=source) < 0.4] = likely
        prompt = int(torch.randint(1, 1 + length // 2 + 1, (1,), generator=source))
        rows.append(([1, *body.tolist(), 2], prompt))
    return collate(rows, 0)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware()


def update(discriminator: nn.Module, hardware: Hardware, **changes: object) -> DiscriminatorUpdate:
    options = {"learning_rate": 0.01, "clip": 1.0, "signal": "dense", "ledger": Ledger()}
    return DiscriminatorUpdate(discriminator, hardware=hardware, **options | changes)  # type: ignore[arg-type]


def lstm(seed: int = 0) -> LSTMDiscriminator:
    torch.manual_seed(seed)
    return LSTMDiscriminator(VOCABULARY, 8)


@pytest.mark.parametrize("signal", ["dense", "sequence"])
@pytest.mark.parametrize("micro_batches", [2, 4, 7])
def test_micro_batches_change_memory_and_nothing_else(hardware: Hardware, signal: str, micro_batches: int) -> None:
    found: list[tuple[list[Tensor], dict[str, float], float]] = []
    for count in (1, micro_batches):
        discriminator, ledger = lstm(), Ledger()
        step = update(discriminator, hardware, signal=signal, micro_batches=count, ledger=ledger)
        # Adam's first step is the gradient's sign: plain descent shows its size.
        step.optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.5)  # type: ignore[assignment]
        for i in range(3):
            metrics = step(texts(20, i, 4), texts(20, 50 + i, 6))
        found.append(([p.detach() for p in discriminator.parameters()], metrics, ledger.flops))
    (whole, told, cost), (cut, told_cut, cost_cut) = found
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, cut, strict=True))
    assert told == pytest.approx(told_cut, abs=1e-5)
    # Pieces are padded to their own longest row.
    assert 0 < cost_cut <= cost


@pytest.mark.parametrize("signal", ["dense", "sequence"])
def test_a_step_is_down_the_mean_loss_of_the_judged_positions(hardware: Hardware, signal: str) -> None:
    """At the undecided start the loss is 2 log 2, and the head's bias is pulled by neither side alone."""
    discriminator = lstm()
    real, fake = texts(16, 0, 4), texts(16, 1, 6)
    metrics = update(discriminator, hardware, signal=signal)(real, fake)
    assert metrics["d_loss"] == pytest.approx(2 * math.log(2), abs=1e-5)
    assert metrics["train_accuracy"] == 0.5


def test_each_prefix_weighs_one_or_each_text(hardware: Hardware) -> None:
    """The loss is the mean over what D learns from, whatever the texts' lengths."""
    discriminator = lstm()
    nn.init.normal_(discriminator.head.weight)
    real, fake = texts(8, 0, 4), texts(8, 1, 6)
    softplus = nn.functional.softplus
    with torch.no_grad():
        discriminator.eval()
        d, g = discriminator(real.tokens), discriminator(fake.tokens)
        whole = softplus(-final(d, real.mask)).mean() + softplus(final(g, fake.mask)).mean()
        count = (real.mask.sum() + fake.mask.sum()) / 2
        each = (softplus(-d[real.mask]).sum() + softplus(g[fake.mask]).sum()) / count
    for signal, expected in (("sequence", whole), ("rollout", whole), ("dense", each)):
        loss = update(discriminator, hardware, signal=signal, learning_rate=0.0)(real, fake)["d_loss"]
        assert loss == pytest.approx(float(expected), rel=1e-5)


def test_whole_texts_cost_one_logit_each(hardware: Hardware) -> None:
    discriminator, ledger = lstm(), Ledger()
    real, fake = texts(8, 0, 4), texts(8, 1, 6)
    tokens = real.tokens.numel() + fake.tokens.numel()
    for signal, logits in (("dense", tokens), ("sequence", 16)):
        before = ledger.flops
        update(discriminator, hardware, signal=signal, ledger=ledger)(real, fake)
        spent = discriminator.flops_per_token * tokens + discriminator.flops_per_verdict * logits
        assert ledger.flops - before == 3 * spent


def test_the_prompt_and_the_padding_teach_nothing(hardware: Hardware) -> None:
    """Texts that differ in padding only leave the same discriminator."""
    weights = []
    for pad in (0, 7):
        discriminator = lstm()
        step = update(discriminator, hardware)
        real, fake = texts(12, 0, 4), texts(12, 1, 6)
        for batch in (real, fake):
            batch.tokens[torch.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]] = pad
        for _ in range(3):
            step(real, fake)
        weights.append([p.detach().clone() for p in discriminator.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*weights, strict=True))


def test_pieces_are_all_rows_in_order() -> None:
    batch = texts(10, 0, 4)
    for count in (1, 3, 10, 25):
        parts = pieces(batch, count)
        assert sum(map(len, parts)) == 10 and all(len(part) for part in parts)
        lengths = torch.cat([part.lengths for part in parts])
        assert torch.equal(lengths, batch.lengths)


def test_balanced_accuracy_weighs_both_sides_alike_whatever_their_number() -> None:
    assert balanced_accuracy(torch.tensor([1.0]), torch.tensor([-1.0, -2, -3, 4])) == (1 + 0.75) / 2
    assert balanced_accuracy(torch.ones(5), torch.ones(3)) == 0.5
    assert balanced_accuracy(torch.zeros(5), torch.zeros(3)) == 0.5
    assert balanced_accuracy(torch.tensor([0.0, 1.0]), torch.tensor([1.0])) == pytest.approx(0.375)


def test_verdicts_are_of_whole_texts_without_dropout_in_any_chunk() -> None:
    torch.manual_seed(0)
    discriminator = CNNDiscriminator(VOCABULARY, 8, dropout=0.5)
    nn.init.normal_(discriminator.head.weight)
    batch = texts(30, 3, 4)
    found = verdicts(discriminator, batch, chunk=7)
    discriminator.eval()
    for i in range(30):
        text = batch.tokens[i : i + 1, : int(batch.lengths[i])]
        assert float(found[i]) == pytest.approx(float(discriminator(text)[0, -1].detach()), abs=1e-5)


def batch(step: int) -> tuple[Batch, Batch]:
    return texts(32, step, 4), texts(32, 100 + step, 6)


def test_a_discriminator_learns_what_tells_the_texts_apart(hardware: Hardware) -> None:
    held = texts(100, 998, 4), texts(100, 999, 6)
    discriminator = lstm()
    loss = fit_discriminator(update(discriminator, hardware), batch, held, steps=40, evaluate_every=10)
    accuracy = balanced_accuracy(verdicts(discriminator, held[0]), verdicts(discriminator, held[1]))
    assert loss == pytest.approx(held_out_loss(discriminator, *held))
    assert loss < 2 * math.log(2) - 0.1 and accuracy > 0.7


def test_the_best_held_out_weights_are_kept(hardware: Hardware) -> None:
    """Learning the wrong way round: every step makes the held-out loss worse, so the start is the best."""
    wrong = texts(50, 998, 6), texts(50, 999, 4)
    discriminator = lstm()
    before = {k: v.clone() for k, v in discriminator.state_dict().items()}
    loss = fit_discriminator(update(discriminator, hardware), batch, wrong, steps=10, evaluate_every=3)
    assert loss == pytest.approx(2 * math.log(2), abs=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in discriminator.state_dict().items())
    assert not discriminator.training


def test_every_update_has_a_batch_of_its_own(hardware: Hardware) -> None:
    asked: list[int] = []

    def counted(step: int) -> tuple[Batch, Batch]:
        asked.append(step)
        return batch(step)

    fit_discriminator(update(lstm(), hardware), counted, batch(99), steps=5, evaluate_every=2)
    assert asked == [0, 1, 2, 3, 4]


def test_the_last_weights_are_a_candidate_too(hardware: Hardware) -> None:
    held = texts(100, 998, 4), texts(100, 999, 6)
    short, long = lstm(), lstm()
    first = fit_discriminator(update(short, hardware), batch, held, steps=7, evaluate_every=100)
    assert first < 2 * math.log(2)
    assert fit_discriminator(update(long, hardware), batch, held, steps=7, evaluate_every=1) <= first + 1e-6


# --- hardware


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_one_sentence(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match=f"device={device} is not available"):
        Hardware(device)


def test_cpu_is_cpu_and_a_second_hardware_may_be_another() -> None:
    assert Hardware("cpu").device.type == "cpu"
    half = Hardware("cpu", "bf16")
    matrix = torch.ones(4, 4)
    with half.autocast():
        assert (matrix @ matrix).dtype == torch.bfloat16
    full = Hardware("cpu", "fp32")
    with full.autocast():
        assert (matrix @ matrix).dtype == torch.float32


def test_clipping_scales_the_gradient_to_the_norm_asked_for(hardware: Hardware) -> None:
    layer = nn.Linear(3, 3)
    hardware.backward(layer(torch.full((1, 3), 10.0)).sum())
    norm = float(torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None]).norm())
    assert hardware.clip(layer.parameters(), 1.0) == pytest.approx(norm)
    clipped = torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None]).norm()
    assert float(clipped) == pytest.approx(1.0, abs=1e-3)
