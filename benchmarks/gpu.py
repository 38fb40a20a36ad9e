"""On an accelerator: does it compute what the CPU does, and how fast are decoding and training in bf16.

    python benchmarks/gpu.py [--small] [--json] [--save FILE]

Checks, in fp32 on a small GPT-2 and an LSTM: logits and logprobs of the same text on both devices, the same samples
from the same seeds, and that sampling's logprobs are those of a pass over the whole text; in bf16, that it runs. Then
two GPT-2s with random weights, 138 M and 1.6 B: tokens/s of sampling beside Hugging Face's ``generate`` (the faster of
its caches, turn about), the share of the memory bandwidth, tokens/s and MFU of likelihood training, peak memory. The
rates it compares with, of copies and of bf16 products, are measured on the chip. Without an accelerator, or with
--small, the models are tiny. Exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mgan.fit.likelihood import nll
from mgan.models.logprobs import token_logprobs
from mgan.models.lstm import LSTMGenerator
from mgan.models.transformer import TransformerGenerator, gpt2_config
from mgan.sampling.decode import sample
from mgan.types import Batch
from pairing import peak_mb, surroundings

TOLERANCE = 2e-3
"""Nats; float32 sums in another order differ by a hundredth of it."""
GIVEN, TURNS = 8, 3


@dataclass(frozen=True)
class Model:
    """batch, length: rows and new tokens of sampling. texts, context: rows and tokens of a training step."""

    name: str
    layers: int
    hidden: int
    heads: int
    vocabulary: int
    batch: int
    length: int
    texts: int
    context: int

    def network(self) -> TransformerGenerator:
        torch.manual_seed(0)
        return TransformerGenerator(
            gpt2_config(self.vocabulary, self.hidden, self.layers, self.heads, 0.0, self.context)
        )

    def bytes_read(self, parameters: int, width: int = 2) -> float:
        """What decoding must read: all weights at every step, and every row's keys and values so far."""
        steps = range(GIVEN, GIVEN + self.length)
        cache = sum(2 * self.layers * self.hidden * self.batch * filled for filled in steps)
        return float(width) * (parameters * self.length + cache)


MODELS = (
    Model("GPT-2 of 14 x 768", 14, 768, 12, 49_152, batch=64, length=256, texts=32, context=512),
    Model("GPT-2 of 48 x 1,600", 48, 1600, 25, 50_257, batch=64, length=256, texts=8, context=512),
)
SMALL = (Model("GPT-2 of 2 x 64", 2, 64, 4, 200, batch=4, length=8, texts=4, context=24),)


def checks(device: torch.device) -> dict[str, dict[str, Any]]:
    """What was found and whether it is right, by name."""
    torch.backends.cudnn.allow_tf32 = False  # on by default for an LSTM; of products it is off
    found: dict[str, dict[str, Any]] = {}
    networks = {"GPT-2": SMALL[0].network(), "LSTM": LSTMGenerator(SMALL[0].vocabulary, 64)}
    for name, network in networks.items():
        at_home = _written(network.eval(), _prompts(16, "cpu", SMALL[0]), 16)
        full, logits = _logprobs(network, at_home), _logits(network, at_home)
        assert at_home.logprobs is not None
        cached = _largest(at_home.logprobs - full)
        moved = network.to(device)
        abroad = _written(moved, _prompts(16, device, SMALL[0]), 16)
        same = (abroad.tokens.cpu() == at_home.tokens).all(1).float().mean()
        there = _logprobs(moved, at_home.to(device)).cpu()
        logits_there = _logits(moved, at_home.to(device)).cpu()
        half = _written(moved.to(torch.bfloat16), _prompts(16, device, SMALL[0]), 16)
        assert half.logprobs is not None
        found |= {
            f"{name}: logprobs of sampling and of a whole pass differ by": _within(cached),
            f"{name}: logits on cpu and {device.type} differ by": _within(_largest(logits_there - logits)),
            f"{name}: logprobs on cpu and {device.type} differ by": _within(_largest(there - full)),
            # A uniform number on the edge between two tokens may fall either way: a row in sixteen.
            f"{name}: rows that are the same on both": {"value": float(same), "right": bool(same >= 15 / 16)},
            f"{name}: bf16 samples are finite": _yes(bool(half.logprobs.isfinite().all())),
        }
    return found


def measured(model: Model, device: torch.device, copies: float, products: float) -> dict[str, Any]:
    """copies: bytes a second. products: bf16 operations a second."""
    network = model.network().to(device)
    parameters = sum(tensor.numel() for tensor in network.parameters())
    training = _seconds(_training(network, model, device), device)
    operations = 3 * network.flops_per_token * model.texts * model.context
    _forget_peak(device)
    writer = network.to(torch.bfloat16).eval()
    ours, theirs = _turns(_writing(writer, model, device), _peers(writer, model, device), device)
    tokens = model.batch * model.length
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    return {
        "name": model.name,
        "parameters": parameters,
        "batch": model.batch,
        "length": model.length,
        "tokens_per_second": round(tokens / min(ours)),
        "hugging_face_tokens_per_second": round(tokens / min(theirs)),
        "ratio": {"median": _short(statistics.median(ratios)), "low": _short(ratios[0]), "high": _short(ratios[-1])},
        "of_bandwidth": _short(model.bytes_read(parameters) / copies / min(ours)),
        "training_tokens_per_second": round(model.texts * model.context / training),
        "mfu": _short(operations / training / products),
        "peak_gib": _short(_peak_gib(device)),
    }


