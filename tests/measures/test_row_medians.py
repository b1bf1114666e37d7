"""The fast medians of rows are those of numpy, value for value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lossdoctor.measures.level import LONG, rolling_median, row_medians

VALUES = st.floats(-1e100, 1e100) | st.sampled_from([0.0, 1.0, np.inf, -np.inf, np.nan])


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=VALUES))
def test_the_same_as_numpy(rows: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(row_medians(rows), np.median(rows, axis=1))


@pytest.mark.parametrize("window", [5, 25, 65])
def test_long_curves_keep_their_level(window: int) -> None:
    n = LONG + 1000
    trend = 1.6 + 2.4 * np.exp(-6 * np.arange(n) / n)
    curve = trend + np.random.default_rng(3).normal(0, 0.06, n)
    exact = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(curve, window // 2, mode="reflect"), window), axis=1)
    error = 0.06 * 1.25 / np.sqrt(window)  # of a median of so many rows
    assert np.abs(rolling_median(curve, window) - exact).mean() < error
    assert np.abs(rolling_median(curve, window) - trend).mean() < error
