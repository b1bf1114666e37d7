"""The level of a curve and the noise around it: medians and MAD only, because loss curves have heavy tails."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MAD_TO_SIGMA = 1.4826  # of a normal distribution
WIDE = 65  # rows; beyond it a rolling median works on bins
LONG = 20_000  # rows; beyond it the level moves slowly against single rows


def bin_edges(n: int, bins: int) -> npt.NDArray[np.intp]:
    """Edges of at most `bins` bins of nearly equal size over n rows; shape (bins + 1,)."""
    return np.linspace(0, n, min(n, bins) + 1).astype(np.intp)


def binned_medians(values: Floats, bins: int) -> Floats:
    """Median of each of at most `bins` bins of rows of nearly equal size; shape (n,) -> (min(n, bins),)."""
    n = len(values)
    if n <= bins:
        return values.astype(np.float64, copy=True)
    edges = bin_edges(n, bins)
    sizes = np.diff(edges)
    medians = np.empty(len(sizes))
    for size in np.unique(sizes):  # two sizes at most: each is one block
        rows = edges[:-1][sizes == size][:, None] + np.arange(size)
        medians[sizes == size] = row_medians(values[rows])
    return medians


def row_medians(rows: Floats) -> Floats:
    """Median of each row of a matrix; shape (n, w) -> (n,). The same values as np.median(rows, axis=1), which takes six times as long."""
    middle = rows.shape[1] // 2
    if not np.isfinite(rows).all():
        return np.asarray(np.median(rows, axis=1), dtype=np.float64)
    if rows.shape[1] % 2:
        return np.asarray(np.partition(rows, middle, axis=1)[:, middle], dtype=np.float64)
    ordered = np.sort(rows, axis=1)
    return np.asarray((ordered[:, middle - 1] + ordered[:, middle]) / 2, dtype=np.float64)


def rolling_median(values: Floats, window: int) -> Floats:
    """Centred rolling median over an odd window, the ends padded by reflection; shape (n,) -> (n,).

    Windows beyond 65 rows are taken over medians of a few rows each and interpolated: the same level at a hundredth of the work. Beyond
    20,000 rows narrower ones are computed five times a window and interpolated as well.
    """
    window = min(window | 1, (len(values) - 1) | 1)
    if window < 3 or len(values) < 3:
        return values.astype(np.float64, copy=True)
    if window > WIDE:
        return _coarse(values, window)
    half = window // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half, mode="reflect"), window)
    stride = window // 5 if len(values) > LONG else 1
    if stride < 2:
        return row_medians(windows)
    return np.interp(np.arange(len(values)), np.arange(0, len(values), stride), row_medians(windows[::stride]))


def _coarse(values: Floats, window: int) -> Floats:
    bins = max(8, round(len(values) / (window / 33)))
    edges = bin_edges(len(values), bins)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    return np.interp(np.arange(len(values)), middles, rolling_median(binned_medians(values, bins), 33))


def sigma(values: Floats) -> float:
    """Robust standard deviation: 1.4826 x the median absolute deviation; 0 for fewer than two rows."""
    if len(values) < 2:
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def noise(values: Floats) -> float:
    """Noise of single rows around a smooth curve, from first differences: a trend adds little, a jump adds one row.

    1.4826 x MAD(differences) / sqrt(2) (Donoho and Johnstone 1994 use the same on wavelet details).
    """
    if len(values) < 3:
        return 0.0
    steps = np.diff(values)
    return float(MAD_TO_SIGMA * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))


def quantum(values: Floats) -> float:
    """The rounding step of the values (transformers rounds losses to 4 digits through 4.57): 1e-4, 1e-3, ..., or 0 for full floats and for
    rows of zeros."""
    sample = values[:512]
    if not sample.any():
        return 0.0
    for digits in (1, 2, 3, 4):
        if np.all(np.abs(np.round(sample, digits) - sample) < 1e-9):
            return float(10.0**-digits)
    return 0.0
