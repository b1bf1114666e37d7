"""Where words go inside a plot so that they cover neither lines nor one another, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lossdoctor.reporters.charts.panel import Line, Panel
from lossdoctor.reporters.charts.width import width


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A line's name and last value beside its end: the words, one or two rows, where the line ends and where the words stand (pixels)."""

    line: Line
    rows: tuple[str, ...]
    end: tuple[float, float]
    at: tuple[float, float]


def end_labels(panel: Panel, axis: float, plot: float, right: float) -> list[EndLabel]:
    """In the order of the lines' heights, never over one another, just behind the last of them."""
    ended = [line for line in panel.lines if line.pieces]
    if not ended:
        return []
    alone = len(ended) == 1
    lasts = [line.pieces[-1][-1] for line in ended]
    gone = [bool(line.nonfinite) and line.nonfinite[-1][1] > last[0] for line, last in zip(ended, lasts, strict=True)]
    values = ["NaN/Inf" if broken else panel.scale.said(last[1]) for broken, last in zip(gone, lasts, strict=True)]
    names = ["" if alone else short(line.title, panel.title) for line in ended]
    reach = max(panel.share(step) for step, _ in lasts) * axis
    x = reach + 8
    room = axis + right - x - 2
    flat = max(width(f"{n} {v}".strip(), bold=True) for n, v in zip(names, values, strict=True)) <= room
    most = int(room / 7)
    rows = [(f"{n} {v}".strip(),) if flat else (n[:most], v) if n else (v,) for n, v in zip(names, values, strict=True)]
    gap = 14.0 * max(len(r) for r in rows)
    ends = [(panel.share(s) * axis, min(max(panel.scale.unit(v), 0), 1) * plot) for s, v in lasts]
    placed = spread([y for _, y in ends], gap, gap / 2, max(plot - gap / 4, gap / 2))
    return [EndLabel(line, r, end, (x, y)) for line, r, end, y in zip(ended, rows, ends, placed, strict=True)]


def short(title: str, panel_title: str) -> str:
    """The line's own part of its title: `train` of `train loss` in the chart of the loss."""
    words, common = title.split(), set(panel_title.split())
    while words and words[-1] in common:
        words.pop()
    return " ".join(words) or title


def spread(heights: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Move labels apart to at least `gap` inside `low`..`high`, keeping their order; below `low` where there is no room."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = [max(h, low) for h in heights]
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    limit = high
    for i in reversed(order):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved


Box = tuple[float, float, float, float]


def clear_place(panel: Panel, at: tuple[float, float], size: tuple[float, float], plot: tuple[float, float], taken: Sequence[Box]) -> Box:
    """A box (left, bottom, right, top, in pixels of the plot) for a label near a point that covers least of the lines and other labels."""
    (x, y), (wide, height) = at, size
    tries = [
        (left, y + rise * height)
        for rise in (-1.3, 1.3, -2.5, 2.5, -3.7, 3.7)
        for left in (x + 6, x - wide - 6, x - wide / 2)
        if left >= 0 and left + wide <= plot[0] and height / 2 <= y + rise * height <= plot[1] - height / 2
    ]
    boxes = [(left, middle - height / 2, left + wide, middle + height / 2) for left, middle in tries]
    left = min(x, max(plot[0] - wide, 0))
    return min(
        boxes,
        key=lambda box: _covered(panel, box, plot) + 50 * overlaps(box, taken),
        default=(left, y + height, left + wide, y + 2 * height),
    )


def overlaps(box: Box, taken: Sequence[Box]) -> int:
    return sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)


def _covered(panel: Panel, box: Box, plot: tuple[float, float]) -> int:
    """How many of 24 columns of a box a line runs through."""
    columns = [box[0] + (box[2] - box[0]) * (i + 0.5) / 24 for i in range(24)]
    hidden = 0
    for line in panel.lines:
        for piece in line.pieces:
            places = [(panel.share(s) * plot[0], panel.scale.unit(v) * plot[1]) for s, v in piece]
            for (x0, y0), (x1, y1) in pairwise(places):
                if x1 >= box[0] and x0 <= box[2]:
                    for column in columns:
                        if x0 <= column <= x1:
                            at = y0 + (y1 - y0) * (column - x0) / (x1 - x0) if x1 > x0 else (y0 + y1) / 2
                            hidden += box[1] - 2 < at < box[3] + 2
    return hidden
