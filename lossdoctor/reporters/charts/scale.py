"""The vertical axis: where it begins and ends, whether it is logarithmic, and its round numbers.

Values are mapped to 0..1 here, so that none of them, 1e308 or 5e-324, can upset the drawing library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lossdoctor.numerals import number

LOG_FROM = 8.0
MOST_TICKS = 6
_OUTLIER_REACH = 0.6
_WORTH_CUTTING = 2.0
_RAIL = 0.12
_SAME = 1e-9
_FLAT = 1e-4  # a range below this share of its values needs more digits than an axis has room for
_LARGEST, _SMALLEST = 1e250, 1e-200


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high` (in shown units). A logarithmic one has a positive `low`; exact zeros have a `rail` below it.

    `step` lies between the round numbers of a linear one, 0 where it is to be found.
    """

    low: float
    high: float
    log: bool = False
    rail: bool = False
    step: float = 0.0

    def unit(self, value: float) -> float:
        """The height of a value as a share of the axis; below 0 or above 1 where the axis cuts it (at most a little, never infinite)."""
        if not self.log:
            share = (min(max(value, -_LARGEST), _LARGEST) - self.low) / (self.high - self.low)
        elif value > 0:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
            share = _RAIL + (1 - _RAIL) * max(share, 0.0) if self.rail else share
        else:
            share = _RAIL / 3 if self.rail and value == 0 else -0.2
        return min(max(share, -0.2), 1.2)

    def cuts(self, value: float) -> bool:
        return not -_SAME <= self.unit(value) <= 1 + _SAME

    @property
    def exponent(self) -> int:
        """The power of ten that all labels share, 0 where they are plain numbers."""
        most = max(abs(self.low), abs(self.high))
        return 0 if self.log or 1e-2 <= most < 1e6 or most == 0 else math.floor(math.log10(most))

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """About `count` round values with their labels, from the lower end of the axis to the upper one, zero among them on a rail."""
        if self.log:
            values = _log_ticks(self.low, self.high, count)
            tiny = min(values) < 1e-3 or max(values) >= 1e5
            rail = [(0.0, "0")] if self.rail else []
            return rail + [(v, _power(v) if tiny else number(v)) for v in values]
        step = self.step or _step(self.low, self.high, count)
        first = math.ceil(self.low / step - _SAME)
        values = [(first + i) * step for i in range(math.floor(self.high / step + _SAME) - first + 1)]
        return [(v, self._label(v, step)) for v in values]

    def said(self, value: float) -> str:
        """A value beside the axis: the four digits of a sentence, in the axis' own power of ten; what is next to nothing there is `~0`."""
        if not self.log and value and abs(value) < 0.005 * max(abs(self.low), abs(self.high)):
            return "~0"
        if self.log and 0 < value < 1e-3:
            return _power(value, 2)
        return number(value / 10.0**self.exponent) if self.exponent else number(value)

    def _label(self, value: float, step: float) -> str:
        scaled, step = value / 10.0**self.exponent, step / 10.0**self.exponent
        digits = max(0, -math.floor(math.log10(step) + _SAME))
        digits += round(step * 10**digits, 6) != round(step * 10**digits)
        if step >= 1000:
            return f"{scaled / 1000:g}k" if value else "0"
        return f"{scaled + 0.0:.{digits}f}" if value else "0"


def scale_for(values: Sequence[float], *, keep: Sequence[float] = (), near: Sequence[float] = (), log: bool = True) -> Scale:
    """A scale for finite values that ends at round numbers.

    Outliers beyond 0.6 times the middle 96 % are left off where that at least doubles the resolution of the rest; `keep` is never cut, and
    `near` is inside where that flattens little. Logarithmic from a ratio of 8 on where no value is negative, unless `log` is False; exact
    zeros get a rail of their own below it. Beyond 1e250 and below 1e-200 all numbers look alike.
    """
    ordered = sorted(_tamed(v) for v in values if math.isfinite(v))
    if not ordered:
        return Scale(0.0, 1.0)
    wanted = [_tamed(v) for v in keep if math.isfinite(v)]
    positive = [v for v in ordered if v > 0]
    if log and ordered[0] >= 0 and positive:
        low, high = _with(_robust(positive), [v for v in wanted if v > 0])
        if math.log(high) - math.log(low) >= math.log(LOG_FROM):
            logs = [math.log(v) for v in (positive[0], positive[-1], low, high)]
            if logs[1] - logs[0] < _WORTH_CUTTING * (logs[3] - logs[2]):
                low, high = positive[0], positive[-1]
            low, high = _with((low, high), [v for v in near if low / 3 <= v <= high * 3])
            return _log_scale(low, high, rail=ordered[0] == 0)
    low, high = _with(_robust(ordered), wanted)
    if ordered[-1] - ordered[0] < _WORTH_CUTTING * (high - low):
        low, high = _with((ordered[0], ordered[-1]), wanted)
    low, high = _with((low, high), [v for v in map(_tamed, near) if low != high and abs(v - low) <= 3 * (high - low) + abs(low)])
    return _linear_scale(low, high)


def _tamed(value: float) -> float:
    return 0.0 if abs(value) < _SMALLEST else min(max(value, -_LARGEST), _LARGEST)


def _with(span: tuple[float, float], more: Sequence[float]) -> tuple[float, float]:
    return min(span[0], *more, span[0]), max(span[1], *more, span[1])


def _robust(ordered: Sequence[float]) -> tuple[float, float]:
    last = len(ordered) - 1
    low, high = ordered[int(0.02 * last)], ordered[math.ceil(0.98 * last)]
    if high == low and last >= 8:
        return low, high
    if high == low:
        return ordered[0], ordered[-1]
    reach = _OUTLIER_REACH * (high - low)
    return max(ordered[0], low - reach), min(ordered[-1], high + reach)


def _linear_scale(low: float, high: float) -> Scale:
    if high - low <= _FLAT * max(abs(low), abs(high)):
        half = 0.5 * abs(high) or 1.0
        low, high = low - half, high + half
    elif 0 < low <= 0.25 * high:
        low = 0.0
    steps = (_step(low, high, count) for count in (5, 4, 3, 2))
    fitted = [(math.floor(low / step + _SAME), math.ceil(high / step - _SAME), step) for step in steps]
    first, last, step = next((f for f in fitted if f[1] - f[0] < MOST_TICKS), fitted[-1])
    return Scale(first * step, last * step, step=step)


def _step(low: float, high: float, count: float) -> float:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)


def _log_scale(low: float, high: float, *, rail: bool) -> Scale:
    """To the next 1, 2 or 5 on both sides."""
    return Scale(_steps(low / 10, low * 1.001)[-1], _steps(high * 0.999, high * 10)[0], log=True, rail=rail)


def _steps(low: float, high: float, mantissas: Sequence[float] = (1, 2, 5)) -> list[float]:
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    return [m * 10.0**e for e in decades for m in mantissas if low <= m * 10.0**e <= high]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """Both ends of the axis, and between them as many powers of ten (or 1, 2, 5) as leave room."""
    decades = math.log10(high) - math.log10(low)
    least = decades / (count + 1)
    kept = [low, high]
    for value in (*_steps(low, high, (1,)), *(_steps(low, high) if decades < 2.5 else ())):
        if all(abs(math.log10(value) - math.log10(k)) >= least * 0.75 for k in kept):
            kept.append(value)
    return sorted(kept)


def _power(value: float, digits: int = 0) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
