"""The noise of a curve: its scale and how much neighbouring rows share, from differences, so that no trend has to be known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.measures.level import MAD_TO_SIGMA, Floats

TELLING = 24  # rows; fewer cannot tell what neighbours share
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
    2 s^2 (1 - r^2)(3 - r^2) at distance two, and the ratio of the two gives r. The scale is a MAD, because losses have heavy tails; for
    the ratio the differences are clipped at three of it, which is surer. A ratio that no r explains is curvature: then the rows are
    smooth, and r is unknown. Fewer than three rows have no noise that could be told.
    """
    near = _bends(values, 1)
    if near is None:
        return Noise(least)
    scale = float(MAD_TO_SIGMA * np.median(np.abs(near)))
    r = _correlation(near, _bends(values, 2), scale) if len(values) >= TELLING and scale > 0 else 0.0
    return Noise(max(scale / float(np.sqrt(2 * (1 - r) * (3 - r))), least), r)


def _correlation(near: Floats, far: Floats | None, scale: float) -> float:
    if far is None:
        return 0.0
    wide = float(MAD_TO_SIGMA * np.median(np.abs(far)))
    power = [float(np.mean(np.clip(bends, -CLIP * size, CLIP * size) ** 2)) for bends, size in ((near, scale), (far, wide))]
    ratio = power[1] / power[0]
    return float(np.interp(ratio, _RATIOS, _GRID)) if ratio <= SMOOTH else 0.0


def _bends(values: Floats, distance: int) -> Floats | None:
    """The second differences at a distance in rows."""
    if len(values) < 2 * distance + 1:
        return None
    return np.asarray(values[2 * distance :] - 2 * values[distance:-distance] + values[: -2 * distance])
