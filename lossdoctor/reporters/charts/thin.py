"""Fewer points, same picture: min and max of every pixel column, and a smooth line that neither lags nor rounds off a spike."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from lossdoctor.model import SeriesView

Point = tuple[int, float]


def thin(points: Sequence[Point], columns: int, first: int, last: int, keep: Collection[int] = ()) -> list[Point]:
    """Keep the lowest and highest value of each of `columns` equal stretches of the step axis, both end points and every step in `keep`.

    Points keep their order; a series with at most two points a column is returned whole.
    """
    if len(points) <= 2 * columns or last <= first:
        return list(points)
    chosen = {0, len(points) - 1}
    extremes: dict[int, tuple[int, int]] = {}
    for i, (step, value) in enumerate(points):
        if step in keep:
            chosen.add(i)
        column = int((step - first) / (last - first) * (columns - 1))
        low, high = extremes.get(column, (i, i))
        extremes[column] = (i if value < points[low][1] else low, i if value > points[high][1] else high)
    chosen.update(i for pair in extremes.values() for i in pair)
    return [points[i] for i in sorted(chosen)]


def smooth(points: Sequence[Point], window: int) -> list[Point]:
    """The centred rolling median over an odd `window`, shorter towards the ends: no lag, and one outlier leaves no trace."""
    half = window // 2
    values = [v for _, v in points]
    result: list[Point] = []
    for i, (step, _) in enumerate(points):
        reach = min(half, i, len(values) - 1 - i)
        ordered = sorted(values[i - reach : i + reach + 1])
        result.append((step, ordered[len(ordered) // 2]))
    return result


def pieces(view: SeriesView, divisor: float = 1.0) -> list[list[Point]]:
    """The finite stretches of a series, broken where a value is missing, not finite, or the step goes back."""
    found: list[list[Point]] = [[]]
    before = -math.inf
    for step, value in zip(view.steps, view.values, strict=True):
        if value is None or not math.isfinite(value) or step < before:
            found.append([])
        if value is not None and math.isfinite(value):
            found[-1].append((step, value / divisor))
        before = step
    return [piece for piece in found if piece]


def nonfinite_runs(view: SeriesView) -> list[tuple[int, int]]:
    """The stretches of steps whose values are not finite: consecutive in the log, not necessarily in number."""
    if not view.nonfinite:
        return []
    finite = sorted(s for s, v in zip(view.steps, view.values, strict=True) if v is not None)
    runs: list[tuple[int, int]] = []
    at = 0
    for step in sorted(view.nonfinite):
        while at < len(finite) and finite[at] < step:
            at += 1
        between = bool(runs) and at > 0 and finite[at - 1] > runs[-1][1]
        if runs and not between:
            runs[-1] = (runs[-1][0], step)
        else:
            runs.append((step, step))
    return runs
