"""The vertical axis: where it begins and ends, and whether it is logarithmic.

Values are mapped to 0..1 here, so that none of them, 1e308 or 5e-324, can upset the drawing library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lossdoctor.numerals import number

_LOG_FROM = 60.0
_ROOM = 0.06
_OUTLIER_REACH = 0.6
_LARGEST, _SMALLEST = 1e250, 1e-200


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high` (in shown units); logarithmic axes have a positive `low`."""

    low: float
    high: float
    log: bool = False

    def unit(self, value: float) -> float:
        """The height of a value as a share of the axis; below 0 or above 1 where the axis cuts it (at most a little, never infinite)."""
        if self.log:
            if value <= 0:
                return -0.2
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (min(max(value, -_LARGEST), _LARGEST) - self.low) / (self.high - self.low)
        return min(max(share, -0.2), 1.2)

    def cuts(self, value: float) -> bool:
        return not -1e-9 <= self.unit(value) <= 1 + 1e-9

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """About `count` round values with their labels."""
        values = _log_ticks(self.low, self.high, count) if self.log else _linear_ticks(self.low, self.high, count)
        return [(value, number(value)) for value in values]


def scale_for(values: Sequence[float], *, keep: Sequence[float] = (), log: bool = True) -> Scale:
    """A scale for finite values: the robust range, with `keep` inside where that does not flatten the rest.

    Outliers beyond 0.6 times the middle 96 % are left off the scale. Logarithmic where all values are positive and the robust range spans a
    factor of 60 or more (learning curves that start at 11 and end at 0.1 do), unless `log` is False. Beyond 1e250 and below 1e-200
    all numbers look alike.
    """
    ordered = sorted(_tamed(v) for v in values if math.isfinite(v))
    if not ordered:
        return Scale(0.0, 1.0)
    low, high = _robust(ordered)
    for value in map(_tamed, keep):
        if low != high and abs(value - low) <= 3 * (high - low) + abs(low):
            low, high = min(low, value), max(high, value)
    if log and low > 0 and math.log10(high) - math.log10(low) >= math.log10(_LOG_FROM):
        room = 10 ** (_ROOM * (math.log10(high) - math.log10(low)))
        return Scale(low / room, high * room, log=True)
    room = _ROOM * (high - low)
    if room <= 1e-12 * max(abs(low), abs(high)):
        half = 0.5 * abs(high) or 1.0
        return Scale(low - half, high + half)
    return Scale(0.0 if low >= 0 > low - room else low - room, high + room)


def _tamed(value: float) -> float:
    return 0.0 if abs(value) < _SMALLEST else min(max(value, -_LARGEST), _LARGEST)


def _robust(ordered: Sequence[float]) -> tuple[float, float]:
    last = len(ordered) - 1
    low, high = ordered[int(0.02 * last)], ordered[math.ceil(0.98 * last)]
    if high == low and last >= 8:
        return low, high
    if high == low:
        return ordered[0], ordered[-1]
    reach = _OUTLIER_REACH * (high - low)
    return max(ordered[0], low - reach), min(ordered[-1], high + reach)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step)
    ticks = [round((first + i) * step, 12) if step > 1e-10 else (first + i) * step for i in range(count + 3)]
    return [t for t in ticks if low <= t <= high]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = [10.0**e for e in range(first, last + 1)]
    if len(decades) < 3:
        decades = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    stride = max(math.ceil(len(decades) / (count + 1)), 1)
    return decades[::stride]
