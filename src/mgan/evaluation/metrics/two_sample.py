"""The classifier two-sample test (Lopez-Paz & Oquab 2017): can a fresh discriminator tell samples from real text?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Judge = Callable[[Array], NDArray[np.float64]]
"""Features [B, E] to logits [B]; above 0 says real."""

TOGETHER = 8
"""So many copies of one text are kept in one fold."""
SCALES = (0.1, 0.25, 0.5, 1.0)
"""Of the logits, chosen together with the weights."""
MEASURE = 25
"""Fewest updates from one held-out measure to the next; otherwise an epoch."""


class Classifier(Protocol):
    """A discriminator on features. A user may pass any object with this method."""

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        """Learn from features [B, E] and labels [B], True where real; either label weighs one half."""
        ...


@dataclass(frozen=True)
class TwoSample:
    """accuracy: balanced, held out, 0 to 1. p_value: of H0 "samples and real text are drawn alike".

    real_logits [N], sample_logits [M]: each by a classifier that was fitted without that text; positive says real.
    The K classifiers' logits are not on one scale: use their sign, or their order within real and samples together.
    """

    accuracy: float
    p_value: float
    real_logits: NDArray[np.float64]
    sample_logits: NDArray[np.float64]


def two_sample_test(
    real: Array, samples: Array, folds: int = 5, seed: int = 0, classifier: Classifier | None = None
) -> TwoSample:
    """Cross-validated balanced accuracy of a fresh discriminator, and the p-value of its being above one half.

    Definition: the pooled texts are cut into K folds; each is judged by a classifier fitted on the other K - 1.
    accuracy = 1/2 (share of real called real + share of samples called samples), a logit of 0 counting one half.
    Source: Lopez-Paz & Oquab 2017 (arXiv:1610.06545); the combination of folds: Rüschendorf 1982, Vovk & Wang 2020.
    real, samples: embeddings [N, E] and [M, E]. classifier: None for ``MLP()``.
    Range and direction: held-out real text against real text has 0.5 and a p-value at least as large as uniform;
    that is the target. 1.0: every text is told apart. Well below 0.5 is noise, not success.

    Why the p-value holds. Folds are chosen without looking at labels. Under H0 (real texts and samples
    independent, of one distribution) the labels of a held-out fold are therefore, given the pooled texts and all
    labels outside the fold, uniform over all ways to label so many texts real: a permutation test of the fold's
    labels, the classifier and its verdicts fixed, is exact, whatever the classifier and however few the texts. The K
    p-values depend on each other (their classifiers share training texts), so they are combined by
    min(1, 2 mean p), which is valid under every dependence. It is conservative: true levels lie below alpha. More
    folds make a better classifier, fewer a smaller p-value.

    Traps. The test sees what the embedding sees, no more. It grows with N: a tiny difference becomes significant,
    so report the accuracy beside it. Identical texts (up to ``TOGETHER`` copies) lie in one fold, so that a file
    with each text twice, or a caption that occurs in both, is not recognised by heart: what is then found must hold
    for texts never seen. Of more copies the rest goes to other folds: a text so frequent *is* the distribution, and
    a generator that says one sentence for ever must be found out. Texts that are not independent (several samples
    of one prompt, captions of one picture) make p too small.
    """
    features, labels = pooled(real, samples)
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    if min(len(real), len(samples)) < 2 * folds:
        raise ValueError(
            f"{folds} folds need at least {2 * folds} real texts and {2 * folds} samples, "
            f"got {len(real)} and {len(samples)}"
        )
    classifier = classifier or MLP()
    part = parts(features, folds, seed, min(TOGETHER, min(len(real), len(samples)) // (2 * folds)))
    logits = np.empty(len(features))
    p_values = []
    for fold in range(folds):
        held = part == fold
        judge = classifier.fit(features[~held], labels[~held], seed + fold)
        logits[held] = verdicts(judge, features[held])
        p_values.append(permutation_p(logits[held], labels[held]))
    return TwoSample(
        accuracy=balanced_accuracy(logits[labels], logits[~labels]),
        p_value=min(1.0, 2 * float(np.mean(p_values))),
        real_logits=logits[labels],
        sample_logits=logits[~labels],
    )


def balanced_accuracy(real_logits: Array, sample_logits: Array) -> float:
    """Mean of the two shares judged right; a logit of 0 counts one half."""
    return float(2 + np.sign(real_logits).mean() - np.sign(sample_logits).mean()) / 4


def permutation_p(logits: Array, labels: Flags) -> float:
    """P(balanced accuracy at least as high | labels permuted), exactly; 1 if a label is absent.

    The accuracy grows with how much is called real among the real, the rest being fixed. Calls are worth 2 (real), 1
    (undecided) and 0, and the number of each among the real is multivariate hypergeometric.
    """
    from scipy.stats import hypergeom

    calls = 1 + np.sign(logits).astype(int)
    texts, real, undecided, called_real = (
        len(calls),
        int(labels.sum()),
        int((calls == 1).sum()),
        int((calls == 2).sum()),
    )
    observed = int(calls[labels].sum())
    ties = np.arange(min(undecided, real) + 1)
    fewest = -((ties - observed) // 2)  # calls of "real" needed beside so many ties, rounded up
    chance = hypergeom.pmf(ties, texts, undecided, real)
    possible = chance > 0
    tail = hypergeom.sf(fewest[possible] - 1, texts - undecided, called_real, real - ties[possible])
    return min(1.0, float(chance[possible] @ tail))


def pooled(real: Array, samples: Array) -> tuple[Array, Flags]:
    """[N + M, E] features, real first, and which are real; ValueError if they do not fit together."""
    real, samples = np.asarray(real), np.asarray(samples)
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1]:
        raise ValueError(f"expected embeddings [N, E] and [M, E], got shapes {real.shape} and {samples.shape}")
    if not (np.isfinite(real).all() and np.isfinite(samples).all()):
        raise ValueError("embeddings must be finite numbers")
    return np.concatenate([real, samples]), np.arange(len(real) + len(samples)) < len(real)


def verdicts(judge: Judge, features: Array) -> NDArray[np.float64]:
    """[B] logits; ValueError if a classifier did not give one number a row."""
    logits = np.asarray(judge(features), dtype=np.float64)
    if logits.shape != (len(features),) or not np.isfinite(logits).all():
        raise ValueError(f"a classifier must give {len(features)} texts one finite logit each, got {logits.shape}")
    return logits


def parts(features: Array, count: int, seed: int, together: int = TOGETHER) -> NDArray[np.int64]:
    """[B]: which of ``count`` nearly equal parts each row is in; up to ``together`` equal rows share one.

    Rows are compared to a thousandth of a standard deviation: an encoder's last digits depend on its batches.
    """
    random = np.random.default_rng(seed)
    spread = features.std(0)
    keys = np.round((features - features.mean(0)) / np.where(spread > 0, spread, 1), 3).astype(np.float32) + 0.0
    seen: Counter[bytes] = Counter()
    numbers: dict[tuple[bytes, int], int] = {}
    group = np.empty(len(features), dtype=np.int64)
    # In random order: which copies go together must not depend on where real texts and samples stand.
    for row in random.permutation(len(features)):
        key = keys[row].tobytes()
        group[row] = numbers.setdefault((key, seen[key] // together), len(numbers))
        seen[key] += 1
    return group % count


@dataclass(frozen=True)
class MLP:
    """One hidden layer on standardised features, stopped early on an eighth of its own training rows."""

    hidden: int = 128
    dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    batch_size: int = 128
    updates: int = 1500
    patience: int = 10

    def fit(self, features: Array, labels: Flags, seed: int) -> Judge:
        """Balanced cross-entropy; the weights with the lowest held-out one, the undecided first ones among them."""
        import torch
        from torch import nn

        mean, spread = features.mean(0), features.std(0)
        spread = np.where(spread > 0, spread, 1)

        def standard(rows: Array) -> Tensor:
            return torch.as_tensor(((rows - mean) / spread).astype(np.float32)).clamp(-10, 10)

        share = min(max(float(labels.mean()), 1e-9), 1 - 1e-9)
        x, y = standard(features), torch.as_tensor(labels).float()
        weight = torch.where(y > 0, 0.5 / share, 0.5 / (1 - share))
        # The caller's random numbers are left as they were.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            head = nn.Linear(self.hidden, 1)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
            network = nn.Sequential(nn.Linear(x.shape[1], self.hidden), nn.GELU(), nn.Dropout(self.dropout), head)

            def loss(rows: Tensor, scale: float = 1.0) -> Tensor:
                logits = scale * network(x[rows]).squeeze(-1)
                return nn.functional.binary_cross_entropy_with_logits(logits, y[rows], weight[rows])

            scale = self._train(network, loss, parts(features, 8, seed, min(TOGETHER, max(1, len(x) // 16))) == 0)

        def judge(rows: Array) -> NDArray[np.float64]:
            with torch.no_grad():
                logits: NDArray[np.float64] = network(standard(rows)).squeeze(-1).double().numpy()
            return scale * logits

        return judge

    def _train(self, network: nn.Module, loss: Callable[..., Tensor], inner: Flags) -> float:
        """Leaves the best weights in ``network``, returns the best scale of its logits.

        inner [B]: the rows these are chosen on, and not trained on. Without the scale an overconfident network that has
        learned something loses to one that has learned nothing, and training would stop before it began.
        """
        import torch

        train, held = torch.as_tensor(np.flatnonzero(~inner)), torch.as_tensor(np.flatnonzero(inner))

        def held_out() -> tuple[float, float]:
            network.eval()
            with torch.no_grad():
                return min((float(loss(held, scale)), scale) for scale in SCALES)

        def weights() -> dict[str, Tensor]:
            return {name: tensor.clone() for name, tensor in network.state_dict().items()}

        def batches() -> Iterator[Tensor]:
            while True:
                yield from torch.split(train[torch.randperm(len(train))], self.batch_size)

        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        (lowest, scale), best, since = held_out(), weights(), 0
        every = max(MEASURE, -(-len(train) // self.batch_size))
        for step, rows in enumerate(islice(batches(), self.updates), 1):
            network.train()
            optimizer.zero_grad()
            torch.autograd.backward(loss(rows))
            optimizer.step()
            if step % every:
                continue
            since += 1
            if (measured := held_out())[0] < lowest:
                (lowest, scale), best, since = measured, weights(), 0
            if since == self.patience:
                break
        network.load_state_dict(best)
        network.eval()
        return scale
