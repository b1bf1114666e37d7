"""Words inside the plot: what the lines and marks are called, none of them over another."""

from __future__ import annotations

from lossdoctor.numerals import number
from lossdoctor.reporters.charts.canvas import Canvas
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.places import Box, clear_place, end_labels, overlaps
from lossdoctor.reporters.charts.width import width


def draw(c: Canvas) -> None:
    taken: list[Box] = []
    _ends(c, taken)
    _limit_labels(c, taken)
    _off_scale(c, taken)
    _lowest(c, taken)


def _ends(c: Canvas, taken: list[Box]) -> None:
    for label in end_labels(c.panel, c.room.axis, c.room.plot, c.size.right):
        (x0, y0), (x, y) = label.end, label.at
        if abs(y - y0) > 6 or x - x0 > 14:
            c.pen.line([x0 + 2, x - 2], [y0, y], f"{label.line.role}-raw", 0.8, clip=False)
        for i, words in enumerate(label.rows):
            at = y + 7 * (len(label.rows) - 1) - 14 * i
            c.pen.text(x, at, words, label.line.role, bold=i == 0 and len(c.panel.lines) > 1, halo=x < c.room.axis)
        height = 14 * len(label.rows)
        taken.append((x, y - height / 2, x + max(map(width, label.rows)), y + height / 2))


def _limit_labels(c: Canvas, taken: list[Box]) -> None:
    for name, value in c.limits:
        words, y = f"{name} {number(value, 3)}", c.y(value)
        wide = width(words, bold=True) + 6
        tries = [c.room.axis * i / 12 for i in range(12) if c.room.axis * i / 12 + wide < c.room.axis] or [0.0]
        boxes: list[Box] = [(x + 3, y - 7, x + wide, y + 7) for x in tries]
        box = min(boxes, key=lambda b: overlaps(b, taken) + _busy(c, b))
        taken.append(box)
        c.pen.text(box[0], y, words, "limit", bold=True, halo=True)


def _busy(c: Canvas, box: Box) -> float:
    """How many rows of the lines lie in a box."""
    return sum(box[0] <= c.x(s) <= box[2] and box[1] <= c.y(v) <= box[3] for line in c.panel.lines for s, v in line.points)


def _off_scale(c: Canvas, taken: list[Box]) -> None:
    for off in c.panel.off_scale:
        x, y = c.x(off.step), c.room.plot - 6 if off.up else 6
        c.pen.dots([x], [y], "text", "^" if off.up else "v", 6)
        words = c.panel.scale.said(off.value)
        wide = width(words)
        left = x - 7 - wide if x > 0.8 * c.room.axis else x + 7
        box = (left, y - 7, left + wide, y + 7)
        if not overlaps(box, taken):
            taken.append(box)
            c.pen.text(left, y, words, "text", halo=True)


def _lowest(c: Canvas, taken: list[Box]) -> None:
    if c.panel.lowest is None:
        return
    step, value = c.panel.lowest
    x, y = c.x(step), c.y(value)
    c.pen.dots([x], [y], "eval", "D", 8, hollow=True)
    words = f"lowest {_apart(value, c.panel)} at {step}"
    size = (width(words, bold=True) + 4, 14.0)
    box = clear_place(c.panel, (x, y), size, (c.room.axis, c.room.plot), taken)
    c.pen.text(box[0], (box[1] + box[3]) / 2, words, "eval", bold=True, halo=True)


def _apart(value: float, panel: Panel) -> str:
    """The lowest value in the axis' power of ten, with as many digits as tell it from the last one."""
    last = next((line.points[-1][1] for line in panel.lines if line.signal == "eval/loss" and line.points), value)
    value, last = (v / 10.0**panel.scale.exponent for v in (value, last))
    return next((said for n in (3, 4, 5, 6) if (said := number(value, n)) != number(last, n)), number(value, 3))
