"""The noise of a curve: its scale and how much neighbouring rows share, from differences, so that no trend has to be known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.measures.level import MAD_TO_SIGMA, Floats

TELLING = 24  # rows; fewer cannot tell what neighbours share
STRONGEST = 0.9  # correlation; beyond it noise and trend are the same thing
_GRID = np.linspace(0.0, STRONGEST, 91)


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
    """Noise of a curve of shape (n,), never below `least` (a third of a rounding step, say).

    Second differences cancel any straight trend. With correlation r their variance is 2 s^2 (1 - r)(3 - r) at distance one and
    2 s^2 (1 - r^2)(3 - r^2) at distance two; the ratio of the two gives r, either of them s. Scales are MADs, because losses have heavy
    tails; fewer than three rows have no noise that could be told.
    """
    near = _bends(values, 1)
    if near is None:
        return Noise(least)
    r = 0.0
    if len(values) >= TELLING and near > 0:
        ratio = ((_bends(values, 2) or 0.0) / near) ** 2
        r = float(np.interp(ratio, (1 + _GRID) * (3 - _GRID**2) / (3 - _GRID), _GRID))
    return Noise(max(near / float(np.sqrt(2 * (1 - r) * (3 - r))), least), r)


def _bends(values: Floats, distance: int) -> float | None:
    """MAD scale of the second differences at a distance in rows."""
    if len(values) < 2 * distance + 1:
        return None
    bends = values[2 * distance :] - 2 * values[distance:-distance] + values[: -2 * distance]
    return float(MAD_TO_SIGMA * np.median(np.abs(bends)))
