"""Trends that outliers do not bend: Theil-Sen slopes and the Mann-Kendall test; and the sharper test of a smooth fall."""

from __future__ import annotations

from functools import lru_cache
from math import log, sqrt

import numpy as np

from lossdoctor.measures.level import Floats
from lossdoctor.measures.noise import FEWEST, correlation_around, smooth_fall

LEAST = 5  # independent rows; three degrees of freedom are left of them
EXACT = float(np.finfo(np.float64).eps)  # of a share of one
MOST_POINTS = 256  # all pairs of more points cost more than they tell


def theil_sen(x: Floats, y: Floats) -> float:
    """Median slope over all pairs of points (Sen 1968); 0 for fewer than two distinct x. At most 256 points are used, evenly spaced."""
    x, y = thin(x), thin(y)
    i, j = np.triu_indices(len(x), 1)
    run = x[j] - x[i]
    use = run != 0
    return float(np.median((y[j] - y[i])[use] / run[use])) if use.any() else 0.0


def mann_kendall(y: Floats) -> float:
    """z score of the Mann-Kendall trend test with the tie correction (Kendall 1975): below -3 falls, above 3 rises.

    0 for fewer than four points.
    """
    y = thin(y)
    n = len(y)
    if n < 4:
        return 0.0
    i, j = np.triu_indices(n, 1)
    score = float(np.sign(y[j] - y[i]).sum())
    _, ties = np.unique(y, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return (score - np.sign(score)) / float(np.sqrt(variance)) if variance > 0 else 0.0


def smooth_trend(y: Floats) -> float:
    """z score of the better of two trends, a straight one and one like ln(row), in noise whose neighbours correlate.

    A t test of either contrast. The correlation is that of the residuals around both (12 rows or more: fewer cannot tell), and makes n rows
    as many independent ones as have the same variance of the contrast. The better of two is beyond 2.576 in 1.3 to 1.5 % of white noise. 0
    where fewer than five independent rows are left.
    """
    y = thin(y)
    n = len(y)
    rest = y - y.mean() if n else y
    power = sqrt(float(np.sum(rest * rest)))
    if n < LEAST or power <= 0:
        return 0.0
    r = correlation_around(y, smooth_fall(n)) if n >= FEWEST else 0.0
    scores = [_contrast(float(np.sum(rest * weights)) / power, n / inflation(weights, r)) for weights in contrasts(n)]
    return max(scores, key=abs)


def normal(t: float, freedom: float) -> float:
    """The z score as rare as a Student's t (Wallace 1959): within .03 up to three from four degrees of freedom on, smaller before."""
    size = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log(1 + t * t / freedom))
    return size if t > 0 else -size


def _contrast(share: float, rows: float) -> float:
    freedom = rows - 2
    return normal(share * sqrt(freedom / max(1 - share * share, EXACT)), freedom) if rows >= LEAST else 0.0


@lru_cache(maxsize=64)
def contrasts(n: int) -> tuple[Floats, Floats]:
    """A straight line and ln(row) over n rows, of mean 0 and length 1."""
    rows = np.arange(1, n + 1, dtype=np.float64)
    centred = [weights - weights.mean() for weights in (rows, np.log(rows))]
    return tuple(weights / sqrt(float(np.sum(weights * weights))) for weights in centred)


def inflation(weights: Floats, r: float) -> float:
    """Variance of a contrast of correlated rows, in that of independent ones: the sum of w_i w_j r^|i - j|; at least 1."""
    rows = np.arange(len(weights))
    return max(1.0, float(np.sum(np.outer(weights, weights) * r ** np.abs(np.subtract.outer(rows, rows))))) if r > 0 else 1.0


def thin(values: Floats, most: int = MOST_POINTS) -> Floats:
    """At most `most` values, evenly spaced, first and last kept."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).astype(np.intp)]
