"""Sudden lasting changes of a level: where two straight pieces meet and do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import hypot

import numpy as np

from lossdoctor.measures.level import rolling_median, row_medians
from lossdoctor.shapes.curve import Curve, Level

LAG = 3  # rows within which a change is sudden
NEAR, SHARE = 12, 16  # rows on either side, or this part of the run: what gives the levels
SURE = 5.0  # standard errors of the levels; the best of some hundred places to break reaches three by chance


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of level between row - 1 and row, the levels on both sides, and for what share of the run half of it lasts."""

    row: int
    step: int
    before: Level
    after: Level
    lasts: float

    @property
    def gap(self) -> float:
        return self.after.value - self.before.value

    @property
    def change(self) -> float:
        """Relative to the level before."""
        return self.gap / (abs(self.before.value) or 1.0)

    @property
    def sigmas(self) -> float:
        """The gap in standard errors of the two levels."""
        return self.gap / (hypot(self.before.error, self.after.error) or float(np.finfo(np.float64).tiny))


@lru_cache(maxsize=16)
def jumps(curve: Curve) -> tuple[Jump, ...]:
    """The jumps of a curve, in order: between two neighbouring pieces, within three rows, and beyond `SURE` standard errors."""
    found: list[Jump] = []
    near = max(NEAR, len(curve) // SHARE)
    whole = [piece for piece in curve.pieces if piece.last - piece.first >= LAG]  # a shorter one is the way from one to the next
    for left, right in pairwise(whole):
        row = _sudden(curve, int(np.searchsorted(curve.steps, curve.at[right.first])))
        if row is None or row < LAG or len(curve) - row < LAG or (found and row - found[-1].row < LAG):
            continue
        before, after = (curve.median(*rows, curve.around) for rows in ((max(0, row - near), row), (row, min(len(curve), row + near))))
        jump = Jump(row, int(curve.steps[row]), before, after, _lasts(curve, row, before.value, after.value))
        broken = np.sign(jump.gap) * (right.begins - left.ends)  # a ramp joins the pieces before and after it
        if abs(jump.sigmas) >= SURE and 3 * min(abs(_step(curve, row)), broken) >= 2 * abs(jump.gap):
            found.append(jump)
    climb = _climb(curve, near)
    if climb is not None:
        found = [jump for jump in found if abs(climb.row - jump.row) > LAG or jump.gap > climb.gap]
        found += [climb] if all(abs(climb.row - jump.row) > LAG for jump in found) else []
    return tuple(sorted(found, key=lambda jump: jump.row))


def _climb(curve: Curve, near: int) -> Jump | None:
    """The one step upwards that is twice as high as any other: pieces pass over it where the curve falls steeply before, and the level of
    many rows before hides it."""
    if len(curve) < 6 * LAG or not curve.noise:
        return None
    medians = row_medians(np.lib.stride_tricks.sliding_window_view(curve.values, LAG))
    steps = medians[LAG:] - medians[:-LAG]
    top = LAG + int(np.argmax(steps))
    row = top + 1 - LAG + int(np.argmax(np.diff(curve.values)[top - LAG : top + LAG - 1]))
    if not LAG <= row <= len(curve) - LAG:
        return None
    step, others = float(steps[row - LAG]), np.delete(steps, slice(max(0, row - 3 * LAG + 1), row + LAG))
    before, after = curve.median(row - LAG, row, curve.spread), curve.median(row, min(len(curve), row + near), curve.spread)
    jump = Jump(row, int(curve.steps[row]), before, after, _lasts(curve, row, before.value, after.value))
    apart = step >= SURE * hypot(before.error, before.error) and step > 2 * max(0.0, float(others.max(initial=0.0)))
    return jump if apart and jump.gap > 0 else None


def _sudden(curve: Curve, at: int) -> int | None:
    """The row near `at` before which the medians of three rows on either side differ most."""
    reach = max(2 * LAG, len(curve) // len(curve.level))
    first, last = max(LAG, at - reach), min(len(curve) - LAG, at + reach)
    if first > last:
        return None
    medians = row_medians(np.lib.stride_tricks.sliding_window_view(curve.values[first - LAG : last + LAG], LAG))
    steps = np.abs(medians[LAG:] - medians[:-LAG])
    near = first + np.flatnonzero(3 * steps >= 2 * steps.max())  # medians change over three rows: the break is between two of them
    return int(near[int(np.argmax(np.abs(curve.values[near] - curve.values[near - 1])))])


def _step(curve: Curve, row: int) -> float:
    return float(np.median(curve.values[row : row + LAG]) - np.median(curve.values[row - LAG : row]))


def _lasts(curve: Curve, row: int, before: float, after: float) -> float:
    """Share of the run for which the level stays beyond the middle of the gap."""
    level = rolling_median(curve.level[int(np.searchsorted(curve.at, curve.steps[row])) :], 2 * LAG + 1)  # one row is no way back
    beyond = np.sign(after - before) * (level - (before + after) / 2) > 0
    first = int(np.argmax(beyond)) if beyond.any() else 0  # smoothing rounds the edge itself
    back = np.flatnonzero(~beyond[first:])
    return (int(back[0]) if len(back) else len(level) - first) / len(curve.level)
