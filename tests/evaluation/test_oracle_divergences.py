"""Divergences from an oracle against sums over every text there is."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from mgan import config
from mgan.data import rows, tokenizers
from mgan.data.readers import Example
from mgan.data.rows import with_prefix
from mgan.evaluation import oracle as measures
from mgan.evaluation.oracle import Divergences, Measured, divergences, log_likelihood, write
from mgan.models.oracle import build_oracle
from mgan.models.protocols import Generator
from mgan.sampling.decode import Sampling
from mgan.types import Batch

V, L, N = 4, 4, 4000
NAMES = ("nll_oracle", "nll_gen", "kl_generated", "kl_oracle", "entropy")


def network(architecture: str, seed: int) -> Generator:
    settings = {"architecture": architecture, "vocabulary": V, "hidden": 4, "length": 7}
    return build_oracle(config.Oracle.model_validate(settings), seed)


def every_text() -> Batch:
    tokens = torch.tensor([(0, *text) for text in itertools.product(range(V), repeat=L)])
    mask = (torch.arange(L + 1) > 0).expand(tokens.shape)
    return Batch(tokens, mask, torch.ones(len(tokens), dtype=torch.long))


def exactly(generator: Generator, oracle: Generator, sampling: Sampling) -> dict[str, float]:
    """Sums over all V^L texts."""
    log_g, log_o = (log_likelihood(*pair)[0] for pair in ((generator, every_text(), sampling), (oracle, every_text())))
    g, o = np.exp(log_g), np.exp(log_o)
    assert g.sum() == pytest.approx(1, abs=1e-5) and o.sum() == pytest.approx(1, abs=1e-5)
    middle = np.log((g + o) / 2)
    reached = g > 0
    finite_g = np.where(reached, log_g, 0.0)
    js = (g * (finite_g - middle)).sum() / 2 + (o * (log_o - middle)).sum() / 2
    cut = bool(o[~reached].sum() > 0)
    return {
        "nll_oracle": -(g * log_o).sum() / L,
        "nll_gen": math.inf if cut else -(o * log_g).sum() / L,
        "kl_generated": (g * (finite_g - log_o)).sum() / L,
        "kl_oracle": math.inf if cut else (o * (log_o - log_g)).sum() / L,
        "entropy": -(o * log_o).sum() / L,
        "js": js,
    }


def measured(generator: Generator, oracle: Generator, sampling: Sampling, n: int = N) -> Divergences:
    return divergences(generator, oracle, write(oracle, n, L, 1), write(generator, n, L, 2, sampling), sampling)


SAMPLINGS = [Sampling(), Sampling(0.7), Sampling(1.3, top_k=2), Sampling(top_p=0.8), Sampling(suppress=(1,))]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("mine", "theirs"), [("gru", "lstm"), ("lstm", "transformer"), ("transformer", "gru")])
def test_every_estimate_is_the_exact_value_within_its_error(mine: str, theirs: str, sampling: Sampling) -> None:
    generator, oracle = network(mine, 1), network(theirs, 2)
    found, exact = measured(generator, oracle, sampling), exactly(generator, oracle, sampling)
    for name, value in exact.items():
        estimate: Measured = getattr(found, name)
        if math.isinf(value):
            assert (estimate.value, estimate.error) == (math.inf, math.inf), name
        else:
            assert abs(estimate.value - value) <= 5 * estimate.error + 1e-6, name
            assert 0 < estimate.error < 0.1, name
    assert math.isinf(exact["nll_gen"]) == (sampling not in SAMPLINGS[:2])


def test_the_errors_are_the_spread_of_repeated_estimates() -> None:
    generator, oracle = network("gru", 1), network("lstm", 2)
    found = [
        divergences(generator, oracle, write(oracle, 200, L, 2 * i), write(generator, 150, L, 2 * i + 1))
        for i in range(150)
    ]
    for name in (*NAMES, "js"):
        values = np.array([getattr(one, name).value for one in found])
        claimed = np.mean([getattr(one, name).error for one in found])
        assert values.std(ddof=1) == pytest.approx(claimed, rel=0.3), name


@pytest.mark.parametrize("architecture", ["lstm", "gru", "transformer"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_oracle_is_at_no_distance_from_itself(architecture: str, temperature: float) -> None:
    oracle = network(architecture, 3)
    found = measured(oracle, oracle, Sampling(temperature), 300)
    if temperature == 1.0:
        for name in ("kl_generated", "kl_oracle", "js"):
            estimate = getattr(found, name)
            assert estimate.value == pytest.approx(0, abs=1e-12) and estimate.error == pytest.approx(0, abs=1e-12)
        assert found.nll_gen == found.entropy
    else:
        assert found.kl_generated.value > 5 * found.kl_generated.error
        assert found.nll_oracle.value < found.entropy.value, "a colder oracle writes likelier text, and is not better"


def test_identities_and_units() -> None:
    found = measured(network("gru", 1), network("lstm", 2), Sampling(), 500)
    assert found.kl_oracle.value == pytest.approx(found.nll_gen.value - found.entropy.value)
    whole = found.per_text()
    for name in NAMES:
        estimate = getattr(found, name)
        assert whole[name] == Measured(estimate.value * L, estimate.error * L, 500)
    assert whole["js"] == found.js and found.js.n == 1000
    assert 0 <= found.js.value <= math.log(2)


def test_jensen_shannon_saturates_where_texts_are_long() -> None:
    generator, oracle = network("gru", 1), network("lstm", 2)
    long = divergences(generator, oracle, write(oracle, 200, 200, 1), write(generator, 200, 200, 2))
    assert long.js.value == pytest.approx(math.log(2), abs=1e-6)
    assert long.kl_oracle.value < 5


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_sides_of_unequal_size_and_rows_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, oracle = network("gru", 1), network("lstm", 2)
    held, samples = write(oracle, 50, L, 1), write(generator, 33, L, 2)
    expected = divergences(generator, oracle, held, samples)
    texts = [Example("", " ".join(map(str, text))) for text in held.tokens[:, 1:].tolist()]
    monkeypatch.setattr(measures, "CHUNK", chunk)
    found = divergences(generator, oracle, rows.encode(texts, tokenizers.ids(V), 8), samples)
    for name in (*NAMES, "js"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one.value, one.error) == pytest.approx((other.value, other.error), abs=1e-6)
        assert one.n == other.n
    assert (found.nll_oracle.n, found.nll_gen.n) == (33, 50)


def test_given_prefixes_are_not_judged_and_every_token_counts_once() -> None:
    oracle = network("lstm", 2)
    whole = write(oracle, 40, L, 1)
    part = with_prefix(whole, L - 1, 5)
    nats, tokens = log_likelihood(oracle, part)
    logprobs = torch.log_softmax(oracle(whole.tokens[:, :-1]), -1).gather(-1, whole.tokens[:, 1:, None]).squeeze(-1)
    by_hand = [float(row[kept].sum()) for row, kept in zip(logprobs, part.mask[:, 1:], strict=True)]
    np.testing.assert_allclose(nats, by_hand, atol=1e-5)
    assert len(set(tokens.tolist())) > 1
    estimate = Measured.of(-nats, tokens)
    assert estimate.value == pytest.approx(-nats.sum() / tokens.sum())
    left_out = np.arange(40) != np.arange(40)[:, None]
    jackknife = (left_out @ -nats) / (left_out @ tokens)
    assert estimate.error == pytest.approx(jackknife.std() * 39 / 40**0.5, rel=0.1)


def test_what_is_written_depends_on_the_seed_and_not_on_the_others() -> None:
    oracle = network("lstm", 2)
    texts = write(oracle, measures.WRITTEN + 20, L, 1)
    assert texts.tokens.shape == (measures.WRITTEN + 20, L + 1) and bool((texts.tokens[:, 0] == 0).all())
    assert torch.equal(texts.tokens[:20], write(oracle, 20, L, 1).tokens)
    assert not torch.equal(texts.tokens[:20], texts.tokens[measures.WRITTEN :])
    assert not torch.equal(texts.tokens[:20], write(oracle, 20, L, 2).tokens)
    counts = torch.bincount(texts.tokens[:, 1:].flatten(), minlength=V)
    assert bool((counts > 0).all()), "the start token is also an ordinary one"


def test_a_network_in_training_stays_there() -> None:
    oracle = network("lstm", 2)
    oracle.train()
    log_likelihood(oracle, write(oracle, 2, L, 1))
    assert oracle.training


def test_what_cannot_be_measured_is_one_sentence() -> None:
    oracle = network("lstm", 2)
    some = write(oracle, 3, L, 1)
    none: Any = some.rows(slice(0, 0))
    for held, samples in ((none, some), (some, none)):
        with pytest.raises(ValueError, match="at least one held-out text and one sample"):
            divergences(oracle, oracle, held, samples)
    with pytest.raises(ValueError, match="need their logprobs"):
        divergences(oracle, oracle, some, every_text(), Sampling(top_k=2))


def test_one_text_has_a_value() -> None:
    oracle = network("lstm", 2)
    found = measured(oracle, network("gru", 1), Sampling(), 1)
    assert math.isfinite(found.nll_gen.value) and found.nll_gen.n == 1
