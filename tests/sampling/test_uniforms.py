"""Uniform numbers that depend on seed, row and position alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mgan.sampling.uniforms import row_seeds, stream, uniforms

seeds = st.integers(0, 2**62 - 1)


@given(seeds, st.integers(1, 20), st.integers(1, 20), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_number_depends_on_its_seed_row_and_position_only(
    seed: int, rows: int, length: int, skip_rows: int, skip: int
) -> None:
    everything = uniforms(row_seeds(seed, rows + skip_rows), length + skip)
    part = uniforms(row_seeds(seed, rows, first=skip_rows), length, first=skip)
    assert torch.equal(part, everything[skip_rows:, skip:])
    assert ((everything >= 0) & (everything < 1)).all()


@pytest.mark.parametrize("seed", [0, 1, 2**62 - 1])
def test_they_are_uniform(seed: int) -> None:
    numbers = uniforms(row_seeds(seed, 300), 100).flatten().numpy()
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    # Also in the low digits, which an inverse CDF reads last.
    assert stats.kstest(numbers * 4096 % 1, "uniform").pvalue > 1e-3


def test_neighbours_in_row_position_and_seed_do_not_resemble_each_other() -> None:
    grid = uniforms(row_seeds(0, 300), 300).numpy()
    other = uniforms(row_seeds(1, 300), 300).numpy()
    pairs = {
        "position": (grid[:, :-1], grid[:, 1:]),
        "row": (grid[:-1], grid[1:]),
        "seed": (grid, other),
        "diagonal": (grid[:-1, 1:], grid[1:, :-1]),
        "transposed": (grid, grid.T),
    }
    for name, (a, b) in pairs.items():
        off = ~np.eye(300, dtype=bool) if name == "transposed" else np.ones(a.shape, dtype=bool)
        assert abs(np.corrcoef(a[off], b[off])[0, 1]) < 0.02, name


def test_no_two_rows_of_a_few_streams_share_a_seed() -> None:
    found = torch.cat([row_seeds(seed, 2000) for seed in range(20)])
    assert len(found.unique()) == len(found)


def test_streams_differ_by_every_name_and_by_their_order() -> None:
    found = [stream(0), stream(1), stream(0, 0), stream(0, 1), stream(1, 0), stream(0, 0, 0), stream(0, 1, 0)]
    found += [stream(0, 0, 1), *(stream(3, i) for i in range(-1, 500))]
    assert len(set(found)) == len(found)
    assert all(0 <= seed < 2**62 for seed in found)
    assert stream(5, 6, 7) == stream(5, 6, 7)
