"""The oracle: a generator like any other, drawn from its seed or read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mgan import config
from mgan.evaluation.oracle import log_likelihood, write
from mgan.models.oracle import ARRAYS, build_oracle
from mgan.types import Batch, UserError

ARCHITECTURES = ("lstm", "gru", "transformer")
SEQGAN = Path(__file__).parents[3] / "shared" / "data" / "oracle" / "seqgan_oracle.npz"
V, H = 11, 4


def settings(architecture: str = "lstm", **fields: Any) -> config.Oracle:
    small = {"vocabulary": V, "hidden": H, "length": 7}
    return config.Oracle.model_validate({"architecture": architecture, **small, **fields})


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    shapes = [(V, H), (4 * H, H), (4 * H, H), (4 * H,), (4 * H,), (V, H), (V,)]
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in zip(ARRAYS, shapes, strict=True)}


def saved(path: Path, values: dict[str, Any]) -> config.Oracle:
    np.savez(path, **values)
    return settings(weights=str(path))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reading_token_by_token_is_reading_at_once(architecture: str, layers: int) -> None:
    oracle = build_oracle(settings(architecture, layers=layers), 1)
    tokens = torch.randint(V, (5, 7))
    at_once = oracle.features(tokens)
    feature, state = oracle.read(tokens[:, :2], oracle.start(5))
    torch.testing.assert_close(feature, at_once[:, 1], rtol=1e-4, atol=1e-4)
    kept = torch.tensor([3, 0])
    state = state.select(kept)
    for i in range(2, 7):
        feature, state = oracle.read(tokens[kept, i : i + 1], state)
        torch.testing.assert_close(feature, at_once[kept, i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_seed_alone_decides_the_weights_and_nobody_elses_numbers_move(architecture: str) -> None:
    tokens = torch.arange(7)[None]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (build_oracle(settings(architecture), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one(tokens), same(tokens)) and not torch.allclose(one(tokens), other(tokens))
    assert not any(p.requires_grad for p in one.parameters()) and not one.training


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_recurrent_weight_is_standard_normal(cell: str) -> None:
    oracle = build_oracle(settings(cell, vocabulary=500, hidden=32), 1)
    for name, weight in oracle.state_dict().items():
        if "bias_hh" in name:
            assert not weight.any()
        else:
            assert abs(float(weight.mean())) < 5 / weight.numel() ** 0.5
            assert abs(float(weight.std()) - 1) < 4 / weight.numel() ** 0.5


def test_an_lstm_is_seqgans_step_by_hand(tmp_path: Path) -> None:
    """Yu et al.'s TARGET_LSTM: state 0, first input the start token's embedding, one bias a gate."""
    values = arrays()
    oracle = build_oracle(saved(tmp_path / "o.npz", values), 0)
    tokens = [0, 7, 3, 0, 10]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    hidden, cell = np.zeros(H), np.zeros(H)
    expected = []
    for token in tokens:
        gates = values["weight_ih"] @ values["embedding"][token] + values["bias_ih"]
        i, f, g, o = np.split(gates + values["weight_hh"] @ hidden + values["bias_hh"], 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        expected.append(values["out_weight"] @ hidden + values["out_bias"])
    np.testing.assert_allclose(oracle(torch.tensor([tokens]))[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_transformer_oracle_is_neither_uniform_nor_deterministic() -> None:
    oracle = build_oracle(settings("transformer", vocabulary=1000, hidden=32, length=20), 1)
    texts = write(oracle, 200, 20, 1)
    assert texts.logprobs is not None
    own = -float(texts.logprobs.sum() / texts.mask.sum())
    assert own == pytest.approx(np.log(1000) - 2.35**2 / 2, abs=0.35)


def test_flops_count_every_product() -> None:
    assert build_oracle(settings("lstm"), 1).flops_per_token == 2 * (8 * H * H + H * V)
    assert build_oracle(settings("gru"), 1).flops_per_token == 2 * (6 * H * H + H * V)


def changed(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in (arrays() | values).items() if value is not None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(bias_hh=None), "holds bias_ih, embedding, .*; expected embedding, weight_ih"),
        (changed(more=np.zeros(1)), "holds .*more.*; expected"),
        (changed(embedding=np.zeros((V + 1, H))), r"embedding of .* shape \(12, 4\).*vocabulary=11.*need \(11, 4\)"),
        (changed(out_bias=np.zeros((V, 1))), r"out_bias of .* shape \(11, 1\).*need \(11,\)"),
        (changed(out_bias=np.full(V, np.nan)), "out_bias of .* something else than finite numbers"),
        (changed(out_bias=np.array(["1"] * V)), "out_bias of .* something else than finite numbers"),
        (changed(out_bias=np.array([print] * V, dtype=object)), "cannot be read as an .npz file of plain arrays"),
    ],
)
def test_a_file_of_other_weights_is_one_sentence(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^data\.oracle\.weights: .*{message}") as raised:
        build_oracle(saved(tmp_path / "o.npz", values), 0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "cut", "npy"])
def test_a_file_that_is_no_npz_is_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "o.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no weights")
    elif kind == "cut":
        np.savez(path, **arrays())
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"cannot be read as an \.npz file of plain arrays"):
        build_oracle(settings(weights=str(path)), 0)


@pytest.mark.skipif(not SEQGAN.exists(), reason="SeqGAN's weights are not at hand")
def test_seqgans_weights_have_the_published_nll() -> None:
    oracle = build_oracle(config.Oracle(weights=str(SEQGAN)), 0)
    own = write(oracle, 2000, 20, 1).logprobs
    assert own is not None and -float(own.sum()) / 40_000 == pytest.approx(5.75, abs=0.02)
    uniform = torch.randint(5000, (200, 21), generator=torch.Generator().manual_seed(0))
    uniform[:, 0] = 0
    mask = (torch.arange(21) > 0).expand(200, 21)
    nats, _ = log_likelihood(oracle, Batch(uniform, mask, torch.ones(200, dtype=torch.long)))
    assert -nats.mean() / 20 == pytest.approx(11.41, abs=0.15)
