"""Generation, a GPT-2 of 4 layers x 256: ours and Hugging Face's ``generate``.

64 rows, 64 new tokens after 8 given ones, vocabulary 5,000, context 128, no token ends a row, plain sampling at
temperature 1. The figures of ours also have an LSTM of one layer, hidden size 256, at the same work.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from pairing import Step, Work, main

VOCABULARY, HIDDEN, LAYERS, HEADS, CONTEXT = 5000, 256, 4, 4, 128
ROWS, GIVEN, NEW = 64, 8, 64


def operations() -> float:
    """Products that cannot be left out: every token but the last is read, and logits are made where one is drawn."""
    read = GIVEN + NEW - 1
    body = LAYERS * (24 * HIDDEN**2 * read + 4 * HIDDEN * read * (read + 1) / 2)
    return ROWS * (body + 2 * HIDDEN * VOCABULARY * NEW)


def prompts() -> Any:
    """[ROWS, GIVEN] int64."""
    import torch

    return torch.randint(3, VOCABULARY, (ROWS, GIVEN), generator=torch.Generator().manual_seed(1))


def network() -> Any:
    import torch

    from mgan.models.transformer import TransformerGenerator, gpt2_config

    torch.manual_seed(0)
    return TransformerGenerator(gpt2_config(VOCABULARY, HIDDEN, LAYERS, HEADS, 0.0, CONTEXT)).eval()


def ours(arguments: argparse.Namespace) -> Step:
    from mgan.models.lstm import LSTMGenerator

    lstm = _writer(LSTMGenerator(VOCABULARY, HIDDEN))
    figures = {"lstm_tokens_per_cpu_second": round(ROWS * NEW / min(_seconds(lstm) for _ in range(4)))}
    write = _writer(network())

    def step() -> dict[str, int]:
        write()
        return figures

    return step


def _writer(generator: Any) -> Step:
    import torch

    from mgan.sampling.decode import sample
    from mgan.types import collate

    given = collate([(row, GIVEN) for row in prompts().tolist()], 0)
    seeds = iter(range(10**9))

    def write() -> None:
        batch = sample(generator, given, max_length=GIVEN + NEW, eos=None, pad=0, seed=next(seeds))
        assert batch.tokens.shape == (ROWS, GIVEN + NEW) and torch.equal(batch.tokens[:, :GIVEN], given.tokens)

    return write


def peer(arguments: argparse.Namespace) -> Step:
    """The faster of its two caches."""
    import torch

    model, given = network().model, prompts()
    model.generation_config.eos_token_id = None

    def writer(cache: str | None) -> Step:
        options = {
            "do_sample": True,
            "top_k": 0,
            "max_new_tokens": NEW,
            "pad_token_id": 0,
            "cache_implementation": cache,
        }

        def write() -> dict[str, str]:
            with torch.inference_mode():
                written = model.generate(given, attention_mask=torch.ones_like(given), **options)
            assert written.shape == (ROWS, GIVEN + NEW)
            return {"cache": cache or "dynamic"}

        return write

    writers = [writer(None), writer("static")]
    return min(writers, key=lambda write: min(_seconds(write) for _ in range(3)))


def _seconds(step: Step) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


if __name__ == "__main__":
    work = Work(f"{ROWS * NEW:,} tokens in {ROWS} rows", flops=operations(), tokens=ROWS * NEW)
    main(__doc__, work, ours, peer)
