"""A causal language model of transformers of which no more is asked than logits: it writes by its own ``generate``.

For architectures whose logits are no linear function of their features, or whose state mgan does not know.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from mgan.models.protocols import Choose


class OpaqueGenerator(nn.Module):
    """Any causal language model; what it remembers of a text it keeps to itself.

    difference: what it does that mgan does not know, as a clause.
    """

    def __init__(self, model: Any, difference: str):
        super().__init__()
        self.model, self.difference = model, difference

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens, use_cache=False).logits

    @torch.no_grad()
    def write(self, tokens: Tensor, count: int, choose: Choose) -> None:
        going = True

        def chosen(_: Tensor, scores: Tensor) -> Tensor:
            nonlocal going
            # On an accelerator generate learns a step late that it is to stop.
            if not going:
                return scores
            token, going = choose(scores)
            return torch.full_like(scores, -torch.inf).scatter(1, token[:, None], 0.0)

        def ended(ids: Tensor, _: Tensor) -> Tensor:
            return torch.full((len(ids),), not going, device=ids.device)

        neutral: Any = GenerationConfig  # untyped
        # What a call leaves open generate takes from the model's own: a penalty, forced tokens, where to end.
        own, self.model.generation_config = self.model.generation_config, neutral()
        try:
            self.model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=neutral(do_sample=False, num_beams=1, max_new_tokens=count, pad_token_id=0),
                logits_processor=LogitsProcessorList([chosen]),
                stopping_criteria=StoppingCriteriaList([ended]),
            )
        finally:
            self.model.generation_config = own

    @property
    def vocabulary(self) -> int:
        return int(self.model.config.get_text_config().vocab_size)

    def state_size(self, length: int) -> int:
        """A key and a value of the model's width at every layer: more than most caches hold."""
        config = self.model.config.get_text_config()
        return 2 * config.num_hidden_layers * config.hidden_size * length

    @property
    def flops_per_token(self) -> int:
        """2 for each weight that is no embedding (Kaplan et al. 2020), every expert's included; no attention."""
        tables = {id(m.weight) for m in self.model.modules() if isinstance(m, nn.Embedding)}
        output = self.model.get_output_embeddings()
        written = {id(p) for p in output.parameters()} if output is not None else set()
        weights = {id(p): p.numel() for p in self.model.parameters()}
        return 2 * sum(size for key, size in weights.items() if key not in tables or key in written)
