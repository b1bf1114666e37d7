"""A curve in one line of text, and a line below it that marks the spans of findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from lossdoctor.model import SeriesView

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=+*#@"
GAP, NONFINITE = " ", "×"  # noqa: RUF001


def sparkline(view: SeriesView, width: int, first: int, last: int, *, unicode: bool = True) -> str:
    """Draw `view` over the steps `first`..`last` in `width` columns, each the median of its values; a cross where one is not finite.

    The scale is the curve's own range, cut a quarter beyond the middle 90 %, so one spike does not flatten the rest. Columns between two
    points of a sparse series hold the earlier one.
    """
    glyphs = BLOCKS if unicode else ASCII
    cells = _columns(view, width, first, last)
    known = sorted(v for v in cells if v is not None)
    bad = {column(step, width, first, last) for step in view.nonfinite}
    if not known:
        return "".join((NONFINITE if unicode else "x") if i in bad else GAP for i in range(width))
    low, high = _range(known)
    line: list[str] = []
    for i, value in enumerate(cells):
        if i in bad:
            line.append(NONFINITE if unicode else "x")
        elif value is None:
            line.append(GAP)
        else:
            share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
            line.append(glyphs[min(int(share * len(glyphs)), len(glyphs) - 1)])
    return "".join(line)


def carets(spans: Sequence[tuple[str, int, int]], width: int, first: int, last: int) -> str:
    """A line of carets under the spans (letter, first step, last step), short ones over long ones; the letter starts its span."""
    line = [" "] * width
    for mark, start, end in sorted(spans, key=lambda s: s[1] - s[2]):
        left, right = column(start, width, first, last), column(end, width, first, last)
        for i in range(left, right + 1):
            line[i] = "^"
        for offset, char in enumerate(mark):
            if left + offset < width:
                line[left + offset] = char
    return "".join(line).rstrip()


def column(step: int, width: int, first: int, last: int) -> int:
    """The column of a step, clamped to the line."""
    if last <= first:
        return 0
    return min(max(int((step - first) / (last - first) * (width - 1) + 0.5), 0), width - 1)


def _columns(view: SeriesView, width: int, first: int, last: int) -> list[float | None]:
    found: list[list[float]] = [[] for _ in range(width)]
    for step, value in zip(view.steps, view.values, strict=True):
        if value is not None and math.isfinite(value):
            found[column(step, width, first, last)].append(value)
    cells: list[float | None] = [median(values) if values else None for values in found]
    filled = [i for i, v in enumerate(cells) if v is not None]
    bad = sorted(column(step, width, first, last) for step in view.nonfinite)
    for left, right in pairwise(filled):
        if not any(left < b < right for b in bad):
            cells[left + 1 : right] = [cells[left]] * (right - left - 1)
    return cells


def _range(ordered: Sequence[float]) -> tuple[float, float]:
    count = len(ordered)
    low, high = ordered[int(0.05 * (count - 1))], ordered[math.ceil(0.95 * (count - 1))]
    reach = 0.25 * (high - low)
    return max(ordered[0], low - reach), min(ordered[-1], high + reach)
