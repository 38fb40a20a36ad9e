"""A GRPO step with a classifier's reward (Shao et al. 2024): mgan's pieces and TRL's GRPOTrainer, dropout off in both.

8 prompts of 8 tokens, 8 completions each of at most 64 tokens; a GPT-2 of 4 layers x 256, vocabulary 5,000; the reward
is the logit of a GPT-2 of 2 layers x 128. Sample, judge, group advantages, one step of AdamW. ``above_imports_mb`` is
the peak memory of the process less what it held when everything was imported and no network made yet. Our
GPT-2 computes the same GELU in one operation where transformers' default takes eight.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from typing import Any

from pairing import Step, Work, installed, main, peak_mb

VOCABULARY, HIDDEN, LAYERS, HEADS, CONTEXT = 5000, 256, 4, 4, 128
JUDGE_HIDDEN, JUDGE_LAYERS, JUDGE_HEADS = 128, 2, 2
PROMPTS, GROUP, GIVEN, NEW = 8, 8, 8, 64
ROWS = PROMPTS * GROUP
PAD, EOS, UNKNOWN = range(3)
RATE, CLIP = 1e-5, 1.0


def operations() -> float:
    """Products that cannot be left out: a prompt is read once for its group, and again where its gradient is needed."""

    def read(hidden: int, layers: int, first: int, last: int) -> float:
        pairs = sum(range(first + 1, last + 1))
        return layers * (24 * hidden**2 * (last - first) + 4 * hidden * pairs)

    given, written = read(HIDDEN, LAYERS, 0, GIVEN), read(HIDDEN, LAYERS, GIVEN, GIVEN + NEW - 1)
    logits = ROWS * NEW * 2 * HIDDEN * VOCABULARY
    sampling = PROMPTS * given + ROWS * written + logits
    judging = ROWS * read(JUDGE_HIDDEN, JUDGE_LAYERS, 0, NEW)
    return sampling + judging + 3 * (PROMPTS * given + ROWS * written + logits)


def prompts(turn: int) -> Any:
    """[PROMPTS, GIVEN] int64: those of a turn."""
    import torch

    return torch.randint(3, VOCABULARY, (PROMPTS, GIVEN), generator=torch.Generator().manual_seed(turn))


def ours(arguments: argparse.Namespace) -> Step:
    import torch

    from mgan.fit.classifier import verdicts
    from mgan.models.logprobs import weighted_logprobs
    from mgan.models.transformer import TransformerDiscriminator, TransformerGenerator, gpt2_config
    from mgan.sampling.decode import sample
    from mgan.types import collate

    imports = peak_mb()
    torch.manual_seed(0)
    generator = TransformerGenerator(gpt2_config(VOCABULARY, HIDDEN, LAYERS, HEADS, 0.0, CONTEXT)).eval()
    discriminator = TransformerDiscriminator(
        gpt2_config(VOCABULARY, JUDGE_HIDDEN, JUDGE_LAYERS, JUDGE_HEADS, 0.0, CONTEXT)
    )
    torch.nn.init.normal_(discriminator.head.weight)
    optimizer = torch.optim.AdamW(generator.parameters(), lr=RATE, fused=True)
    turn = 0

    def step() -> dict[str, float]:
        nonlocal turn
        turn += 1
        rows = [(prompt, GIVEN) for prompt in prompts(turn).tolist() for _ in range(GROUP)]
        samples = sample(generator, collate(rows, PAD), max_length=GIVEN + NEW, eos=EOS, pad=PAD, seed=turn)
        rewards = verdicts(discriminator, samples).view(PROMPTS, GROUP)
        advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
        weights = (advantages.view(-1, 1) / samples.mask.sum()).expand_as(samples.mask)
        gain, _ = weighted_logprobs(generator, samples.tokens, samples.mask, weights)
        optimizer.zero_grad()
        (-gain).backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), CLIP)
        optimizer.step()
        return _figures(imports, float(samples.mask.sum(1).float().mean()))

    return step


def peer(arguments: argparse.Namespace) -> Step:
    installed("trl")
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import torch
    from datasets import Dataset
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer, __version__

    def settings(hidden: int, layers: int, heads: int, **more: Any) -> GPT2Config:
        sizes = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": hidden, "n_layer": layers, "n_head": heads}
        return GPT2Config(**sizes, bos_token_id=EOS, eos_token_id=EOS, pad_token_id=PAD, **more)

    imports = peak_mb()
    lengths: list[int] = []

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        lengths.extend(map(len, completion_ids))
        tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in completion_ids], batch_first=True)
        with torch.inference_mode():
            return judge(input_ids=tokens, attention_mask=(tokens != PAD).long()).logits[:, 0].tolist()

    class Turns(TrainerCallback):
        """Holds the trainer at the beginning of every step until it is asked for."""

        asked, ready, failure = threading.Semaphore(0), threading.Semaphore(0), None

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.ready.release()
            self.asked.acquire()

        def train(self) -> None:
            torch.set_num_threads(arguments.threads)
            try:
                trainer.train()
            except BaseException as error:
                self.failure = error
            self.ready.release()

        def wait(self) -> None:
            self.ready.acquire()
            if self.failure:
                raise self.failure

    torch.manual_seed(0)
    judge = GPT2ForSequenceClassification(settings(JUDGE_HIDDEN, JUDGE_LAYERS, JUDGE_HEADS, num_labels=1)).eval()
    tokenizer, turns = _tokenizer(), Turns()
    texts = [text for turn in range(100) for text in tokenizer.batch_decode(prompts(turn))]
    folder = tempfile.TemporaryDirectory()
    trainer = GRPOTrainer(
        model=GPT2LMHeadModel(settings(HIDDEN, LAYERS, HEADS)),
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=folder.name, per_device_train_batch_size=ROWS, num_generations=GROUP,
            max_completion_length=NEW, max_steps=100, learning_rate=RATE, max_grad_norm=CLIP, temperature=1.0, beta=0.0,
            disable_dropout=True, gradient_checkpointing=False, use_cpu=True, bf16=False, report_to="none",
            save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict({"prompt": texts}),
        processing_class=tokenizer,
        callbacks=[turns],
    )  # fmt: skip
    threading.Thread(target=turns.train, daemon=True).start()
    turns.wait()

    def step() -> dict[str, Any]:
        turns.asked.release()
        turns.wait()
        return _figures(imports, sum(lengths[-ROWS:]) / ROWS) | {"trl": __version__}

    return step


def _figures(imports: float, length: float) -> dict[str, float]:
    return {"above_imports_mb": round(peak_mb() - imports), "mean_length": round(length, 1)}


def _tokenizer() -> Any:
    """One word a token, as TRL wants its prompts in words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": PAD, "<eos>": EOS, "<unk>": UNKNOWN} | {f"w{i}": i for i in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", model_max_length=CONTEXT, **special)


if __name__ == "__main__":
    work = Work(f"a step of {ROWS} completions x {NEW} tokens", flops=operations(), tokens=ROWS * NEW)
    changes = "nothing; its best settings: gradient checkpointing off, no reference model (beta 0)"
    main(__doc__, work, ours, peer, changes=changes, packages=["accelerate"])
