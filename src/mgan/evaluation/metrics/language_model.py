"""LM score and reverse LM score: an independent LSTM reads the samples, or learns from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mgan import config
from mgan.evaluation.metrics.quantiles import quantile_distance

if TYPE_CHECKING:
    from mgan.data.tokenizers import Tokenizer
    from mgan.fit.hardware import Hardware
    from mgan.models.lstm import LSTMGenerator

FEWEST = 2


@dataclass(frozen=True)
class Budget:
    """Size and training of a language model: about a minute of one core for 10,000 captions of ten words.

    ``updates`` at most, and at most ``epochs`` passes; ``held_out``: the share of its texts kept for choosing weights.
    The network and its regularisation are those of a likelihood-trained generator; scores with other budgets are not
    comparable.
    """

    hidden: int = 128
    layers: int = 1
    dropout: float = 0.4
    updates: int = 1000
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-2
    context: int = 128
    vocabulary: int = 8000
    held_out: float = 0.1
    measures: int = 12


@dataclass(frozen=True)
class LMScore:
    """Nats a token of each text, samples [N] and real [M]; value, real_value: means over tokens, not over texts.

    distance: ``quantile_distance`` of the two. sample_tokens [N], real_tokens [M]: tokens a text, its end included.
    """

    samples: NDArray[np.float64]
    real: NDArray[np.float64]
    sample_tokens: NDArray[np.float64]
    real_tokens: NDArray[np.float64]
    value: float
    real_value: float
    distance: float


@dataclass(frozen=True)
class ReverseLMScore:
    """Nats a token of real text under the model of the samples (value) and under the one of as much real text (target).

    by_samples, by_reference, tokens: nats and tokens of each real text, [M]. texts: how many each model was given.
    """

    value: float
    target: float
    texts: int
    by_samples: NDArray[np.float64]
    by_reference: NDArray[np.float64]
    tokens: NDArray[np.float64]


def word_tokenizer(reference: Sequence[str], vocabulary: int = Budget.vocabulary) -> Tokenizer:
    """Words, or characters where the script does not part words; those that occur once become <unk>."""
    from mgan.data.tokenizers import SAMPLE, train

    script = train(reference[:SAMPLE], config.Tokenizer()).kind
    kind = "char" if script == "char" else "word"
    return train(reference, config.Tokenizer(kind=kind, vocabulary=vocabulary))


class LanguageModel:
    """A fitted LSTM. texts: how many it was given, those for choosing its weights included."""

    def __init__(self, network: LSTMGenerator, tokenizer: Tokenizer, context: int, hardware: Hardware, texts: int):
        self.network, self.tokenizer, self.context, self.hardware = network, tokenizer, context, hardware
        self.texts = texts

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        tokenizer: Tokenizer,
        *,
        budget: Budget = Budget(),
        hardware: Hardware | None = None,
        seed: int = 0,
    ) -> LanguageModel:
        """Maximum likelihood; the weights are chosen on texts of its own that it does not learn from."""
        import torch

        from mgan.data.readers import Example
        from mgan.data.rows import encode
        from mgan.fit.compute import Ledger
        from mgan.fit.hardware import Hardware
        from mgan.fit.likelihood import MaximumLikelihood
        from mgan.models.lstm import LSTMGenerator

        if len(texts) < FEWEST:
            raise ValueError(f"a language model needs at least {FEWEST} texts to learn from, got {len(texts)}")
        hardware = hardware or Hardware()
        order = np.random.default_rng(seed).permutation(len(texts))
        held = max(1, round(budget.held_out * len(texts)))
        examples = [Example("", texts[i]) for i in order]
        train, validation = (encode(part, tokenizer, budget.context) for part in (examples[held:], examples[:held]))
        steps = min(budget.updates, math.ceil(budget.epochs * len(train) / budget.batch_size))
        settings = config.Pretrain(
            batch_size=budget.batch_size,
            learning_rate=budget.learning_rate,
            evaluate_every=max(1, steps // budget.measures),
        )
        # The caller's random numbers are left as they were.
        with torch.random.fork_rng(devices=[hardware.device] if hardware.device.type == "cuda" else []):
            torch.manual_seed(seed)
            network = LSTMGenerator(tokenizer.vocabulary_size, budget.hidden, budget.layers, budget.dropout)
            network.to(hardware.device)
            fit = MaximumLikelihood(
                network, train, validation, settings, hardware=hardware, seed=seed, ledger=Ledger(), steps=steps
            )
            fit.begin()
            while not fit.done:
                fit.step()
        return cls(network, tokenizer, budget.context, hardware, len(texts))

    def nll(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """-log P of each text in nats, [N], and its tokens, [N], the end of the text being one of them."""
        from mgan.data.readers import Example
        from mgan.data.rows import encode
        from mgan.fit.likelihood import text_nll

        if not len(texts):
            raise ValueError("a language model scores at least one text")
        # Texts of one length side by side: little padding to compute.
        order = np.argsort([len(text) for text in texts], kind="stable")
        rows = encode([Example("", texts[i]) for i in order], self.tokenizer, self.context)
        nats, tokens = np.empty(len(texts)), np.empty(len(texts))
        sums, counts = text_nll(self.network, rows, rows.texts, hardware=self.hardware)
        nats[order], tokens[order] = sums[0], counts
        return nats, tokens

    def score(self, samples: Sequence[str], real: Sequence[str]) -> LMScore:
        """What ``lm_score`` returns, by this model: fit once on the reference, score many generators."""
        nats, tokens = self.nll(samples)
        real_nats, real_tokens = self.nll(real)
        each, real_each = nats / tokens, real_nats / real_tokens
        return LMScore(
            samples=each,
            real=real_each,
            sample_tokens=tokens,
            real_tokens=real_tokens,
            value=float(nats.sum() / tokens.sum()),
            real_value=float(real_nats.sum() / real_tokens.sum()),
            distance=quantile_distance(each, real_each),
        )


def lm_score(
    samples: Sequence[str],
    reference: Sequence[str],
    real: Sequence[str],
    *,
    tokenizer: Tokenizer | None = None,
    budget: Budget = Budget(),
    hardware: Hardware | None = None,
    seed: int = 0,
) -> LMScore:
    """How likely the samples are to a language model that learned from real text alone.

    Definition: -sum log P(x) / sum |x| over samples, P an LSTM fitted on ``reference``; likewise held-out ``real``.
    Source: Caccia et al. 2020 (Language GANs Falling Short), d'Autume et al. 2019; "forward perplexity" in Kim et al.
    2017. ``real`` must not stand in ``reference``. tokenizer: None for ``word_tokenizer(reference)``.
    Unit and range: nats a token, 0 or more; distance in the same unit.
    Direction: real text's value is the target, and distance 0. Lower than ``real_value`` is not better: the safest
    sentence again and again has the lowest score of all, so compare ``distance``.
    Traps. <unk>: a word that occurs less than twice in the reference is one token with all others of its kind, and a
    cheap one; a generator of nonsense words is paid for it (compare the shares of unknown words, or take a byte-level
    tokenizer). Diversity is not seen; see ``reverse_lm_score``. A generator of this very architecture, trained on the
    reference, is favoured. Values depend on tokenizer, budget and seed: compare within one model only.
    """
    fitted = LanguageModel.fit(
        reference,
        tokenizer or word_tokenizer(reference, budget.vocabulary),
        budget=budget,
        hardware=hardware,
        seed=seed,
    )
    return fitted.score(samples, real)


def reverse_lm_score(
    samples: Sequence[str],
    reference: Sequence[str],
    real: Sequence[str],
    *,
    tokenizer: Tokenizer | None = None,
    budget: Budget = Budget(),
    hardware: Hardware | None = None,
    seed: int = 0,
    target: LanguageModel | None = None,
) -> ReverseLMScore:
    """How well a language model that learned from samples alone predicts real text: quality and diversity together.

    Definition: -sum log P(x) / sum |x| over held-out ``real``, P an LSTM fitted on the samples; the target has the LSTM
    fitted on as many ``reference`` texts, with the same vocabulary (fixed on the reference), budget and seed.
    Source: "reverse perplexity", Kim et al. 2017 (Adversarially Regularized Autoencoders) and Zhao et al. 2018; Caccia
    et al. 2020. target: a model already fitted on as many reference texts with ``tokenizer``, to save its training.
    Unit and range: nats a token, 0 or more.
    Direction: ``target`` is real text's value and what can be reached; a value above it is what the samples lack.
    Traps. It falls with the number of texts: both models get min(samples, reference). Each chooses its weights on
    texts of its own kind, never on ``real``: a collapsed generator's model overfits to it, as it should. Samples
    without the reference's rare words make real text's <unk> dear. A generator that recites the reference reaches
    the target: see the measures of copying.
    """
    texts = min(len(samples), len(reference))
    if target is not None and target.texts != texts:
        raise ValueError(f"the target was fitted on {target.texts} texts, the samples' model would be on {texts}")
    if target is not None and tokenizer is not None and tokenizer.fingerprint != target.tokenizer.fingerprint:
        raise ValueError("the target was fitted with another tokenizer")
    tokenizer = target.tokenizer if target else tokenizer or word_tokenizer(reference, budget.vocabulary)
    if target is None:
        chosen = _draw(reference, texts, seed)
        target = LanguageModel.fit(chosen, tokenizer, budget=budget, hardware=hardware, seed=seed)
    chosen = _draw(samples, texts, seed)
    learned = LanguageModel.fit(chosen, tokenizer, budget=budget, hardware=hardware, seed=seed)
    by_samples, tokens = learned.nll(real)
    by_reference, _ = target.nll(real)
    return ReverseLMScore(
        value=float(by_samples.sum() / tokens.sum()),
        target=float(by_reference.sum() / tokens.sum()),
        texts=texts,
        by_samples=by_samples,
        by_reference=by_reference,
        tokens=tokens,
    )


def _draw(texts: Sequence[str], count: int, seed: int) -> Sequence[str]:
    """``count`` of the texts at random; all of them in their order if that is all there are."""
    if count == len(texts):
        return texts
    return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:count]]
