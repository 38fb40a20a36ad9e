"""Which architectures of transformers can be generators, and how: tiny models with random weights, tried one by one.

    python benchmarks/architectures.py [NAME ...]

Writes the table of docs/supported-models.md; with names, only prints what became of these.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import logging
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from mgan.models.opaque import OpaqueGenerator
from mgan.models.pretrained import generator_of
from mgan.types import UserError

PAGE = Path(__file__).parents[1] / "docs" / "supported-models.md"
LARGEST = 20_000_000
"""Parameters: a model that stays larger with the sizes below is left out."""
LAYERS, WIDTH, HEADS = 6, 32, 4
SAME = {
    LAYERS: "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers",
    WIDTH: "hidden_size n_embd d_model emb_dim dim_model word_embed_proj_dim embedding_size moe_intermediate_size "
    "shared_expert_intermediate_size",
    HEADS: "num_attention_heads n_head n_heads num_heads decoder_attention_heads mamba_n_heads num_local_experts "
    "num_experts n_routed_experts rotary_dim linear_num_heads",
    1: "n_group topk_group num_expert_group mamba_n_groups",
    2 * WIDTH: "intermediate_size n_inner ffn_dim decoder_ffn_dim dff dim_ff d_inner n_positions vocab_size "
    "vocab_size_per_layer_input hidden_size_per_layer_input mamba_d_ssm",
    4 * WIDTH: "max_position_embeddings",
    2: "num_experts_per_tok num_experts_per_token top_k_experts num_key_value_heads",
    WIDTH // 2: "q_lora_rank kv_lora_rank mamba_d_head mamba_headdim",
    WIDTH // HEADS: "head_dim qk_nope_head_dim qk_rope_head_dim v_head_dim linear_key_head_dim linear_value_head_dim "
    "linear_head_dim",
}
SIZES = {name: size for size, names in SAME.items() for name in names.split()}
MARKS = {"pad_token_id": 62, "bos_token_id": 1, "eos_token_id": 2, "is_decoder": True}
LATENT = {"num_key_value_heads": HEADS, "head_dim": WIDTH // HEADS}
"""Where keys and values are made from a latent vector (DeepSeek)."""
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [LAYERS // 2]},
    "gemma3n_text": {"layer_types": ["sliding_attention", "full_attention"] * (LAYERS // 2), "num_kv_shared_layers": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], LAYERS // 2]]},
    "granitemoehybrid": {"layer_types": ["mamba"] * (LAYERS - 1) + ["attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * (LAYERS // 2)},
    "mamba2": {"head_dim": WIDTH // 2, "n_groups": 1},
    "xmod": {"default_language": "en_XX"},
    "zaya": {"num_experts_per_tok": 1},
}
"""What a family needs beside."""


HEAD = """# Supported models

Which causal language models of transformers {version} can be [a pretrained generator](pretrained.md), by the
`model_type` in their `config.json`. Tiny models with random weights were tried, {count} of the {all} that transformers
lists: those with an encoder as their decoders alone, BERT and its like with `is_decoder` set.
`python benchmarks/architectures.py` tries them again and writes this page. Whatever it says, every model is tried once
more when it is opened.
"""
UNKNOWN = "pretrained.md#models-that-mgan-does-not-know"
KINDS = {
    "native": ("By mgan's decode loop", "Logits are a linear function of features, and the state is known"),
    "generate": ("By their own generate", f"[The same distribution]({UNKNOWN}), in more time"),
    "refused": ("Refused", "They look ahead, or their `generate` contradicts their forward pass"),
    "left out": (
        "Not tried",
        "They do not become small by a few sizes; most read pictures or sound, and their text models stand above",
    ),
}


@dataclass(frozen=True)
class Outcome:
    """kind: of KINDS. reason: why it is not native."""

    name: str
    kind: str
    reason: str


def main(names: list[str]) -> None:
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    found = []
    for name in names or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        found.append(outcome := tried(name))
        print(f"{outcome.kind:9} {name:26} {outcome.reason}", flush=True)
    if not names:
        PAGE.write_text(page(found), encoding="utf-8")


def tried(name: str) -> Outcome:
    try:
        model = tiny(name)
    # What a configuration is missing its class says in many ways.
    except Exception as error:
        return Outcome(name, "left out", " ".join(str(error).split())[:120] or type(error).__name__)
    try:
        found = generator_of(model, 16)
    except UserError as error:
        return Outcome(name, "refused", reason(str(error), type(model).__name__))
    if isinstance(found, OpaqueGenerator):
        return Outcome(name, "generate", reason(found.difference, type(model).__name__))
    return Outcome(name, "native", "")


def reason(sentence: str, model: str) -> str:
    """What a sentence says of any model: without its name, the field, the advice and what torch said."""
    sentence = sentence.removeprefix("generator.pretrained: a ").partition("; take")[0].partition(" (")[0]
    return sentence.removeprefix(model).partition(":")[0].strip()


def page(found: list[Outcome]) -> str:
    count = sum(outcome.kind != "left out" for outcome in found)
    parts = [HEAD.format(version=transformers.__version__, count=count, all=len(found))]
    for kind, (title, why) in KINDS.items():
        mine = [outcome for outcome in found if outcome.kind == kind]
        parts.append(f"\n## {title}\n\n{why}: {len(mine)}.\n")
        reasons = sorted({o.reason for o in mine}) if kind in ("generate", "refused") else [""]
        if reasons == [""]:
            parts.append(f"\n{listed(mine)}\n")
            continue
        rows = [f"| {why} | {listed([o for o in mine if o.reason == why])} |" for why in reasons]
        parts.append("\n".join(["", "| it | `model_type` |", "|---|---|", *rows, ""]))
    return "".join(parts)


def listed(outcomes: list[Outcome]) -> str:
    return ", ".join(f"`{outcome.name}`" for outcome in outcomes)


def tiny(name: str) -> Any:
    """A model of a small shape, its random weights large enough to matter. Raises whatever its class raises."""
    kind = type(transformers.AutoConfig.for_model(name))
    known = kind().to_dict()
    sizes = SIZES | MARKS | (LATENT if "qk_rope_head_dim" in known else {}) | OWN.get(name, {})
    config = kind(**{key: value for key, value in sizes.items() if key in known})
    with torch.device("meta"):
        size = sum(p.numel() for p in transformers.AutoModelForCausalLM.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


if __name__ == "__main__":
    main(sys.argv[1:])
