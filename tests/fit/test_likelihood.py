"""Maximum likelihood: it learns, it keeps the best, it can be stopped anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mgan.config import Pretrain
from mgan.data.readers import Example
from mgan.data.rows import Rows, encode
from mgan.data.tokenizers import Tokenizer
from mgan.fit import likelihood
from mgan.fit.compute import Ledger
from mgan.fit.hardware import Hardware
from mgan.fit.likelihood import MaximumLikelihood, by_length, nll, steps_for, text_nll
from mgan.models.lstm import LSTMGenerator
from mgan.training import checkpoint
from mgan.types import collate

PAD, BOS, EOS = range(3)
LETTERS = "abcd"
VOCABULARY = 3 + len(LETTERS)


class Alphabet:
    """A tokenizer of four letters."""

    pad, bos, eos, vocabulary_size, fingerprint = PAD, BOS, EOS, VOCABULARY, "letters"
    ending: ClassVar = [EOS]
    sources = False
    labels, blanks = (), None

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [[3 + LETTERS.index(letter) for letter in text] for text in texts]

    def prompts(self, examples: list[Example]) -> list[list[int]]:
        return [[BOS, *ids] for ids in self.encode_batch([example.prompt for example in examples])]


def rows(texts: list[Example], context: int = 12) -> Rows:
    return encode(texts, cast(Tokenizer, Alphabet()), context)


def chain(count: int, seed: int) -> tuple[list[Example], float]:
    """Texts of a Markov chain: each letter is the next one with 0.85, else any other; and a text's entropy."""
    source = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        letter = int(source.integers(4))
        text = LETTERS[letter]
        for _ in range(4):
            letter = (letter + (1 if source.random() < 0.85 else int(source.integers(2, 5)))) % 4
            text += LETTERS[letter]
        texts.append(Example("", text))
    step = -(0.85 * math.log(0.85) + 0.15 * math.log(0.05))
    return texts, math.log(4) + 4 * step


def generator(hidden: int = 16, dropout: float = 0.0, seed: int = 0) -> LSTMGenerator:
    torch.manual_seed(seed)
    return LSTMGenerator(VOCABULARY, hidden, 1, dropout)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware()


@pytest.fixture(scope="module")
def split() -> tuple[Rows, Rows]:
    return rows(chain(600, 0)[0]), rows(chain(200, 1)[0])


def fit(player: nn.Module, split: tuple[Rows, Rows], hardware: Hardware, **changes: Any) -> MaximumLikelihood:
    settings = Pretrain(
        **{"batch_size": 50, "learning_rate": 0.02, "evaluate_every": 10, "epochs": 10, "weight_decay": 0} | changes
    )
    return MaximumLikelihood(
        player,
        *split,
        settings,
        hardware=hardware,
        seed=5,
        ledger=Ledger(),
        patience=settings.patience,  # type: ignore[arg-type]
    )


def run(fitting: MaximumLikelihood) -> list[dict[str, float]]:
    history = [fitting.begin()]
    while not fitting.done:
        history.append(fitting.step())
    return history


