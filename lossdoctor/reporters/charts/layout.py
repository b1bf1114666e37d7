"""Where things go on a chart, in pixels, and which labels fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lossdoctor.model import Mark
from lossdoctor.reporters.charts.panel import Panel, Shade

ROW = 15.0
MOST_ROWS = 3
CHARACTER = 6.3
_LABELLED = {"warmup-end": "warmup ends", "resume": "resumed", "epoch": "", "best-eval": "", "detectable": "detectable"}


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a figure and the margins of its axes, all in pixels (1/72 inch for matplotlib)."""

    width: float
    height: float
    left: float = 54
    right: float = 92
    bottom: float = 36


MAIN = Size(860, 330)
NARROW = Size(352, 300, left=44, right=66)
SMALL = Size(424, 210, right=70)
CROP = Size(424, 190, right=70)


@dataclass(frozen=True, slots=True)
class Placed:
    """A label on the strip above the axes: its text, the share of the axis where it belongs, and whether it hangs to the left of it."""

    text: str
    x: float
    left: bool = False


def share(panel: Panel, step: float) -> float:
    """The place of a step on the axis, 0..1, clamped."""
    if panel.last <= panel.first:
        return 0.5
    return min(max((step - panel.first) / (panel.last - panel.first), 0.0), 1.0)


def bracket_rows(shades: Sequence[Shade], panel: Panel, axis: float) -> list[list[Shade]]:
    """The spans in as few rows as keep them apart (at least a letter's width each); spans beyond three rows are shaded, not bracketed."""
    rows: list[list[Shade]] = []
    for shade in sorted(shades, key=lambda s: (s.letter, s.first)):
        start, end = _reach(shade, panel, axis)
        for row in rows:
            if all(end < a or start > b for a, b in (_reach(other, panel, axis) for other in row)):
                row.append(shade)
                break
        else:
            if len(rows) < MOST_ROWS:
                rows.append([shade])
    return rows


def _reach(shade: Shade, panel: Panel, axis: float) -> tuple[float, float]:
    start, end = share(panel, shade.first) * axis, share(panel, shade.last) * axis
    return start - 2, max(end, start + 14) + 2


def mark_labels(marks: Sequence[Mark], panel: Panel, axis: float, *, full: bool = True) -> list[Placed]:
    """The labels of the marks that fit on one line, the rarer kinds first (small charts only those); the marks themselves are all drawn."""
    order = ["resume", "warmup-end", *(["detectable", "epoch"] if full else [])]
    wanted = [(order.index(m.kind), m) for m in marks if m.kind in order]
    taken: list[tuple[float, float]] = []
    placed: list[Placed] = []
    for _, mark in sorted(wanted, key=lambda pair: (pair[0], pair[1].step)):
        text = (_LABELLED[mark.kind] or mark.label)[:24]
        x = share(panel, mark.step) * axis
        width = len(text) * CHARACTER
        left = x + width > axis + 30
        start = x - width if left else x
        if all(start + width + 6 < a or start > b + 6 for a, b in taken):
            taken.append((start, start + width))
            placed.append(Placed(text, x / axis, left))
    return placed


def clear_place(panel: Panel, x: float, y: float, size: tuple[float, float]) -> tuple[float, float]:
    """Left end and middle height (in shares of the axes, like `size`) of a label near the point x, y that covers least of the lines."""
    width, height = size
    tries = [
        (left, y + rise * height)
        for rise in (-1.2, 1.2, -2.4, 2.4, -3.6, 3.6)
        for left in (x + 0.2 * height, x - width - 0.2 * height, x - width / 2)
        if left >= 0 and left + width <= 1 and height <= y + rise * height <= 1 - height
    ]
    return min(tries, key=lambda place: _covered(panel, place, size), default=(min(x, max(1 - width, 0)), y + 1.2 * height))


def _covered(panel: Panel, place: tuple[float, float], size: tuple[float, float]) -> int:
    """How many of 24 columns under a label a line runs through."""
    left, middle = place
    columns = [left + size[0] * (i + 0.5) / 24 for i in range(24)]
    hidden = 0
    for line in panel.lines:
        for piece in line.pieces:
            places = [(share(panel, s), panel.scale.unit(v)) for s, v in piece]
            for (x0, y0), (x1, y1) in pairwise(places):
                if x1 >= left and x0 <= left + size[0]:
                    low, high = min(y0, y1), max(y0, y1)
                    for column in columns:
                        if x0 <= column <= x1:
                            at = y0 + (y1 - y0) * (column - x0) / (x1 - x0) if x1 > x0 else low
                            hidden += abs(at - middle) < size[1] * 0.7 or (high - low > size[1] and low < middle < high)
    return hidden


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart to at least `gap`, as little as may be, keeping their order."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    excess = max((moved[i] for i in order), default=0) - 1
    if excess > 0:
        for i in order:
            moved[i] -= excess
        for below, above in pairwise(order):
            moved[above] = max(moved[above], moved[below] + gap)
    return moved


def step_label(step: float) -> str:
    if abs(step) >= 1e9:
        return f"{step:.3g}"
    if abs(step) >= 1e6:
        return f"{step / 1e6:g}M"
    return f"{step / 1e3:g}k" if abs(step) >= 1e4 else f"{step:g}"
