"""The relational memory against its equations, written plainly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mgan.models.relational import RelationalGenerator, RelationalMemory


def memory(slots: int = 2, blocks: int = 2) -> RelationalMemory:
    torch.manual_seed(0)
    core = RelationalMemory(embedding=3, hidden=8, heads=2, slots=slots, blocks=blocks).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return core


def normal(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Over slots and width together."""
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * weight + bias


def step(core: RelationalMemory, token: Tensor, m: Tensor) -> Tensor:
    """Santoro et al. 2018, section 3, for one row. token: [E], m: [M, H]."""
    x = core.project.weight @ token + core.project.bias
    y = torch.cat([m, x[None]])
    for _ in range(core.blocks):
        parts = normal(
            y @ core.attention.weight.T + core.attention.bias, core.attention_norm.weight, core.attention_norm.bias
        )
        heads = []
        for head in range(core.heads):
            wide = 3 * core.hidden // core.heads
            query, key, value = parts[:, head * wide : (head + 1) * wide].chunk(3, 1)
            heads.append(torch.softmax(query @ key.T / query.shape[1] ** 0.5, 1) @ value)
        a = normal(y + torch.cat(heads, 1), core.memory_norm.weight, core.memory_norm.bias)
        first, second = core.mlp[0], core.mlp[2]
        mlp = torch.relu(torch.relu(a @ first.weight.T + first.bias) @ second.weight.T + second.bias)  # type: ignore[union-attr, operator]
        y = normal(a + mlp, core.mlp_norm.weight, core.mlp_norm.bias)
    gates = core.input_gates.weight @ x + core.input_gates.bias + torch.tanh(m) @ core.memory_gates.weight.T
    written, kept = torch.sigmoid(gates[:, : core.hidden]), torch.sigmoid(gates[:, core.hidden :])
    return written * torch.tanh(y[:-1]) + kept * m


@pytest.mark.parametrize(("slots", "blocks"), [(1, 1), (2, 2)])
def test_the_memory_follows_its_equations(slots: int, blocks: int) -> None:
    core = memory(slots, blocks)
    embedded = torch.randn(3, 4, 3, dtype=torch.float64)
    said, state = core(embedded, core.start(3))
    for row in range(3):
        m = torch.eye(slots, 8, dtype=torch.float64)
        for i in range(4):
            m = step(core, embedded[row, i], m)
            assert torch.allclose(said[row, i], m.flatten(), atol=1e-10)
        assert torch.allclose(state.memory[row], m, atol=1e-10)


def test_the_forget_gate_starts_open() -> None:
    torch.manual_seed(0)
    core = RelationalMemory(embedding=3, hidden=64, heads=2, slots=1, blocks=1)
    bias = core.input_gates.bias.detach()
    assert bias[64:].mean() == pytest.approx(1, abs=0.1) and bias[:64].mean() == pytest.approx(0, abs=0.1)


def test_several_slots_and_another_embedding_width() -> None:
    generator = RelationalGenerator(11, 8, heads=2, tied=False, slots=3, embedding=5)
    tokens = torch.randint(11, (2, 6))
    assert generator(tokens).shape == (2, 6, 11)
    assert generator.features(tokens).shape == (2, 6, 24)
    _, state = generator.read(tokens, generator.start(2))
    assert generator.state_size(6) * 2 == state.memory.numel()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="heads"):
        RelationalGenerator(11, 8, heads=3)
    with pytest.raises(ValueError, match="tied"):
        RelationalGenerator(11, 8, heads=2, embedding=5)
