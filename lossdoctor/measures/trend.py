"""Trends that outliers do not bend: Theil-Sen slopes and the Mann-Kendall test."""

from __future__ import annotations

import numpy as np

from lossdoctor.measures.level import Floats

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


def thin(values: Floats, most: int = MOST_POINTS) -> Floats:
    """At most `most` values, evenly spaced, first and last kept."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).astype(np.intp)]
