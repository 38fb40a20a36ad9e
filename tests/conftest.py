"""Shared by all tests: no hub, an own cache, small corpora."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

SENTENCES = [
    f"the {adjective} {animal} {verb} the {thing}."
    for adjective in ("old", "small", "grey", "quick")
    for animal in ("cat", "dog", "fox", "hen")
    for verb in ("sees", "likes", "takes", "leaves")
    for thing in ("house", "river", "bread", "garden")
]

MORE = [
    f"a {adjective} {person} {verb} some {thing}."
    for adjective in ("young", "tired", "happy", "poor")
    for person in ("baker", "farmer", "sailor", "queen")
    for verb in ("finds", "brings", "buys", "wants")
    for thing in ("wood", "paper", "water", "salt", "wool", "fruit", "milk", "cloth", "iron", "grain")
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 English sentences, one a line."""
    path = tmp_path_factory.mktemp("data") / "sentences.txt"
    path.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def many_sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """896 English sentences, one a line: with data.max_texts=1000, enough test texts for a verdict."""
    path = tmp_path_factory.mktemp("data") / "many.txt"
    path.write_text("\n".join(SENTENCES + MORE) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 prompts with their answers."""
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    rows = [{"prompt": f"{a} plus {b}? ", "completion": str(a + b)} for a in range(1, 11) for b in range(1, 7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights and a WordPiece tokenizer of its own, as a Hugging Face folder."""
    import tokenizers as hf
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    backend = hf.BertWordPieceTokenizer()
    backend.train_from_iterator(SENTENCES, vocab_size=200, min_frequency=1, show_progress=False)
    backend.save(str(folder.parent / "wordpiece.json"))
    tokenizer = transformers.BertTokenizerFast(
        tokenizer_file=str(folder.parent / "wordpiece.json"), model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(shape).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model with random weights and a byte-level tokenizer of its own, as a Hugging Face folder."""
    import tokenizers as hf
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models") / "tiny-gpt"
    backend = hf.ByteLevelBPETokenizer()
    backend.train_from_iterator(SENTENCES, vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False)
    backend.save(str(folder.parent / "bpe.json"))
    end = "<|endoftext|>"
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder.parent / "bpe.json"), bos_token=end, eos_token=end
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(shape).save_pretrained(folder)
    return folder


CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``pretrained(name)``: the folder of a tiny random model as transformers saves it, with a tokenizer.

    name: gpt2, llama (a BOS, grouped queries, a chat template), qwen3 (no BOS), gemma2, gemma3 and mistral (sliding
    windows), cohere, granite, bert. Each but the llama has one mark, the EOS, and more logits than tokens.
    """
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("models") / name
            _save_tiny_model(made[name], name)
        return made[name]

    return folder


def _save_tiny_model(folder: Path, name: str) -> None:
    import tokenizers
    import torch
    import transformers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<|end|>", "<|start|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    backend.train_from_iterator(SENTENCES + MORE, trainer)
    marks = {"bos_token": "<|start|>"} if name == "llama" else {}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", **marks)
    if name in ("llama", "qwen3"):
        tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)

    size = {
        "vocab_size": len(tokenizer) + (0 if name == "llama" else 6), "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None,
    }  # fmt: skip
    windows = {"head_dim": 8, "sliding_window": 6}
    torch.manual_seed(0)
    config = {
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=size["vocab_size"], n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        ),
        "llama": lambda: transformers.LlamaConfig(**size, tie_word_embeddings=True),
        "qwen3": lambda: transformers.Qwen3Config(**size, head_dim=8),
        "gemma2": lambda: transformers.Gemma2Config(**size, **windows),
        "gemma3": lambda: transformers.Gemma3TextConfig(
            **size, **windows, layer_types=["sliding_attention", "full_attention"]
        ),
        "mistral": lambda: transformers.MistralConfig(**size, sliding_window=6),
        "cohere": lambda: transformers.CohereConfig(**size),
        "granite": lambda: transformers.GraniteConfig(**size, logits_scaling=8.0),
        "bert": lambda: transformers.BertConfig(
            **{k: v for k, v in size.items() if k != "num_key_value_heads"}, is_decoder=False
        ),
    }[name]()  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``seq2seq(name)``: the folder of a tiny random encoder-decoder as transformers saves it, with a tokenizer.

    name: t5 (scaled logits), mt5 (not scaled), bart (a BOS before all that its decoder writes), marian (a bias on its
    logits), led (windows).
    """
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("seq2seq") / name
            _save_tiny_seq2seq(made[name], name)
        return made[name]

    return folder


def _save_tiny_seq2seq(folder: Path, name: str) -> None:
    import tokenizers
    import torch
    import transformers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<s>", "<pad>", "</s>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    backend.train_from_iterator(SENTENCES + MORE, trainer)
    begins = name in ("bart", "led")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if begins else "$A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    marks = {"bos_token": "<s>"} if begins else {}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", pad_token="<pad>", **marks
    ).save_pretrained(folder)

    torch.manual_seed(0)
    tokens = {"vocab_size": 336, "pad_token_id": 1, "eos_token_id": 2}
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 2}
    bart = {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    }  # fmt: skip
    longest = {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64, "attention_window": 8}
    config = {
        "t5": lambda: transformers.T5Config(**tokens, **t5, decoder_start_token_id=1),
        "mt5": lambda: transformers.MT5Config(**tokens, **t5, decoder_start_token_id=1),
        "bart": lambda: transformers.BartConfig(**tokens, **bart, decoder_start_token_id=2, max_position_embeddings=64),
        "marian": lambda: transformers.MarianConfig(
            **tokens, **bart, decoder_start_token_id=1, max_position_embeddings=64
        ),
        "led": lambda: transformers.LEDConfig(**tokens, **bart, **longest, decoder_start_token_id=2),
    }[name]()  # fmt: skip
    model = transformers.AutoModelForSeq2SeqLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        if name == "marian":
            model.final_logits_bias.normal_()
    model.save_pretrained(folder)