def _training(network: TransformerGenerator, model: Model, device: torch.device) -> Callable[[], Any]:
    optimizer = torch.optim.AdamW(network.parameters())
    tokens = torch.randint(model.vocabulary, (model.texts, model.context), device=device)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, 0] = False
    texts = Batch(tokens, mask, tokens.new_ones(model.texts))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            loss = nll(network, texts) / model.texts
        loss.backward()
        optimizer.step()

    return step


def _writing(network: TransformerGenerator, model: Model, device: torch.device) -> Callable[[], Any]:
    prompts = _prompts(model.batch, device, model)
    return lambda: _written(network, prompts, model.length)


def _peers(network: TransformerGenerator, model: Model, device: torch.device) -> Callable[[], Any]:
    """Hugging Face's ``generate`` with the faster of its caches."""
    given = _prompts(model.batch, device, model).tokens
    network.model.generation_config.eos_token_id = None

    def writer(cache: str | None) -> Callable[[], Any]:
        def write() -> None:
            with torch.inference_mode():
                network.model.generate(
                    given, attention_mask=torch.ones_like(given), do_sample=True, top_k=0,
                    max_new_tokens=model.length, pad_token_id=0, cache_implementation=cache,
                )  # fmt: skip

        return write

    return min((writer(cache) for cache in (None, "static")), key=lambda write: _seconds(write, device, 1))


def _turns(one: Callable[[], Any], other: Callable[[], Any], device: torch.device) -> tuple[list[float], list[float]]:
    one()
    pairs = [(_timed(one, device), _timed(other, device)) for _ in range(TURNS)]
    ours, theirs = zip(*pairs, strict=True)
    return list(ours), list(theirs)


def _prompts(rows: int, device: torch.device | str, model: Model) -> Batch:
    drawn = torch.randint(model.vocabulary, (rows, GIVEN), generator=torch.Generator().manual_seed(1))
    given = Batch(drawn, torch.zeros_like(drawn, dtype=torch.bool), drawn.new_full((rows,), GIVEN))
    return given.to(device)


def _written(network: Any, prompts: Batch, length: int) -> Batch:
    return sample(network, prompts, max_length=GIVEN + length, eos=None, pad=0, seed=5)


@torch.no_grad()
def _logprobs(network: Any, batch: Batch) -> torch.Tensor:
    return token_logprobs(network, batch.tokens, batch.mask)


@torch.no_grad()
def _logits(network: Any, batch: Batch) -> torch.Tensor:
    return network(batch.tokens)


def copy_rate(device: torch.device, megabytes: int) -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), device, 10)


def product_rate(device: torch.device, size: int) -> float:
    """Operations a second of a product of two bf16 matrices."""
    a, b = torch.randn(2, size, size, device=device, dtype=torch.bfloat16).unbind()
    return 2 * size**3 / _seconds(lambda: a @ b, device, 10)


def _seconds(step: Callable[[], Any], device: torch.device, turns: int = TURNS) -> float:
    step()
    return min(_timed(step, device) for _ in range(turns))


def _timed(step: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _peak_gib(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else peak_mb() / 2**10


def _largest(difference: torch.Tensor) -> float:
    return float(difference.abs().max())


def _within(difference: float) -> dict[str, Any]:
    return {"value": _short(difference), "right": difference <= TOLERANCE}


def _yes(right: bool) -> dict[str, Any]:
    return {"value": right, "right": right}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--small", action="store_true", help="tiny models; always so without an accelerator")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON here too")
    given = parser.parse_args()
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device, small = found or torch.device("cpu"), given.small or found is None
    copies, products = copy_rate(device, 16 if small else 1024), product_rate(device, 256 if small else 8192)
    right = checks(device)
    models = [measured(model, device, copies, products) for model in (SMALL if small else MODELS)]
    last = models[-1]
    record = {
        "ours": {"tokens_per_second": last["tokens_per_second"]},
        "peer": {"tokens_per_second": last["hugging_face_tokens_per_second"]},
        "ratio": last["ratio"],
        "work": {"what": f"{last['name']}: {last['batch']} x {last['length']} tokens, wall time"},
        "chip": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": "bf16",
        "copy_gb_per_second": _short(copies / 1e9),
        "matrix_tflops": _short(products / 1e12),
        "checks": right,
        "models": models,
        "threads": torch.get_num_threads(),
    } | surroundings()
    if given.save:
        given.save.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=None if given.json else 1))
    wrong = [name for name, check in right.items() if not check["right"]]
    print(*(f"wrong: {name} {right[name]['value']}" for name in wrong), sep="\n", end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