def test_it_learns_a_language_to_near_its_entropy(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    player, entropy = generator(), chain(1, 0)[1]
    before = text_nll(player, split[1], 200)[0].mean()
    run(fit(player, split, hardware))
    after = text_nll(player, split[1], 200)[0][0]
    error = after.std() / math.sqrt(len(after))
    assert before > entropy + 3
    assert entropy - 3 * error < after.mean() < entropy + 3 * error + 0.1


def test_the_best_held_out_weights_are_the_result(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    """Forty texts and a high rate: the held-out NLL turns while the training loss falls."""
    player = generator(hidden=48)
    fitting = fit(
        player, (rows(chain(40, 2)[0]), split[1]), hardware, batch_size=20, max_steps=120, epochs=100, patience=100
    )
    history = run(fitting)
    seen = [metrics["validation_nll"] for metrics in history if "validation_nll" in metrics]
    assert min(seen) < seen[0] and min(seen) < seen[-1] - 0.01, "the fit must overshoot for this test to say anything"
    sums, tokens = text_nll(player, split[1], 200)
    assert sums.sum() / tokens.sum() == pytest.approx(min(seen)) == fitting.best_nll
    assert not player.training


def test_fitting_never_makes_a_generator_worse(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    player = generator()
    run(fit(player, split, hardware))
    good = text_nll(player, split[1], 200)[0].sum()
    nonsense = rows([Example("", "d" * 5)] * 50)
    run(fit(player, (nonsense, split[1]), hardware, learning_rate=0.5, max_steps=20))
    assert text_nll(player, split[1], 200)[0].sum() == pytest.approx(good)


def test_patience_ends_a_fit_that_does_not_get_better(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    nonsense = rows([Example("", "d" * 5)] * 500)
    fitting = fit(generator(), (nonsense, split[1]), hardware, learning_rate=0.5, evaluate_every=2, patience=3)
    history = run(fitting)
    assert fitting.steps < fitting.total
    seen = [metrics["validation_nll"] for metrics in history if "validation_nll" in metrics]
    assert len(seen) - 1 - int(np.argmin(seen)) == 3


def test_no_steps_leave_the_weights_as_they_are(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    player = generator()
    before = {k: v.clone() for k, v in player.state_dict().items()}
    fitting = fit(player, split, hardware, max_steps=0)
    run(fitting)
    assert fitting.steps == 0
    assert all(torch.equal(v, before[k]) for k, v in player.state_dict().items())


@pytest.mark.parametrize("stop", [3, 10, 17])
def test_a_fit_goes_on_from_the_disk_bit_by_bit(
    split: tuple[Rows, Rows], hardware: Hardware, tmp_path: Path, stop: int
) -> None:
    """Dropout on, and through a checkpoint: optimizer, order of texts, rate, best weights, patience and noise."""
    options = {"max_steps": 25, "evaluate_every": 5}
    whole = generator(dropout=0.3)
    fitting = fit(whole, split, hardware, **options)
    torch.manual_seed(9)
    expected = run(fitting)

    first = fit(generator(dropout=0.3), split, hardware, **options)
    torch.manual_seed(9)
    history = [first.begin()] + [first.step() for _ in range(stop)]
    checkpoint.save(tmp_path, stop, {"fit": first.state_dict(), "random": checkpoint.random_state()}, keep=1)

    resumed = generator(dropout=0.3, seed=99)
    second = fit(resumed, split, hardware, **options)
    torch.manual_seed(1234)
    state = checkpoint.load(tmp_path, stop)
    second.load_state_dict(state["fit"])
    checkpoint.set_random_state(state["random"])
    while not second.done:
        history.append(second.step())
    assert history == expected
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in resumed.state_dict().items())
    assert second.best_nll == fitting.best_nll


@pytest.mark.parametrize("stop", [2, 3, 4, 5])
def test_patience_runs_out_at_the_same_step_if_a_fit_is_stopped_and_goes_on(
    split: tuple[Rows, Rows], hardware: Hardware, stop: int
) -> None:
    nonsense = rows([Example("", "d" * 5)] * 500)
    options = {"learning_rate": 0.5, "evaluate_every": 2, "patience": 3}
    whole = fit(generator(), (nonsense, split[1]), hardware, **options)
    run(whole)
    assert stop < whole.steps < whole.total
    first, second = (fit(generator(), (nonsense, split[1]), hardware, **options) for _ in range(2))
    first.begin()
    for _ in range(stop):
        first.step()
    second.load_state_dict(first.state_dict())
    while not second.done:
        second.step()
    assert second.steps == whole.steps


def test_the_rate_falls_from_its_first_value_to_zero(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    fitting = fit(generator(), split, hardware, max_steps=20, learning_rate=0.01)
    fitting.begin()
    rates = []
    while not fitting.done:
        fitting.step()
        rates.append(fitting.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.01) and rates[10] == pytest.approx(0.005)
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.001


# --- the measure


def by_hand(player: LSTMGenerator, tokens: list[int], given: int, temperature: float) -> float:
    """-log P of the tokens after the first ``given``, token by token, nothing in a batch."""
    total = 0.0
    with torch.no_grad():
        for i in range(given, len(tokens)):
            logits = player(torch.tensor([tokens[:i]]))[0, -1].double() / temperature
            total -= float(logits[tokens[i]] - logits.exp().sum().log())
    return total


def test_text_nll_is_the_sum_over_a_texts_windows_at_every_temperature() -> None:
    player = generator().eval()
    texts = [Example("", "abc"), Example("ab", "cd"), Example("abcd" * 3, "abcdabcdab" * 2), Example("", "")]
    texts += [Example("", "b" * (i % 30)) for i in range(300)]
    data = rows(texts, context=8)
    assert len(data) > len(texts)
    temperatures, count = (0.7, 1.0, 1.6), 250
    found, tokens = text_nll(player, data, count, temperatures)
    assert found.shape == (3, count)
    expected, expected_tokens = np.zeros((3, count)), np.zeros(count)
    for i in range(len(data)):
        text = int(data.text_index[i])
        if text < 12:
            row, given = data.row(i)
            expected_tokens[text] += len(row) - given
            for t, temperature in enumerate(temperatures):
                expected[t, text] += by_hand(player, row, given, temperature)
    assert found[:, :12] == pytest.approx(expected[:, :12], abs=1e-4)
    assert tokens[:12].tolist() == expected_tokens[:12].tolist()
    assert tokens.tolist() == [len(text.text) + 1 for text in texts[:count]]


def test_text_nll_looks_without_dropout_and_without_a_gradient() -> None:
    player = generator(dropout=0.5)
    data = rows([Example("", "abcd")] * 5)
    first = text_nll(player, data, 5)[0]
    assert np.array_equal(first, text_nll(player.train(), data, 5)[0])
    assert np.ptp(first) < 1e-5


def test_nll_has_a_gradient_and_leaves_the_prompt_out() -> None:
    player = generator().eval()
    tokens = [BOS, 3, 4, 5, EOS]
    rows = [(tokens, 1), (tokens, 3), (tokens[:3], 1)]
    loss = nll(player, collate(rows, PAD))
    assert float(loss.detach()) == pytest.approx(sum(by_hand(player, *row, 1.0) for row in rows), abs=1e-4)
    loss.backward()
    assert player.output.weight.grad is not None


# --- parts of like lengths


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_parts_of_like_lengths_are_the_batch_and_save_what_they_promise(lengths: list[int]) -> None:
    batch = collate([([BOS, *[3 + i % 4] * n], 1) for i, n in enumerate(lengths)], PAD)
    parts = by_length(batch)
    rows = [part.tokens[i, : int(part.lengths[i])].tolist() for part in parts for i in range(len(part))]
    whole = [batch.tokens[i, : int(batch.lengths[i])].tolist() for i in range(len(batch))]
    assert sorted(rows) == sorted(whole)
    left = sum(part.tokens.numel() for part in parts)
    assert left <= batch.tokens.numel() * (1 - (len(parts) - 1) * likelihood.WORTHWHILE)
    if len(parts) == 1:
        ordered = sorted(lengths)
        for n in range(1, len(ordered)):
            saved = n * (ordered[-1] - ordered[n - 1])
            assert saved < likelihood.WORTHWHILE * batch.tokens.numel()


def test_parts_of_like_lengths_learn_what_the_whole_batch_does(
    split: tuple[Rows, Rows], hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    ragged = rows([Example("", "abcd" * (1 + i % 3) if i % 5 == 0 else "ab") for i in range(60)], context=16)
    fitted = []
    for worthwhile in (0.1, 2.0):
        monkeypatch.setattr(likelihood, "WORTHWHILE", worthwhile)
        fitting = fit(generator(), (ragged, split[1]), hardware, batch_size=20, max_steps=5)
        assert (len(by_length(fitting.batches.at(0))) > 1) is (worthwhile < 1)
        fitting.begin()
        losses = [fitting.step()["loss"] for _ in range(4)]
        fitted.append((losses, fitting.generator.state_dict(), fitting.ledger.flops))
    assert fitted[0][0] == pytest.approx(fitted[1][0], rel=1e-4)
    for name, tensor in fitted[0][1].items():
        assert torch.allclose(tensor, fitted[1][1][name], atol=1e-3), name
    assert fitted[0][2] < fitted[1][2]


# --- what it costs


def test_the_ledger_counts_an_update_as_three_forward_passes_over_the_padded_batch() -> None:
    player, ledger = generator(), Ledger()
    ledger.forward(player, 10)
    assert (ledger.flops, ledger.tokens) == (10 * player.flops_per_token, 0)
    ledger.update(player, 10)
    assert ledger.flops == 40 * player.flops_per_token
    ledger.sampled(player, 7)
    assert (ledger.flops, ledger.tokens) == (47 * player.flops_per_token, 7)


def test_a_budget_buys_the_steps_that_it_pays_for(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    player = generator()
    fitting = fit(player, split, hardware, max_steps=24)
    run(fitting)
    # Every text here has the same length, so the price of a step is exact.
    assert steps_for(fitting.ledger.flops, player, split[0], 50, seed=5) == 24
    assert steps_for(fitting.ledger.flops * 0.999, player, split[0], 50, seed=5) == 23
    assert steps_for(0, player, split[0], 50, seed=5) == 0


def test_without_patience_every_step_is_spent(split: tuple[Rows, Rows], hardware: Hardware) -> None:
    fitting = fit(generator(), split, hardware, learning_rate=0.5, evaluate_every=2, max_steps=20, epochs=100)
    fitting.patience = None
    run(fitting)
    assert fitting.steps == 20
