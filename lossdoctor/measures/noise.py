"""The noise of a curve: its scale and how much neighbouring rows share, from differences, so that no trend has to be known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lossdoctor.measures.level import MAD_TO_SIGMA, Floats

TELLING = 32  # rows of a stretch; two stretches at least tell what neighbours share
PARTS = 8  # stretches of a long curve
STRONGEST = 0.9  # correlation; beyond it noise and trend are the same thing
CLIP = 3  # scales
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

    def error(self, rows: float) -> float:
        """Standard error of the median of so many neighbouring rows: 1.2533 sigma sqrt(shared / rows) of normal noise."""
        return float(np.sqrt(np.pi / 2)) * self.sigma * float(np.sqrt(self.shared / max(rows, 1.0))) if rows > 1 else self.sigma


def noise_of(values: Floats, least: float = 0.0) -> Noise:
    """Noise of a curve of shape (n,), never below `least` (the deviation that rounding makes, say).

    Second differences cancel any straight trend. With correlation r their variance is 2 s^2 (1 - r)(3 - r) at distance one and
    2 s^2 (1 - r^2)(3 - r^2) at distance two, and the ratio of the two gives r: the median of those of stretches of `TELLING` to twice as
    many rows, since a smooth stretch beside a noisy one looks correlated. The scale is a MAD, because losses have heavy tails. Fewer than
    three rows have no noise that could be told.
    """
    if len(values) < 3:
        return Noise(least)
    scale = float(MAD_TO_SIGMA * np.median(np.abs(_bends(values, 1))))
    parts = np.array_split(values, min(len(values) // TELLING, PARTS)) if len(values) >= 2 * TELLING else []
    r = float(np.median([_correlation(part) for part in parts])) if parts else 0.0
    return Noise(max(scale / float(np.sqrt(2 * (1 - r) * (3 - r))), least), r)


def profile(values: Floats, least: float) -> Floats:
    """The scale of the noise at each row, shape (n,) -> (n,): that of up to `PARTS` stretches, interpolated; many curves get quieter."""
    n = len(values)
    parts = max(1, min(n // TELLING, PARTS))
    edges = np.linspace(0, n, parts + 1).astype(np.intp)
    scales = [max(noise_of(values[first:end], least).sigma, least) for first, end in pairwise(edges)]
    return np.interp(np.arange(n), (edges[:-1] + edges[1:]) / 2, scales)


def _correlation(values: Floats) -> float:
    """From the powers of the differences, clipped at three scales. A ratio that no r explains is curvature: then r is unknown."""
    near, far = _bends(values, 1), _bends(values, 2)
    scale, wide = (float(MAD_TO_SIGMA * np.median(np.abs(bends))) for bends in (near, far))
    power = float(np.mean(np.clip(near, -CLIP * scale, CLIP * scale) ** 2))
    ratio = float(np.mean(np.clip(far, -CLIP * wide, CLIP * wide) ** 2)) / power if power > 0 else np.inf
    return float(np.interp(ratio, _RATIOS, _GRID)) if ratio <= SMOOTH else 0.0


def _bends(values: Floats, distance: int) -> Floats:
    """The second differences at a distance in rows."""
    return np.asarray(values[2 * distance :] - 2 * values[distance:-distance] + values[: -2 * distance])
