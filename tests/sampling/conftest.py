from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def chi_square() -> Callable[[np.ndarray, np.ndarray], float]:
    """(observed counts, probabilities) -> p-value; cells too rare to count on are pooled."""

    def p_value(observed: np.ndarray, probability: np.ndarray) -> float:
        expected = probability / probability.sum() * observed.sum()
        rare = expected < 5
        if rare.any():
            observed = np.append(observed[~rare], observed[rare].sum())
            expected = np.append(expected[~rare], expected[rare].sum())
            if expected[-1] < 1e-9:
                assert observed[-1] == 0
                observed, expected = observed[:-1], expected[:-1]
        return float(stats.chisquare(observed, expected).pvalue) if len(observed) > 1 else 1.0

    return p_value
