"""The noise of a curve: its scale and how much neighbouring rows share, from differences, so that no trend has to be known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from lossdoctor.measures.level import MAD_TO_SIGMA, Floats

FEWEST = 12  # rows that say anything about what neighbours share; ten second differences
STRETCH = 64  # rows of a stretch whose scale or correlation is told on its own
PARTS = 8  # stretches of a long curve whose correlations are told apart
ENOUGH = 4096  # rows of a stretch that are looked at; they tell r to .03
SCALES = 4  # and of those whose scales are; weights that are told worse than that break white noise into pieces
SMOOTHED = 256  # rows; of more the differences alone are enough, and a whole run is no longer a smooth fall
LINE = 2  # numbers of a straight line
STRONGEST = 0.9  # correlation; beyond it noise and trend are the same thing
CLIP = 3  # scales
BREAK = 4  # scales of a step that is a jump: one normal row in 16,000
SMOOTH = 3.0  # ratio of the two powers; no correlation gives more than 2, curvature alone gives 16
_GRID = np.linspace(0.0, STRONGEST, 91)
_RATIOS = (1 + _GRID) * (3 - _GRID**2) / (3 - _GRID)


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of single rows around a smooth curve: standard deviation and correlation of neighbours (first-order autoregression)."""

    sigma: float
    correlation: float = 0.0

    @property
    def shared(self) -> float:
        """Rows that carry as much as one independent row: (1 + r) / (1 - r)."""
        return (1 + self.correlation) / (1 - self.correlation)

    @property
    def independent(self) -> float:
        """The deviation of single rows if what neighbours share is movement of the curve itself and no noise."""
        return self.sigma * _bend(self.correlation) / _bend(0.0)

    def error(self, rows: float) -> float:
        """Standard error of the median of so many neighbouring rows: 1.2533 sigma / sqrt(rows) of independent normal noise, with the exact
        variance of a mean of correlated rows (few of them share less than (1 + r) / (1 - r) says), never more than that of a row."""
        if rows <= 1:
            return self.sigma
        r = self.correlation
        shared = self.shared - 2 * r * (1 - r**rows) / (rows * (1 - r) ** 2)
        return self.sigma * min(1.0, float(np.sqrt(np.pi / 2 * shared / rows)))


def noise_of(values: Floats, least: float = 0.0, r: float | None = None) -> Noise:
    """Noise of a curve of shape (n,), never below `least` (the deviation that rounding makes, say).

    Second differences cancel any straight trend; their variance at distance one is 2 s^2 (1 - r)(3 - r). The scale is a MAD, because
    losses have heavy tails. `r` is what is known of the correlation. Fewer than three rows have no noise that could be told.
    """
    if len(values) < 3:
        return Noise(least)
    r = correlation(values) if r is None else r
    return Noise(max(_scale(_bends(values, 1)) / _bend(r), least), r)


def profile(values: Floats, least: float) -> Floats:
    """The scale of the noise at each row up to a factor, shape (n,) -> (n,): that of a few stretches, interpolated; many curves get
    quieter. From the power of clipped second differences, which is surer than their median and has no steps where values are rounded."""
    n = len(values)
    edges = np.linspace(0, n, max(1, min(n // STRETCH, SCALES)) + 1).astype(np.intp)
    bends = [clipped(_bends(values[first:end], 1)) for first, end in pairwise(edges)]
    scales = [max(float(np.sqrt(np.mean(part * part))) / _bend(0.0), least) if len(part) else least for part in bends]
    return np.interp(np.arange(n), (edges[:-1] + edges[1:]) / 2, scales)


def correlation(values: Floats) -> float:
    """What neighbouring rows share (r of a first-order autoregression), 0 where fewer than `FEWEST` rows cannot tell.

    The variance of second differences is 2 s^2 (1 - r)(3 - r) at distance one and 2 s^2 (1 - r^2)(3 - r^2) at distance two, and the ratio
    of the two gives r, whatever smooth curve or rare jump lies below (Chakar et al. 2017 take first differences for this): the median of
    those of stretches, since a smooth stretch beside a noisy one looks correlated. Of a short curve what is left of a smooth fall must
    share as much: the ratio of a dozen rows is far from exact.
    """
    if len(values) < FEWEST:
        return 0.0
    parts = np.array_split(values, max(1, min(len(values) // STRETCH, PARTS)))
    r = float(np.median([_of_differences(part[:ENOUGH]) for part in parts]))
    return min(r, correlation_around(values, smooth_fall(len(values)))) if r > 0 and len(values) <= SMOOTHED else r


@lru_cache(maxsize=64)
def smooth_fall(n: int) -> Floats:
    """Orthonormal columns of the space of constants, straight lines and falls like ln(row): (n, 3). Most losses are close to it."""
    rows = np.arange(1, n + 1, dtype=np.float64)
    return np.asarray(np.linalg.qr(np.column_stack((np.ones(n), rows, np.log(rows))))[0])


def correlation_around(values: Floats, columns: Floats) -> float:
    """r of what a least-squares fit of orthonormal columns leaves."""
    rest = values - np.sum(columns * np.sum(columns * values[:, None], axis=0), axis=1)
    return unbiased(rest, columns.shape[1])


def unbiased(rest: Floats, k: int) -> float:
    """r of the residuals of a fit of k columns, clipped at three scales, between 0 and `STRONGEST`.

    The fit lowers it by (k + (k + 2) r) / n (Kendall 1954 and Marriott and Pope 1954 for k = 1; the same series for more), which is given
    back.
    """
    n, rest = len(rest), clipped(rest)
    power = float(np.sum(rest * rest))
    if power <= 0 or n <= k + 2:
        return 0.0
    found = float(np.sum(rest[1:] * rest[:-1])) / power
    return float(np.clip((n * found + k) / (n - k - 2), 0.0, STRONGEST))


def _of_differences(values: Floats) -> float:
    """From the powers of the differences, clipped at three scales, those across a jump left out. A ratio that no r explains is curvature:
    then r is unknown."""
    steps = np.diff(values)
    steps = np.abs(steps - np.median(steps))
    jumps = steps > BREAK * MAD_TO_SIGMA * float(np.median(steps))
    crossed = np.concatenate(([0], np.cumsum(jumps)))
    near, far = (_bends(values, d)[crossed[2 * d :] == crossed[: -2 * d]] for d in (1, 2))
    if len(far) < FEWEST // 2:
        return 0.0
    power = float(np.mean(clipped(near) ** 2))
    ratio = float(np.mean(clipped(far) ** 2)) / power if power > 0 else np.inf
    return float(np.interp(ratio, _RATIOS, _GRID)) if ratio <= SMOOTH else 0.0


def _bends(values: Floats, distance: int) -> Floats:
    """The second differences at a distance in rows."""
    return np.asarray(values[2 * distance :] - 2 * values[distance:-distance] + values[: -2 * distance])


def _bend(r: float) -> float:
    """Standard deviation of a second difference, in that of a row."""
    return float(np.sqrt(2 * (1 - r) * (3 - r)))


def _scale(values: Floats) -> float:
    return float(MAD_TO_SIGMA * np.median(np.abs(values))) if len(values) else 0.0


def clipped(values: Floats) -> Floats:
    """Drawn in to three scales around 0."""
    bound = CLIP * _scale(values)
    return np.asarray(np.clip(values, -bound, bound))
